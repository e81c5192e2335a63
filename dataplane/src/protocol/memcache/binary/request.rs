//! Locating the parts of a binary request, and refusing what would put a shared connection out of step.

use super::{
    super::super::message::{Limits, Progress, Span},
    Class, HEADER, Header, Operation, REQUEST, Status, operation,
};

/// Longest name of a way to authenticate, as in Memcached.
const MAX_MECHANISM: u32 = 32;

/// Longest name and password together; what is longer is not right.
const MAX_CREDENTIALS: u32 = 64 * 1024;

/// Longest key, as in Memcached.
const MAX_KEY: u32 = 250;

/// What the bytes of a complete request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// A request that can be run.
    Operation(&'static Operation),
    /// A request to be answered by a status, in its turn.
    Refused {
        /// Why.
        status: Status,
        /// Bytes still to come behind the header, to be thrown away; `None` when the connection is to close.
        swallow: Option<usize>,
    },
}

/// What is open to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// It has come in where clients authenticate, and may do so again.
    Open,
    /// It is to authenticate before anything else.
    Shut,
    /// Nobody authenticates here.
    #[default]
    Unguarded,
}

/// Why a request cannot be located; the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first byte is none of a request's.
    #[error("no binary request begins with byte {first}")]
    Magic {
        /// The byte.
        first: u8,
    },
}

/// Locates one request at a time at the start of a buffer.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    located: Located,
    header: Option<Header>,
    entry: Entry,
    /// The header of the request is understood, the rest is being waited for.
    has_begun: bool,
}

impl RequestDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            located: refused(Status::UnknownCommand, None),
            header: None,
            entry: Entry::default(),
            has_begun: false,
        }
    }

    /// Says what is open to the client from its next request on.
    pub fn set_entry(&mut self, entry: Entry) {
        // A request that ended elsewhere than its header said would be one of another length.
        if !self.has_begun {
            self.entry = entry;
        }
    }

    /// Looks at the request at the start of `buf`.
    ///
    /// # Errors
    /// What is no request; the connection is out of step.
    #[inline]
    pub fn decode(&mut self, buf: &[u8]) -> Result<Progress, RequestError> {
        if let Some(first) = buf.first().filter(|first| **first != REQUEST) {
            return Err(RequestError::Magic { first: *first });
        }
        let Some(header) = Header::read(buf) else {
            return Ok(Progress::NeedMore { at_least: HEADER });
        };
        self.header = Some(header);
        let whole = HEADER + header.body as usize;
        self.located = self.look(&header, whole);
        self.has_begun = matches!(self.located, Located::Operation(_)) && buf.len() < whole;
        match self.located {
            Located::Refused { .. } => Ok(Progress::Complete { len: HEADER }),
            Located::Operation(_) if self.has_begun => Ok(Progress::NeedMore { at_least: whole }),
            Located::Operation(_) => Ok(Progress::Complete { len: whole }),
        }
    }

    fn look(&self, header: &Header, whole: usize) -> Located {
        // Before anything else, and so with the same words, as Memcached does.
        if header.extras + header.key > header.body {
            return refused(Status::UnknownCommand, None);
        }
        let operation = operation(header.opcode);
        if self.entry == Entry::Shut && !operation.is_some_and(is_open) {
            return refused(Status::AuthFailure, None);
        }
        let Some(operation) = operation else {
            return refused(Status::UnknownCommand, Some(header.body as usize));
        };
        if !is_sound(operation, header) {
            return refused(Status::InvalidArguments, None);
        }
        if matches!(operation.class, Class::Mechanisms | Class::Present) {
            return self.look_at_login(operation, header);
        }
        if whole > self.limits.max_request_bytes {
            return refused(Status::TooLarge, Some(header.body as usize));
        }
        Located::Operation(operation)
    }

    fn look_at_login(&self, operation: &'static Operation, header: &Header) -> Located {
        let body = Some(header.body as usize);
        if self.entry == Entry::Unguarded {
            return refused(Status::UnknownCommand, body);
        }
        match header.key > MAX_MECHANISM {
            true => refused(Status::InvalidArguments, body),
            false if header.body > MAX_CREDENTIALS => refused(Status::AuthFailure, body),
            false => Located::Operation(operation),
        }
    }

    /// What the complete request is.
    pub fn located(&self) -> Located {
        self.located
    }

    /// The header of the complete request.
    pub fn header(&self) -> Option<Header> {
        self.header
    }

    /// Where the key of the complete request is.
    pub fn key(&self) -> Span {
        self.header.map_or(0..0, |header| {
            let start = HEADER as u32 + header.extras;
            start..start + header.key
        })
    }
}

/// Whether clients may ask for it before they authenticate.
fn is_open(operation: &Operation) -> bool {
    matches!(
        operation.class,
        Class::Mechanisms | Class::Present | Class::Version
    )
}

/// Whether lengths are what the operation takes: an endpoint closes the connection over any other, and it is shared.
fn is_sound(operation: &Operation, header: &Header) -> bool {
    let fixed = header.extras + header.key;
    let has_extras = match operation.class {
        Class::Flush => header.extras == operation.extras || header.extras == 0,
        _ => header.extras == operation.extras,
    };
    let has_key = match operation.class {
        Class::Keyed | Class::Present => (1..=MAX_KEY).contains(&header.key),
        Class::Stat => header.key <= MAX_KEY,
        Class::Flush | Class::Mechanisms | Class::Noop | Class::Quit | Class::Version => {
            header.key == 0
        }
    };
    let has_body = match operation.has_value {
        true => header.body >= fixed,
        false => header.body == fixed,
    };
    has_extras && has_key && has_body
}

fn refused(status: Status, swallow: Option<usize>) -> Located {
    Located::Refused { status, swallow }
}
