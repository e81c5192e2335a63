//! Headers of packets, and the packets the proxy writes itself.

/// Bytes of a header.
pub const HEADER: usize = 24;

/// First byte of a request.
pub const REQUEST: u8 = 0x80;

/// First byte of a reply.
pub const REPLY: u8 = 0x81;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`REQUEST`] or [`REPLY`].
    pub magic: u8,
    /// The operation.
    pub opcode: u8,
    /// Bytes of the key.
    pub key: u32,
    /// Bytes of the extras, which stand before the key.
    pub extras: u32,
    /// Of a reply: how it went.
    pub status: u16,
    /// Bytes of extras, key and value.
    pub body: u32,
    /// Comes back as it was sent.
    pub opaque: u32,
    /// Of a request: what the item must have; 0 for anything.
    pub cas: u64,
}

impl Header {
    /// Reads the header at the start of `packet`, `None` when it is not whole.
    #[inline]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = packet.first_chunk()?;
        let [
            magic,
            opcode,
            key_1,
            key_2,
            extras,
            _,
            status_1,
            status_2,
            rest @ ..,
        ] = bytes;
        let [body_1, body_2, body_3, body_4, a, b, c, d, cas @ ..] = rest;
        Some(Self {
            magic: *magic,
            opcode: *opcode,
            key: u32::from(u16::from_be_bytes([*key_1, *key_2])),
            extras: u32::from(*extras),
            status: u16::from_be_bytes([*status_1, *status_2]),
            body: u32::from_be_bytes([*body_1, *body_2, *body_3, *body_4]),
            opaque: u32::from_be_bytes([*a, *b, *c, *d]),
            cas: u64::from_be_bytes(*cas),
        })
    }

    /// Returns the packet that answers the request, with a value or words.
    pub fn answer<'a>(&self, status: Status, value: &'a [u8]) -> Packet<'a> {
        Packet {
            opcode: self.opcode,
            opaque: self.opaque,
            status,
            key: b"",
            value,
        }
    }
}

/// How a request went, in the numbers and words of Memcached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// More is to be presented.
    AuthContinue,
    /// What was presented is not right, or nothing was.
    AuthFailure,
    /// The client may not do that.
    Denied,
    /// The packet holds what the operation does not take.
    InvalidArguments,
    /// The proxy or an endpoint failed.
    InternalError,
    /// There is no such thing.
    NotFound,
    /// All is well.
    Ok,
    /// The value is larger than allowed.
    TooLarge,
    /// No operation has this number.
    UnknownCommand,
}

impl Status {
    /// Returns its number in headers.
    #[inline]
    pub fn number(self) -> u16 {
        match self {
            Self::Ok => 0,
            Self::NotFound => 1,
            Self::AuthFailure => 0x20,
            Self::AuthContinue => 0x21,
            Self::Denied => 0x24,
            Self::TooLarge => 3,
            Self::InvalidArguments => 4,
            Self::UnknownCommand => 0x81,
            Self::InternalError => 0x84,
        }
    }

    /// The words Memcached has for it.
    pub fn words(self) -> &'static [u8] {
        match self {
            Self::AuthContinue | Self::Ok => b"",
            Self::AuthFailure => b"Auth failure.",
            Self::Denied => b"No access",
            Self::NotFound => b"Not found",
            Self::TooLarge => b"Too large.",
            Self::InvalidArguments => b"Invalid arguments",
            Self::UnknownCommand => b"Unknown command",
            Self::InternalError => b"Internal error",
        }
    }
}

/// A reply that the proxy writes itself.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The operation that is answered.
    pub opcode: u8,
    /// What the request had there.
    pub opaque: u32,
    /// How it went.
    pub status: Status,
    /// Its key.
    pub key: &'a [u8],
    /// Its value, or the words of its status.
    pub value: &'a [u8],
}

impl Packet<'_> {
    /// Appends the packet.
    pub fn write(&self, out: &mut Vec<u8>) {
        let key = u16::try_from(self.key.len()).unwrap_or(u16::MAX);
        let body = u32::try_from(self.key.len() + self.value.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&[REPLY, self.opcode]);
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.status.number().to_be_bytes());
        out.extend_from_slice(&body.to_be_bytes());
        out.extend_from_slice(&self.opaque.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.value);
    }
}

/// Whether `reply` is a packet, and not words for a client of the text protocol.
#[inline]
pub fn is_packet(reply: &[u8]) -> bool {
    reply.first() == Some(&REPLY)
}

/// Appends the packet that stands for a failure in the words of the text protocol.
pub fn write_failure(out: &mut Vec<u8>, opcode: u8, opaque: u32, words: &[u8]) {
    let words = words.strip_prefix(b"SERVER_ERROR ").unwrap_or(words);
    let packet = Packet {
        opcode,
        opaque,
        status: Status::InternalError,
        key: b"",
        value: words.trim_ascii_end(),
    };
    packet.write(out);
}
