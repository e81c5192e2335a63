//! The rest of a refused request: thrown away as it comes.

use crate::protocol::message::Progress;

/// How much of a refused request is still to come.
#[derive(Debug, Default)]
pub(super) struct Swallow {
    left: usize,
    /// Bytes were taken that are still to be thrown away.
    has_taken: bool,
}

impl Swallow {
    /// Makes the next `len` bytes go nowhere.
    pub(super) fn begin(&mut self, len: usize) {
        self.left = len;
    }

    /// Takes what is to be thrown away from the start of `bytes`, as if it were a request.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Progress> {
        if self.left == 0 {
            return None;
        }
        let len = self.left.min(bytes.len());
        self.left -= len;
        self.has_taken = true;
        Some(Progress::Complete { len })
    }

    /// Returns whether the request to serve is nothing but what was taken.
    #[inline]
    pub(super) fn has_taken(&mut self) -> bool {
        std::mem::take(&mut self.has_taken)
    }
}
