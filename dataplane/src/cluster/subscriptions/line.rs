//! The task of one link: opens the connection, keeps it, opens it again.

use std::{
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::super::{ClusterWorker, Observation};
use crate::{
    metrics::EndpointMetrics,
    upstream::{Backoff, Loss, Notice, Subscription, Target},
};

/// Drives the link of a number until nobody needs it.
pub(super) async fn run(cluster: Rc<ClusterWorker>, number: u32) {
    let mut backoff = Backoff::default();
    while let Some(target) = cluster.needed_link(number) {
        let metrics = cluster.register(&target);
        let settings = cluster.settings();
        metrics.connect_total.inc();
        match settings.dial.open(target.addr.clone()).await {
            Ok(stream) => {
                if backoff.failures() > 0 {
                    info!(cluster = %cluster.name(), endpoint = %target.label, "subscription connection is back");
                }
                cluster.link_opened(number);
                metrics.connections.add(1);
                let mut line = Line {
                    connection: Subscription::new(stream, settings.limits),
                    cluster: Rc::clone(&cluster),
                    metrics: Arc::clone(&metrics),
                    number,
                    is_proven: false,
                };
                let loss = poll_fn(|cx| line.poll(cx)).await;
                metrics.connections.sub(1);
                let lost = cluster.link_closed(number);
                let Some(loss) = loss else { continue };
                if line.is_proven {
                    backoff.reset();
                }
                tell_of_loss(&cluster, &target, &loss, lost);
            }
            Err(error) => {
                metrics.connect_failures_total.inc();
                // Said once, however often it is tried again.
                match backoff.failures() {
                    0 | 1 => {
                        warn!(cluster = %cluster.name(), endpoint = %target.label, %error, "subscription connection failed")
                    }
                    _ => debug!(endpoint = %target.label, %error, "subscription connection failed"),
                }
                let endpoint = target.addr.to_string();
                cluster.observe(Observation::ConnectFailed { endpoint });
                cluster.link_failed(number, &error);
            }
        }
        sleep(backoff.next(cluster.context.random())).await;
    }
}

/// Tells of a connection that was lost, and of the subscriptions that went with it.
fn tell_of_loss(cluster: &ClusterWorker, target: &Target, loss: &Loss, subscriptions: u64) {
    let endpoint = target.addr.to_string();
    cluster.observe(Observation::Lost { endpoint });
    match subscriptions {
        0 => debug!(endpoint = %target.label, reason = %loss, "subscription connection lost"),
        _ => {
            warn!(cluster = %cluster.name(), endpoint = %target.label, subscriptions, reason = %loss, "subscription connection lost; messages may be missed")
        }
    }
}

/// The open connection of a link.
struct Line {
    connection: Subscription,
    cluster: Rc<ClusterWorker>,
    metrics: Arc<EndpointMetrics>,
    number: u32,
    /// The endpoint has confirmed something.
    is_proven: bool,
}

impl Line {
    /// Moves bytes both ways; ready when the connection is to end, with the reason unless nobody needs it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Loss>> {
        match self.advance(cx) {
            Ok(true) => Poll::Ready(None),
            Ok(false) => Poll::Pending,
            Err(loss) => Poll::Ready(Some(loss)),
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Result<bool, Loss> {
        let cluster = Rc::clone(&self.cluster);
        let connection = &mut self.connection;
        let is_over = cluster.with_link(self.number, |link| {
            link.bell.listen(cx.waker());
            link.drain(|bytes| connection.queue(bytes));
            match link.take_fault() {
                Some(fault) => Err(fault),
                None => Ok(link.is_ending()),
            }
        });
        if is_over.unwrap_or(Ok(true))? || cluster.is_finished() {
            return Ok(true);
        }
        if let Poll::Ready(flushed) = connection.poll_flush(cx) {
            flushed?;
        }
        let mut scratch = cluster.context.scratch.borrow_mut();
        let Poll::Ready(count) = connection.poll_fill(cx, &mut scratch) else {
            return Ok(false);
        };
        let count = count?;
        self.metrics.bytes_in_total.add(count as u64);
        cluster.with_link(self.number, super::link::Link::heard);
        let fresh = scratch.get(..count).unwrap_or_default();
        let mut position = 0;
        while let Some(reply) = connection.next(fresh, &mut position)? {
            match Notice::of(reply.bytes()) {
                Notice::Message(family, name) => {
                    cluster.deliver(self.number, (family, name), &reply)
                }
                notice => {
                    self.is_proven |= matches!(notice, Notice::Joined(..));
                    cluster.hear(self.number, notice, reply.bytes())?;
                }
            }
        }
        // There may be more to read, and confirmations may have brought something to send.
        cx.waker().wake_by_ref();
        Ok(false)
    }
}
