//! The right to one reply of one session.

/// Says whose reply a request upstream will bring.
///
/// `Copy` and without a pointer: a session that is gone leaves tickets whose generation no longer fits, and their
/// replies are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Place in the worker's session table.
    pub session: u32,
    /// Tells two sessions of one place apart; 0 belongs to nobody.
    pub generation: u32,
    /// Number of the request within the session, wrapping.
    pub sequence: u32,
    /// Number of the part of a split request; 0 for a whole one.
    pub part: u16,
}

impl Ticket {
    /// A ticket whose reply nobody waits for.
    pub const NOBODY: Self = Self {
        session: 0,
        generation: 0,
        sequence: 0,
        part: 0,
    };

    /// Returns whether the reply will be dropped.
    pub fn is_nobody(self) -> bool {
        self.generation == 0
    }

    /// Returns the same ticket for another part.
    pub fn with_part(self, part: u16) -> Self {
        Self { part, ..self }
    }
}
