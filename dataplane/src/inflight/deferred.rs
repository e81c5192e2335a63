//! A request that a task of its own answers, while the session holds what came after it.

use tokio::sync::oneshot;

use super::Ticket;

/// Why a deferred request is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Another client asked for an error.
    Error,
    /// The client is gone; nobody waits for the reply.
    Gone,
    /// Another client asked for the answer that time brings.
    Timeout,
}

/// The right, and the duty, to answer one request.
#[derive(Debug)]
pub struct Deferred {
    /// Where the reply goes; settled through the session table.
    pub ticket: Ticket,
    /// Gone once it was heard.
    cancel: Option<oneshot::Receiver<Cancel>>,
}

impl Deferred {
    /// Makes the duty to answer `ticket`, and the way to call it off.
    pub fn new(ticket: Ticket) -> (Self, oneshot::Sender<Cancel>) {
        let (sender, cancel) = oneshot::channel();
        let cancel = Some(cancel);
        (Self { ticket, cancel }, sender)
    }

    /// Waits until the request is to be given up; says so once. Cancel safe.
    pub async fn cancelled(&mut self) -> Cancel {
        let Some(cancel) = &mut self.cancel else {
            return std::future::pending().await;
        };
        let why = cancel.await.unwrap_or(Cancel::Gone);
        self.cancel = None;
        why
    }
}
