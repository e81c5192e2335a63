//! What sets the connections to one endpoint apart: the database they work in and the dialect they speak.

use crate::protocol::redis::reply::{Dialect, write_array_header, write_bulk};

/// The database and the dialect of a connection; requests of a session travel on connections of its kind only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Number of the database.
    pub database: u32,
    /// What is spoken on it.
    pub dialect: Dialect,
    /// It speaks the binary protocol of Memcached instead.
    pub is_binary: bool,
}

impl Kind {
    /// Returns the commands that make a new connection one of this kind, none for the default kind.
    pub(super) fn opening(self) -> Vec<Vec<u8>> {
        let mut commands = Vec::new();
        if self.dialect == Dialect::Resp3 {
            commands.push(command(&["HELLO", "3"]));
        }
        if self.database != 0 {
            commands.push(command(&["SELECT", &self.database.to_string()]));
        }
        commands
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_header(&mut out, words.len());
    for word in words {
        write_bulk(&mut out, word);
    }
    out
}
