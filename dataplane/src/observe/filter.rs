//! Which clients are meant.

use super::Record;

/// The kinds of clients that Redis tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// Sends commands.
    Normal,
    /// The primary this process replicates; a proxy has none.
    Primary,
    /// Is subscribed.
    PubSub,
    /// A replica of this process; a proxy has none.
    Replica,
}

impl ClientKind {
    /// Reads a kind as clients write it.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let kinds = [
            ("normal", Self::Normal),
            ("slave", Self::Replica),
            ("replica", Self::Replica),
            ("pubsub", Self::PubSub),
            ("master", Self::Primary),
        ];
        let found = kinds
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, kind)| *kind)
    }
}

/// Clients that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these.
    pub ids: Option<Vec<u64>>,
    /// With this address.
    pub addr: Option<Vec<u8>>,
    /// Connected to this address.
    pub local_addr: Option<Vec<u8>>,
    /// Logged in as this user.
    pub user: Option<Vec<u8>>,
    /// Of this kind.
    pub kind: Option<ClientKind>,
    /// Not this one.
    pub except: Option<u64>,
}

impl Filter {
    /// Returns whether `record` is one of them.
    pub fn fits(&self, record: &Record) -> bool {
        let is = |wanted: &Option<Vec<u8>>, text: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted == text.as_bytes())
        };
        self.ids.as_ref().is_none_or(|ids| ids.contains(&record.id))
            && is(&self.addr, &record.addr)
            && is(&self.local_addr, &record.local_addr)
            && is(&self.user, &record.user.borrow())
            && self.kind.is_none_or(|kind| kind == record.kind())
            && self.except != Some(record.id)
    }
}
