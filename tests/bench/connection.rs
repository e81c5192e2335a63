//! One connection of the load generator.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use prism_tests::dice::Dice;

use crate::{
    load::Target,
    wire::{Dialect, Scanner, Tally, Template},
};

/// A non-blocking connection with the requests it waits for.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    keys: Arc<[u32]>,
    out: Vec<u8>,
    /// How much of `out` the socket has taken.
    written: usize,
    /// The socket took no more, and was asked to say when it does.
    is_blocked: bool,
    scanner: Scanner,
    /// When requests were due, and how many then, in the order sent.
    waiting: VecDeque<(u64, usize)>,
}

impl Connection {
    /// Connects to `target`.
    pub(crate) fn open(target: &Target, dialect: Dialect) -> io::Result<Self> {
        let stream = TcpStream::connect(&target.addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            keys: Arc::clone(&target.keys),
            out: Vec::new(),
            written: 0,
            is_blocked: false,
            scanner: Scanner::new(dialect),
            waiting: VecDeque::new(),
        })
    }

    /// Its socket.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether every request is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the socket took no more at the last try.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Appends a request for a random key.
    pub(crate) fn push(&mut self, template: &Template, dice: &mut Dice) {
        let key = self.keys[dice.below(self.keys.len())];
        template.write(key, &mut self.out);
    }

    /// Notes that `count` requests were due at `due`.
    pub(crate) fn expect(&mut self, due: u64, count: usize) {
        self.waiting.push_back((due, count));
    }

    /// Writes what the socket takes; says whether [`Connection::is_blocked`] has changed.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let was_blocked = self.is_blocked;
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(taken) => self.written += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok(!was_blocked);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        self.is_blocked = false;
        Ok(was_blocked)
    }

    /// Reads once into `scratch` and tells `answered` when the answered requests were due.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        tally: &mut Tally,
        mut answered: impl FnMut(u64, usize),
    ) -> io::Result<()> {
        let len = match self.stream.read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let before = tally.replies;
        self.scanner.feed(&scratch[..len], tally);
        let mut left = (tally.replies - before) as usize;
        while left > 0 {
            let Some((due, count)) = self.waiting.front_mut() else {
                return Err(io::Error::other("a reply nobody asked for"));
            };
            let taken = left.min(*count);
            answered(*due, taken);
            left -= taken;
            *count -= taken;
            if *count == 0 {
                self.waiting.pop_front();
            }
        }
        Ok(())
    }
}
