//! Whether clients are to wait, by the wish of one of them.

use std::cell::Cell;

/// What has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PauseKind {
    /// What may change data.
    Write,
    /// Everything.
    All,
}

/// The pause of one cluster on one worker; times are the worker's.
#[derive(Debug, Default)]
pub struct Pause {
    kind: Cell<Option<PauseKind>>,
    until: Cell<u64>,
}

impl Pause {
    /// Returns what has to wait now.
    #[inline]
    pub fn kind(&self) -> Option<PauseKind> {
        self.kind.get()
    }

    /// Returns when the pause ends; `None` when there is none.
    pub fn until(&self) -> Option<u64> {
        self.kind.get().map(|_| self.until.get())
    }

    /// Begins a pause; of two, the wider and the longer hold, as in Redis.
    pub fn begin(&self, kind: PauseKind, until: u64) {
        self.until.set(until.max(self.until().unwrap_or(0)));
        self.kind.set(self.kind.get().max(Some(kind)));
    }

    /// Ends the pause.
    pub fn end(&self) {
        self.kind.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_and_longer_pause_holds() {
        let pause = Pause::default();
        assert_eq!((pause.kind(), pause.until()), (None, None));
        pause.begin(PauseKind::All, 10);
        pause.begin(PauseKind::Write, 5);
        assert_eq!(
            (pause.kind(), pause.until()),
            (Some(PauseKind::All), Some(10))
        );
        pause.begin(PauseKind::Write, 20);
        assert_eq!(
            (pause.kind(), pause.until()),
            (Some(PauseKind::All), Some(20))
        );
        pause.end();
        pause.begin(PauseKind::Write, 7);
        assert_eq!(
            (pause.kind(), pause.until()),
            (Some(PauseKind::Write), Some(7))
        );
    }
}
