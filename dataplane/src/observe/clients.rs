//! The clients of one cluster on one worker.

use std::rc::Rc;

use super::{Filter, Listed, Record, Travel};
use crate::inflight::{Table, Ticket};

/// Records by the place of their session.
#[derive(Debug, Default)]
pub struct Clients {
    places: Vec<Option<Rc<Record>>>,
}

impl Clients {
    /// Adds the record of a client that has just connected.
    pub fn insert(&mut self, record: Rc<Record>) {
        let place = record.ticket.session as usize;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(record);
    }

    /// Forgets the client of a session, if it has a record.
    pub fn remove(&mut self, ticket: Ticket) {
        if self.get(ticket).is_some() {
            self.places[ticket.session as usize] = None;
        }
    }

    /// Returns the record of the client whose session holds `ticket`.
    pub fn get(&self, ticket: Ticket) -> Option<&Rc<Record>> {
        let record = self.places.get(ticket.session as usize)?.as_ref()?;
        (record.ticket.generation == ticket.generation).then_some(record)
    }

    /// Returns the clients that are meant.
    pub fn those(&self, filter: &Filter) -> impl Iterator<Item = &Rc<Record>> {
        let all = self.places.iter().flatten();
        all.filter(move |record| filter.fits(record))
    }

    /// Returns a line on each client that is meant; `travel` tells what the number of a kind of connections stands for.
    pub fn list(
        &self,
        filter: &Filter,
        table: &mut Table,
        now: u64,
        travel: impl Fn(u8) -> Travel,
    ) -> Vec<Listed> {
        let mut listed = Vec::new();
        for record in self.those(filter) {
            let Some(replies) = table.get(record.ticket) else {
                continue;
            };
            let mut line = String::new();
            // A string takes whatever is written.
            let _ = record.write(replies, now, travel(replies.kind), &mut line);
            listed.push(Listed {
                id: record.id,
                line,
            });
        }
        listed
    }
}
