//! Gets that lie side by side in the outbox: they travel as one, and each is answered by its own value.
//!
//! ```text
//!  outbox    … get a b c\r\n            fifo   [ a ][ b ][ c ][ b ]
//!              ↑ start of all four                              ↑ asks for a key that travels already
//! ```

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::Connection;
use crate::{
    inflight::{ByteQueue, Piece},
    protocol::memcache::reply::{is_error, values},
    upstream::{Expect, Get, Loss, Nanos, Pending},
};

/// Most gets that travel as one.
const MAX_MEMBERS: usize = 64;

/// Most bytes of a line; Memcached reads longer ones at greater cost.
const MAX_LINE: u64 = 2048;

const LINE_END: &[u8] = b"\r\n";

/// The keys of the last get in the outbox, to find those that are asked for again.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Of each key a number that seldom belongs to another.
    tags: Vec<u64>,
    /// Of each key where it ends, counted from the start of the line, and its length.
    places: Vec<(u32, u8)>,
    /// Gets that ask for them.
    members: usize,
}

impl Keys {
    fn clear(&mut self) {
        self.tags.clear();
        self.places.clear();
        self.members = 0;
    }

    fn add(&mut self, key: &[u8], place: (u32, u8)) {
        self.tags.push(tag(key));
        self.places.push(place);
    }

    /// Returns where `key` ends in the line at `start`, if it is there.
    fn find(&self, key: &[u8], start: u64, outbox: &ByteQueue) -> Option<u32> {
        let wanted = tag(key);
        let mut places = self.tags.iter().zip(&self.places);
        let found = places
            .find(|(tag, place)| **tag == wanted && key_at(outbox, start, **place) == Some(key));
        found.map(|(_, (end, _))| *end)
    }
}

/// The last bytes of a key, which differ most, as a number.
fn tag(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let tail = key.get(key.len().saturating_sub(8)..).unwrap_or(key);
    for (byte, last) in bytes.iter_mut().zip(tail) {
        *byte = *last;
    }
    u64::from_le_bytes(bytes)
}

/// The key of the line at `start` that ends and is as long as `place` says.
fn key_at(outbox: &ByteQueue, start: u64, (end, len): (u32, u8)) -> Option<&[u8]> {
    let from = start + u64::from(end) - u64::from(len);
    outbox.chunk(from).get(..usize::from(len))
}

impl Connection {
    /// Queues a get of `key`: behind the key before it, if that waits to be sent in a get too, else in a line of its own.
    pub(super) fn push_get(&mut self, key: &[u8], get: Get, pending: Pending, now: Nanos) {
        let group = self.fifo.back().and_then(|last| match last.expect {
            Expect::Value(other) if other.joins(get) && last.start >= self.written => {
                Some(last.start)
            }
            _ => None,
        });
        let group = group.filter(|_| self.keys.members < MAX_MEMBERS);
        let known = group.and_then(|start| self.keys.find(key, start, &self.outbox));
        if let (Some(start), Some(end)) = (group, known) {
            self.keys.members += 1;
            return self.await_reply(start, end, pending, now);
        }
        let is_room = |start: u64| {
            let len = self.outbox.end() - start + key.len() as u64;
            len < MAX_LINE
        };
        let start = match group.filter(|start| is_room(*start)) {
            Some(start) => {
                self.outbox.retract(LINE_END.len());
                start
            }
            None => {
                self.keys.clear();
                let start = self.outbox.end();
                self.outbox
                    .push(if get.with_cas { b"gets" } else { b"get" });
                start
            }
        };
        // In one piece, so that it can be found in one piece.
        self.outbox.push_with(|out| {
            out.push(b' ');
            out.extend_from_slice(key);
            out.extend_from_slice(LINE_END);
        });
        let end = self.outbox.end() - start - LINE_END.len() as u64;
        let end = u32::try_from(end).expect("a line of gets is short");
        self.keys.add(key, (end, get.key));
        self.keys.members += 1;
        self.await_reply(start, end, pending, now);
    }
}

/// Gives each get at the front of `fifo` that travelled in one line its part of the `reply` to all of them: its value,
/// nothing, or the error that stands in its place.
///
/// # Errors
/// [`Loss::Malformed`] when a value is nobody's; then nobody was given anything.
pub(super) fn give_each(
    fifo: &mut VecDeque<Pending>,
    outbox: &ByteQueue,
    reply: &Piece<'_>,
    each: &mut impl FnMut(&Pending, Piece<'_>, &ByteQueue),
) -> Result<(), Loss> {
    let Some(start) = fifo.front().map(|pending| pending.start) else {
        return Ok(());
    };
    // By where its key ends: where the value of a key lies in the reply.
    let mut found: SmallVec<[(u32, u32, u32); MAX_MEMBERS]> = SmallVec::new();
    let mut rest = values(reply.bytes());
    let (mut at, mut count) = (0, 0);
    let mut next = rest.next();
    for pending in fifo.iter().take_while(|pending| pending.start == start) {
        count += 1;
        let Expect::Value(get) = pending.expect else {
            continue;
        };
        if found.last().is_some_and(|(end, ..)| *end >= pending.len) {
            // It is asked for again.
            continue;
        }
        let key = key_at(outbox, start, (pending.len, get.key));
        let value = next.filter(|value| Some(value.key) == key);
        let len = value.map_or(0, |value| value.block.len() as u32);
        found.push((pending.len, at, len));
        if value.is_some() {
            at += len;
            next = rest.next();
        }
    }
    if next.is_some() {
        return Err(Loss::Malformed("a value that was not asked for".to_owned()));
    }
    let last = rest.rest();
    let absent = if is_error(last) { last } else { b"" };
    for pending in fifo.drain(..count) {
        let place = found.binary_search_by_key(&pending.len, |(end, ..)| *end);
        let place = place.ok().and_then(|index| found.get(index));
        let (_, at, len) = place.copied().unwrap_or_default();
        match len {
            0 => each(&pending, Piece::Borrowed(absent), outbox),
            _ => each(&pending, reply.part(at as usize, len as usize), outbox),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, time::Duration};

    use super::*;
    use crate::{
        inflight::Ticket,
        protocol::message::Limits,
        upstream::{Dial, Kind, QueueLimits, Target, Wire},
    };

    const ALONE: Get = Get {
        key: 0,
        with_cas: false,
        is_alone: true,
    };
    const GET: Get = Get {
        is_alone: false,
        ..ALONE
    };
    const GETS: Get = Get {
        with_cas: true,
        ..GET
    };

    /// A connection that was not opened yet.
    fn connection() -> Connection {
        let addr: prism_proto::model::EndpointAddr = "127.0.0.1:1".parse().expect("an address");
        let target = Target {
            label: addr.to_string(),
            addr,
        };
        let dial = Dial {
            timeout: Duration::from_secs(1),
            keepalive: None,
            handshake: crate::upstream::Handshake::Redis(Vec::new()),
            kind: Kind::default(),
        };
        let limits = QueueLimits {
            requests: 1000,
            bytes: 1 << 20,
        };
        let (target, dial) = (Rc::new(target), Rc::new(dial));
        Connection::new(target, dial, limits, Limits::default(), Wire::Memcache)
    }

    /// Queues requests: keys of gets, or whole lines.
    fn queue(connection: &mut Connection, requests: &[(&str, Option<Get>)]) {
        for (sequence, (text, get)) in requests.iter().enumerate() {
            let pending = Pending {
                ticket: Ticket {
                    session: 0,
                    generation: 1,
                    sequence: sequence as u32,
                    part: 0,
                },
                queued: 0,
                start: 0,
                len: 0,
                expect: get.map_or(Expect::Line, |get| {
                    let key = u8::try_from(text.len()).expect("a short key");
                    Expect::Value(Get { key, ..get })
                }),
                hops: 0,
                is_write: false,
                kind: 0,
            };
            let request = Piece::Borrowed(text.as_bytes());
            connection.enqueue(request, pending, 0).expect("taken");
        }
    }

    fn outbox(connection: &Connection) -> String {
        let mut bytes = Vec::new();
        let len = connection.outbox.held();
        connection
            .outbox
            .copy(connection.outbox.end() - len as u64, len, &mut bytes);
        String::from_utf8(bytes).expect("text")
    }

    /// What each request is given of one reply, by its number.
    fn given(connection: &mut Connection, reply: &str) -> Result<Vec<(u32, String)>, Loss> {
        let mut given = Vec::new();
        let Connection { fifo, outbox, .. } = connection;
        give_each(
            fifo,
            outbox,
            &Piece::Borrowed(reply.as_bytes()),
            &mut |pending, reply, _| {
                let text = String::from_utf8_lossy(reply.bytes()).into_owned();
                given.push((pending.ticket.sequence, text));
            },
        )?;
        Ok(given)
    }

    #[test]
    fn neighbours_travel_as_one_line() {
        let mut connection = connection();
        let requests = [
            ("a", Some(GET)),
            ("bb", Some(GET)),
            ("a", Some(GET)),
            ("12345678c", Some(GET)),
            ("x2345678c", Some(GET)),
            ("a", Some(GETS)),
            ("b", Some(GETS)),
            ("b", Some(ALONE)),
            ("b", Some(GET)),
            ("delete b\r\n", None),
            ("b", Some(GET)),
        ];
        queue(&mut connection, &requests);
        let expected =
            "get a bb 12345678c x2345678c\r\ngets a b\r\nget b\r\nget b\r\ndelete b\r\nget b\r\n";
        assert_eq!(outbox(&connection), expected);
        assert_eq!(connection.fifo.len(), requests.len());
    }

    #[test]
    fn what_is_being_written_is_left_alone() {
        let mut connection = connection();
        queue(&mut connection, &[("a", Some(GET)), ("b", Some(GET))]);
        connection.written = 3;
        queue(&mut connection, &[("a", Some(GET)), ("c", Some(GET))]);
        assert_eq!(outbox(&connection), "get a b\r\nget a c\r\n");
    }

    #[test]
    fn lines_are_bounded() {
        let mut connection = connection();
        let long = "k".repeat(250);
        let keys: Vec<_> = (0..65).map(|number| format!("{number:04}")).collect();
        let keys = keys.iter().map(|key| (key.as_str(), Some(GET)));
        queue(&mut connection, &keys.collect::<Vec<_>>());
        let longer: Vec<_> = (0..9)
            .map(|number| format!("{number}{}", &long[1..]))
            .collect();
        let longer = longer.iter().map(|key| (key.as_str(), Some(GET)));
        queue(&mut connection, &longer.collect::<Vec<_>>());
        queue(&mut connection, &[("same", Some(GETS)); 65]);
        let text = outbox(&connection);
        let lens: Vec<_> = text.lines().map(|line| line.len() + 2).collect();
        assert_eq!(
            lens,
            [3 + 64 * 5 + 2, 3 + 5 + 8 * 251 + 2, 3 + 251 + 2, 11, 11]
        );
    }

    #[test]
    fn each_is_given_its_own_value() {
        let mut connection = connection();
        let requests = ["a", "b", "a", "c", "b", "d"].map(|key| (key, Some(GET)));
        queue(&mut connection, &requests);
        queue(&mut connection, &[("e", Some(GETS))]);
        let reply = "VALUE a 0 1\r\n1\r\nVALUE c 7 3\r\nEND\r\nEND\r\n";
        let (a, c) = ("VALUE a 0 1\r\n1\r\n", "VALUE c 7 3\r\nEND\r\n");
        let given = given(&mut connection, reply).expect("it fits");
        let texts: Vec<_> = given.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, [a, "", a, c, "", ""]);
        let sequences = given.iter().map(|(sequence, _)| *sequence);
        assert!(sequences.eq(0..6));
        assert_eq!(connection.fifo.len(), 1, "the gets waits for its own reply");
    }

    #[test]
    fn error_stands_for_what_did_not_come() {
        let mut connection = connection();
        queue(&mut connection, &["a", "b"].map(|key| (key, Some(GET))));
        let reply = "VALUE a 0 1\r\n1\r\nSERVER_ERROR gone\r\n";
        let given = given(&mut connection, reply).expect("it fits");
        assert_eq!(given[0].1, "VALUE a 0 1\r\n1\r\n");
        assert_eq!(given[1].1, "SERVER_ERROR gone\r\n");
    }

    #[test]
    fn value_of_nobody_fails_all() {
        for reply in [
            "VALUE b 0 1\r\n1\r\nVALUE a 0 1\r\n1\r\nEND\r\n",
            "VALUE c 0 0\r\n\r\nEND\r\n",
        ] {
            let mut connection = connection();
            queue(&mut connection, &["a", "b"].map(|key| (key, Some(GET))));
            assert!(given(&mut connection, reply).is_err());
            assert_eq!(connection.fifo.len(), 2, "nobody was answered");
        }
    }
}
