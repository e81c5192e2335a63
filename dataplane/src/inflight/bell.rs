//! Waking one task once, however many have reason to.

use std::task::Waker;

/// Wakes the task that listens; further rings are silent until it listens again.
#[derive(Debug, Default)]
pub struct Bell {
    waker: Option<Waker>,
    has_rung: bool,
}

impl Bell {
    /// Remembers whom to wake; to be called at the start of each poll of the task.
    pub fn listen(&mut self, waker: &Waker) {
        self.has_rung = false;
        let is_known = |known: &Waker| known.will_wake(waker);
        if !self.waker.as_ref().is_some_and(is_known) {
            self.waker = Some(waker.clone());
        }
    }

    /// Wakes the task, once until it listens again.
    pub fn ring(&mut self) {
        if self.has_rung {
            return;
        }
        if let Some(waker) = &self.waker {
            self.has_rung = true;
            waker.wake_by_ref();
        }
    }
}
