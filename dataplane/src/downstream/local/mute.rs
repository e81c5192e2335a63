//! CLIENT REPLY: whether a client hears the replies to what it sends.

use crate::cluster::Batch;

/// What a client wants to hear, as it said by CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::downstream) enum Mute {
    /// Every reply.
    #[default]
    Aloud,
    /// None.
    Off,
    /// Not the reply to the request that comes next.
    SkipNext,
    /// Not the reply to this request.
    Skipping,
}

impl Mute {
    /// Lets all replies come.
    pub(super) fn end(&mut self, batch: &mut Batch<'_>) {
        *self = Self::Aloud;
        batch.replies().mute(false);
    }

    /// Lets no reply come.
    pub(super) fn begin(&mut self, batch: &mut Batch<'_>) {
        *self = Self::Off;
        batch.replies().mute(true);
    }

    /// Lets the reply to the next request not come.
    pub(super) fn skip_next(&mut self) {
        if *self != Self::Off {
            *self = Self::SkipNext;
        }
    }

    /// Ends a silence, but not one that is for this request alone.
    pub(super) fn reset(&mut self, batch: &mut Batch<'_>) {
        if *self == Self::Off {
            self.end(batch);
        }
    }

    /// Goes on after a request was served.
    #[inline]
    pub(in crate::downstream) fn step(&mut self, batch: &mut Batch<'_>) {
        match self {
            Self::Aloud | Self::Off => {}
            Self::SkipNext => {
                *self = Self::Skipping;
                batch.replies().mute(true);
            }
            Self::Skipping => self.end(batch),
        }
    }
}
