//! Questions from one session to all workers that serve its cluster, and their answers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{Filter, PauseKind, SlowEntry};

/// Letters that may wait for one worker.
const MAILBOX: usize = 64;

/// How long all workers together may take.
const LIMIT: Duration = Duration::from_secs(2);

/// What is asked of every worker.
#[derive(Clone, Debug)]
pub enum Question {
    /// Close these clients.
    Kill(Filter),
    /// Tell of these clients.
    List(Filter),
    /// Let clients wait.
    Pause(PauseKind, Duration),
    /// Tell of slow requests.
    Slow,
    /// Forget slow requests.
    SlowReset,
    /// End the wait of a client in a blocking command.
    Unblock {
        /// The client.
        id: u64,
        /// It is to see an error instead of what time brings.
        is_error: bool,
    },
    /// Let clients wait no more.
    Unpause,
}

/// One client, told of in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: u64,
    /// What is known of it, line end included.
    pub line: String,
}

/// What one worker answers.
#[derive(Debug)]
pub enum Answer {
    /// Clients.
    Clients(Vec<Listed>),
    /// How many clients it concerned.
    Count(u64),
    /// Slow requests.
    Slow(Vec<SlowEntry>),
}

/// A question on its way to one worker.
#[derive(Debug)]
pub struct Letter {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// Not every worker answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many questions wait already.
    #[error("worker {worker} has too many questions already")]
    Busy {
        /// Number of the worker.
        worker: usize,
    },
    /// The time is over.
    #[error("worker {worker} did not answer within {} ms", LIMIT.as_millis())]
    Late {
        /// Number of the worker.
        worker: usize,
    },
}

/// Reaches every worker that serves one cluster on this data plane.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Locked when a worker comes or goes and when somebody asks, never for a forwarded request.
    mailboxes: Mutex<BTreeMap<usize, mpsc::Sender<Letter>>>,
    /// Number of the next slow request.
    pub next_slow: AtomicU64,
}

impl Exchange {
    /// Lets a worker be asked; it is to answer what comes.
    pub fn join(&self, worker: usize) -> mpsc::Receiver<Letter> {
        let (mailbox, letters) = mpsc::channel(MAILBOX);
        self.lock().insert(worker, mailbox);
        letters
    }

    /// Asks a worker no more.
    pub fn leave(&self, worker: usize) {
        self.lock().remove(&worker);
    }

    /// Asks every worker and waits for all answers.
    ///
    /// # Errors
    /// [`AskError`] when a worker cannot take the question or is late; one that has left in the meantime has nothing
    /// to say and is passed over.
    pub async fn ask(&self, question: &Question) -> Result<Vec<Answer>, AskError> {
        let deadline = Instant::now() + LIMIT;
        let mut waiting = Vec::new();
        for (worker, answer) in self.send(question)? {
            waiting.push((worker, answer));
        }
        let mut answers = Vec::new();
        for (worker, answer) in waiting {
            match timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => answers.push(answer),
                Ok(Err(_gone)) => {}
                Err(_late) => return Err(AskError::Late { worker }),
            }
        }
        Ok(answers)
    }

    fn send(
        &self,
        question: &Question,
    ) -> Result<Vec<(usize, oneshot::Receiver<Answer>)>, AskError> {
        let mailboxes = self.lock();
        let mut waiting = Vec::new();
        for (worker, mailbox) in mailboxes.iter() {
            let (answer, is_answered) = oneshot::channel();
            let question = question.clone();
            let result = mailbox.try_send(Letter { question, answer });
            if let Err(mpsc::error::TrySendError::Full(_)) = result {
                return Err(AskError::Busy { worker: *worker });
            }
            waiting.push((*worker, is_answered));
        }
        Ok(waiting)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, mpsc::Sender<Letter>>> {
        self.mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_worker_answers_or_the_asker_hears_who_did_not() {
        let exchange = Exchange::default();
        let (mut first, second) = (exchange.join(0), exchange.join(1));
        let answering = async {
            let letter = first.recv().await.unwrap();
            letter.answer.send(Answer::Count(3)).unwrap();
            first
        };
        let (asked, mut first) = tokio::join!(exchange.ask(&Question::Slow), answering);
        assert_eq!(asked.unwrap_err(), AskError::Late { worker: 1 });
        drop(second);
        let answering = async {
            let letter = first.recv().await.unwrap();
            letter.answer.send(Answer::Count(4)).unwrap();
        };
        let (asked, ()) = tokio::join!(exchange.ask(&Question::Slow), answering);
        assert!(matches!(asked.unwrap().as_slice(), [Answer::Count(4)]));
    }

    #[tokio::test(start_paused = true)]
    async fn worker_that_does_not_read_is_named_at_once() {
        let exchange = Exchange::default();
        let _letters = exchange.join(7);
        for _ in 0..MAILBOX {
            exchange.send(&Question::Unpause).unwrap();
        }
        let asked = exchange.ask(&Question::Unpause).await;
        assert_eq!(asked.unwrap_err(), AskError::Busy { worker: 7 });
    }
}
