//! Requests of the binary protocol.

use super::{
    answer::HEADER,
    draw::{Drawer, MAX_KEY},
    request::{Form, Piece, Request},
};

/// Operations that take a key, each as often as it is drawn.
const KEYED: [u8; 40] = [
    0x00, 0x00, 0x00, 0x01, 0x01, 0x01, 0x02, 0x02, 0x03, 0x04, 0x04, 0x05, 0x05, 0x06, 0x09, 0x09,
    0x09, 0x0c, 0x0c, 0x0c, 0x0d, 0x0d, 0x0d, 0x0e, 0x0f, 0x11, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
    0x19, 0x1a, 0x1c, 0x1d, 0x1d, 0x1e, 0x23, 0x24,
];

/// Operations without one: no-op, version, stat, flush, list of mechanisms, and numbers that no operation has.
const KEYLESS: [u8; 9] = [0x0a, 0x0b, 0x10, 0x08, 0x18, 0x1f, 0x20, 0x55, 0xff];

/// What a packet holds.
#[derive(Default)]
struct Packet {
    opcode: u8,
    extras: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    opaque: u32,
    /// Bytes that are told of the body, when they are not those there are.
    lie: Option<usize>,
}

impl Packet {
    fn pieces(&self, token: Piece) -> Vec<Piece> {
        let body = self.extras.len() + self.key.len() + self.value.len();
        let body = self.lie.unwrap_or(body);
        let mut head = vec![0x80, self.opcode];
        head.extend((self.key.len() as u16).to_be_bytes());
        head.extend([self.extras.len() as u8, 0, 0, 0]);
        head.extend((body as u32).to_be_bytes());
        head.extend(self.opaque.to_be_bytes());
        let rest = [&self.extras[..], &self.key, &self.value].concat();
        vec![Piece::Same(head), token, Piece::Same(rest)]
    }
}

impl Drawer<'_> {
    /// Draws a request of a client that speaks binary.
    pub(super) fn binary(&mut self) -> Request {
        *self.opaque = self.opaque.wrapping_add(0x0101_0003);
        let mut packet = Packet {
            opaque: *self.opaque,
            ..Packet::default()
        };
        match self.dice.below(12) {
            0 => self.keyless(&mut packet),
            _ => self.keyed_packet(&mut packet),
        }
        self.packed(packet)
    }

    /// Draws a packet over which the connection closes.
    pub(super) fn closing_packet(&mut self) -> Request {
        let mut packet = Packet::default();
        self.keyed_packet(&mut packet);
        self.spoil_packet(&mut packet);
        self.packed(packet)
    }

    fn packed(&mut self, packet: Packet) -> Request {
        let token = match self.dice.below(5) {
            0 if !packet.key.is_empty() => Piece::Token {
                key: packet.key.clone(),
                age: self.dice.below(8) / 7,
                form: Form::Bytes,
            },
            1 if self.once_in(5) => Piece::Same(vec![0x77; 8]),
            _ => Piece::Same(vec![0; 8]),
        };
        Request {
            name: name(packet.opcode),
            opaque: packet.opaque,
            pieces: packet.pieces(token),
            keys: vec![packet.key],
            is_last: false,
        }
    }

    fn keyless(&mut self, packet: &mut Packet) {
        packet.opcode = *self.dice.pick(&KEYLESS);
        match packet.opcode {
            0x08 | 0x18 if !self.is_alone => packet.opcode = 0x0a,
            0x08 | 0x18 if self.once_in(2) => packet.extras = vec![0; 4],
            0x10 => packet.key = self.one_of(&["", "items", "settings", "reset", "nosuch"]),
            // Had it a key, memcached 1.6.18 would throw away as many bytes too much.
            0x1f | 0x55 | 0xff if self.once_in(2) => packet.value = b"some value".to_vec(),
            _ => {}
        }
    }

    fn keyed_packet(&mut self, packet: &mut Packet) {
        packet.opcode = *self.dice.pick(&KEYED);
        packet.key = self.key().bytes;
        let time = || -> Vec<&[u8]> {
            vec![
                &[0; 4],
                &[0; 4],
                &[0, 0, 0x27, 0x10],
                &[0x77, 0x35, 0x94, 0],
                &[0xff; 4],
                &[0, 0x27, 0x8d, 1],
            ]
        };
        let time = self.dice.pick(&time()).to_vec();
        match packet.opcode {
            0x01..=0x03 | 0x11..=0x13 => {
                let flags: [&[u8]; 3] = [&[0; 4], &[0, 0, 0, 5], &[0xff; 4]];
                packet.extras = [*self.dice.pick(&flags), &time].concat();
                packet.value = self.value();
            }
            0x05 | 0x06 | 0x15 | 0x16 => {
                let numbers: [u64; 6] = [0, 1, 1, 10, 100, 1 << 40];
                let (delta, initial) = (*self.dice.pick(&numbers), *self.dice.pick(&numbers));
                packet.extras = [&delta.to_be_bytes()[..], &initial.to_be_bytes(), &time].concat();
            }
            0x0e | 0x0f | 0x19 | 0x1a => packet.value = self.value(),
            0x1c..=0x1e | 0x23 | 0x24 => packet.extras = time,
            _ => {}
        }
    }

    /// Makes a packet that no operation takes, over which the connection closes.
    fn spoil_packet(&mut self, packet: &mut Packet) {
        match self.dice.below(5) {
            0 => packet.opcode = 0x07,
            1 => packet.opcode = 0x17,
            2 => packet.extras.push(0),
            3 => packet.key = vec![b'k'; MAX_KEY + 1],
            _ => packet.lie = Some(packet.extras.len() + packet.key.len() / 2),
        }
        if packet.opcode & 0xef == 0x07 {
            (packet.extras, packet.key, packet.value) = Default::default();
        }
    }
}

/// What an operation is counted as.
pub(super) fn name(opcode: u8) -> String {
    format!("{opcode:#04x}")
}

/// A packet's CAS number.
pub(super) fn cas(packet: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(packet.get(16..HEADER)?.try_into().ok()?))
}
