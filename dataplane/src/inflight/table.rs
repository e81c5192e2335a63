//! All sessions of one cluster on one worker, by ticket.

use slab::Slab;

use super::{Piece, Replies, Ticket};

/// Sessions with their replies; a place is used again under another generation.
#[derive(Debug, Default)]
pub struct Table {
    entries: Slab<Entry>,
    generation: u32,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    replies: Replies,
}

impl Table {
    /// Adds a session and returns its ticket, with sequence and part 0.
    pub fn insert(&mut self) -> Ticket {
        self.generation = self.generation.wrapping_add(1).max(1);
        let session = self.entries.insert(Entry {
            generation: self.generation,
            replies: Replies::default(),
        });
        Ticket {
            session: u32::try_from(session).expect("sessions are fewer than 2^32"),
            generation: self.generation,
            sequence: 0,
            part: 0,
        }
    }

    /// Removes a session; its tickets become stale.
    pub fn remove(&mut self, ticket: Ticket) {
        if self.get(ticket).is_some() {
            self.entries.remove(ticket.session as usize);
        }
    }

    /// Returns the replies of the session that holds `ticket`, unless it is gone.
    pub fn get(&mut self, ticket: Ticket) -> Option<&mut Replies> {
        let entry = self.entries.get_mut(ticket.session as usize)?;
        (entry.generation == ticket.generation).then_some(&mut entry.replies)
    }

    /// Settles a ticket and wakes its session; a stale ticket is dropped.
    pub fn settle(&mut self, ticket: Ticket, reply: Piece<'_>) {
        if let Some(replies) = self.get(ticket) {
            replies.settle(ticket.sequence, ticket.part, reply);
            replies.bell().ring();
        }
    }

    /// Wakes every session.
    pub fn wake_all(&mut self) {
        for (_, entry) in &mut self.entries {
            entry.replies.bell().ring();
        }
    }

    /// Shows every session's replies to `look` and wakes those it says yes to.
    pub fn sweep(&mut self, mut look: impl FnMut(&mut Replies) -> bool) {
        for (_, entry) in &mut self.entries {
            if look(&mut entry.replies) {
                entry.replies.bell().ring();
            }
        }
    }

    /// Returns the number of sessions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
