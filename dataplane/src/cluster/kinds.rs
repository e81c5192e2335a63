//! The kinds of connections that endpoints are known to offer, by number.

use std::cell::RefCell;

use crate::upstream::Kind;

/// Kinds that sessions of one cluster on one worker may travel on, by number; 0 is the default kind.
#[derive(Debug)]
pub(super) struct Kinds {
    known: RefCell<Vec<Kind>>,
}

impl Default for Kinds {
    fn default() -> Self {
        Self {
            known: RefCell::new(vec![Kind::default()]),
        }
    }
}

impl Kinds {
    /// Returns the kind with a number.
    pub(super) fn kind(&self, number: u8) -> Kind {
        let known = self.known.borrow();
        known.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Returns the number of a kind that an endpoint has accepted before.
    pub(super) fn number(&self, kind: Kind) -> Option<u8> {
        let known = self.known.borrow();
        let at = known.iter().position(|other| *other == kind)?;
        u8::try_from(at).ok()
    }

    /// Notes that endpoints accept a kind; `None` when there are too many.
    pub(super) fn learn(&self, kind: Kind) -> Option<u8> {
        if let Some(number) = self.number(kind) {
            return Some(number);
        }
        let mut known = self.known.borrow_mut();
        let number = u8::try_from(known.len()).ok()?;
        known.push(kind);
        Some(number)
    }
}
