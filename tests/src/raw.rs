//! A client that sends any bytes, cut anywhere, and reads replies exactly as they come.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use crate::{dice::Dice, resp, wait};

/// A blocking connection to anything that speaks RESP or Memcached text.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    /// How much of `read` has been handed out.
    taken: usize,
}

impl Raw {
    /// Connects to `addr`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(addr: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(wait::LIMIT))?;
        stream.set_write_timeout(Some(wait::LIMIT))?;
        Ok(Self {
            stream,
            read: Vec::new(),
            taken: 0,
        })
    }

    /// Connects to `addr`, on which somebody listens or will within [`wait::LIMIT`].
    ///
    /// # Panics
    /// When nobody does.
    #[track_caller]
    pub fn connect(addr: &str) -> Self {
        wait::eventually(&format!("{addr} listens"), wait::LIMIT, || {
            Self::open(addr).ok()
        })
    }

    /// Sets how long a read waits.
    pub fn set_read_limit(&mut self, limit: Duration) {
        self.stream
            .set_read_timeout(Some(limit))
            .expect("the limit is not zero");
    }

    /// A second handle, so that one thread writes while another reads.
    pub fn writer(&self) -> TcpStream {
        self.stream
            .try_clone()
            .expect("the socket has a second handle")
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `bytes`.
    ///
    /// # Panics
    /// When the connection is closed.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the connection takes bytes");
    }

    /// Sends `bytes` in up to `pieces + 1` writes, cut where the dice say.
    ///
    /// # Panics
    /// When the connection is closed.
    #[track_caller]
    pub fn send_cut(&mut self, bytes: &[u8], pieces: usize, dice: &mut Dice) {
        write_cut(&mut self.stream, bytes, pieces, dice).expect("the connection takes bytes");
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// Sends one RESP command and reads its reply.
    ///
    /// # Panics
    /// When no whole reply comes.
    #[track_caller]
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Vec<u8> {
        self.send(&resp::command(arguments));
        self.reply()
    }

    /// Sends one RESP command given as words and reads its reply as text, without the last line end.
    ///
    /// # Panics
    /// When no whole reply comes.
    #[track_caller]
    pub fn ask(&mut self, words: &str) -> String {
        let arguments: Vec<_> = words.split_whitespace().collect();
        let reply = self.call(&arguments);
        String::from_utf8_lossy(&reply).trim_end().to_owned()
    }

    /// Reads one RESP reply.
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` when the connection is closed.
    pub fn try_reply(&mut self) -> io::Result<Vec<u8>> {
        self.take(resp::reply_len)
    }

    /// Reads one RESP reply.
    ///
    /// # Panics
    /// When no whole reply comes.
    #[track_caller]
    pub fn reply(&mut self) -> Vec<u8> {
        self.try_reply().expect("a whole reply comes")
    }

    /// Reads one line, its end included.
    ///
    /// # Panics
    /// When no whole line comes.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self.take(|bytes| {
            bytes
                .iter()
                .position(|&byte| byte == b'\n')
                .map(|at| at + 1)
        });
        String::from_utf8_lossy(&line.expect("a whole line comes")).into_owned()
    }

    /// Reads exactly `len` bytes.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.take(|bytes| (bytes.len() >= len).then_some(len))
            .expect("the bytes come")
    }

    /// Reads until the other side closes, and returns what came before.
    ///
    /// # Panics
    /// When it does not close within [`wait::LIMIT`].
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill().expect("the connection is closed") > 0 {}
        self.read.split_off(self.taken)
    }

    /// Whether the other side has closed, or does within `limit`, without sending anything more.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.set_read_limit(limit);
        let closed = match self.fill() {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        self.set_read_limit(wait::LIMIT);
        closed && self.taken == self.read.len()
    }

    /// Reads until `end` finds where the next answer ends, and hands that out.
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` when the connection is closed.
    pub fn take(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Vec<u8>> {
        loop {
            if let Some(len) = end(&self.read[self.taken..]) {
                let answer = self.read[self.taken..self.taken + len].to_vec();
                self.taken += len;
                return Ok(answer);
            }
            self.read.drain(..self.taken);
            self.taken = 0;
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.read.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// Writes `bytes` in up to `pieces + 1` writes, cut where the dice say.
///
/// # Errors
/// Those of the socket.
pub fn write_cut(
    stream: &mut TcpStream,
    bytes: &[u8],
    pieces: usize,
    dice: &mut Dice,
) -> io::Result<()> {
    let mut cuts: Vec<_> = (0..pieces)
        .map(|_| dice.below(bytes.len().max(1)))
        .collect();
    cuts.sort_unstable();
    let mut start = 0;
    for cut in cuts {
        stream.write_all(&bytes[start..cut])?;
        start = cut;
    }
    stream.write_all(&bytes[start..])
}
