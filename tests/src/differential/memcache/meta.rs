//! Requests of the meta text protocol.

use super::{
    classic::data_pieces,
    draw::{Drawer, Key, MAX_KEY},
    request::{Piece, Request},
};

/// Most flags that a server reads before it gives a line up, and takes its data for commands.
const MAX_FLAGS: usize = 16;

const NAMES: [&str; 12] = [
    "mg", "mg", "mg", "mg", "ms", "ms", "ms", "md", "md", "ma", "ma", "me",
];

/// Flags without a word of their own, by command.
fn letters(name: &str) -> &'static [&'static str] {
    match name {
        "mg" => &["v", "v", "v", "t", "s", "c", "f", "h", "l", "k", "q"],
        "ms" => &["c", "k", "q", "I", "s"],
        "md" => &["k", "q", "I"],
        "ma" => &["v", "v", "t", "c", "k", "q"],
        _ => &[],
    }
}

/// Flags that carry a word, by command.
fn tokens(name: &str) -> &'static [&'static str] {
    match name {
        "mg" => &[
            "O7", "Oabcdef", "N1000", "N0", "R50000", "R0", "T0", "T5000", "T-1",
        ],
        "ms" => &[
            "O1",
            "F5",
            "F4294967295",
            "T0",
            "T1000",
            "T-1",
            "MS",
            "Mset",
            "ME",
            "MA",
            "Mappend",
            "MP",
            "MR",
            "N0",
        ],
        "md" => &["O9", "T0", "T1000", "T-1"],
        "ma" => &[
            "O3", "N0", "N1000", "J10", "J0", "D5", "D100", "MI", "MD", "Mdecr", "M-", "M+", "T0",
            "T1000",
        ],
        _ => &[],
    }
}

/// Flags that are wrong, or of another release.
const BAD: [&str; 16] = [
    "x",
    "E123",
    "MX",
    "Tx",
    "Nx",
    "Rx",
    "Dx",
    "Jx",
    "Cx",
    "Fx",
    "!",
    "v",
    "k",
    "q",
    "O0123456789012345678901234567890123456789",
    "S5",
];

/// Spellings of keys that are no base64.
const BAD_KEYS: [&str; 5] = ["!!!", "YQ=", "YQ", "Y", "="];

impl Drawer<'_> {
    /// Draws a request, right or wrong.
    pub(super) fn meta(&mut self) -> Request {
        let name = *self.dice.pick(&NAMES);
        let (spelled, mut flags) = self.spelled(name);
        let has_line_end = spelled.bytes.contains(&b'\n');
        let keys = vec![spelled.bytes.clone()];
        let mut key = match flags.is_empty() {
            true => spelled.bytes,
            false => self.loosely(spelled.encoded()),
        };
        if self.once_in(60) {
            (key, flags) = (self.one_of(&BAD_KEYS), vec![b"b".to_vec()]);
        }
        let is_good = !BAD_KEYS.iter().any(|bad| bad.as_bytes() == key);
        for _ in 0..self.dice.below(4) {
            flags.push(self.flag(letters(name)));
        }
        for _ in 0..self.dice.below(3) {
            flags.push(self.flag(tokens(name)));
        }
        if self.once_in(12) {
            let bad = self.one_of(&BAD);
            let at = self.dice.below(flags.len() + 1);
            flags.insert(at, bad);
        }
        // Most flags may come once.
        if !self.once_in(20) {
            let mut seen = Vec::new();
            flags.retain(|flag| {
                let is_new = !flag.is_empty() && !seen.contains(&flag[0]);
                seen.extend(flag.first());
                is_new
            });
        }
        if self.once_in(80) {
            flags.extend((0..30).map(|number| format!("O{number}").into_bytes()));
        }
        let is_told = |flags: &[Vec<u8>]| flags.iter().any(|flag| flag.starts_with(b"k"));
        if has_line_end && is_good && is_told(&flags) {
            if name != "ms" {
                return self.untold(name, &key, &flags);
            }
            flags.retain(|flag| !flag.starts_with(b"k"));
        }
        let token = match name {
            "ms" | "md" | "ma" if self.once_in(4) => Some(self.token(&key)),
            _ => None,
        };
        let mut request = match name {
            "ms" => self.meta_set(&key, &flags, token),
            _ => {
                let mut pieces = vec![Piece::Same([name.as_bytes(), b" ", &key].concat())];
                pieces.extend(written(&flags, token));
                Request {
                    pieces,
                    ..Request::new(name, "")
                }
            }
        };
        request.keys = keys;
        request
    }

    /// Writes a key in base64 as Memcached reads it too: with what it passes over, or something behind the padding.
    fn loosely(&mut self, mut key: Vec<u8>) -> Vec<u8> {
        if self.once_in(8) && key.ends_with(b"=") {
            key.extend_from_slice(b"YQ==");
        }
        if self.once_in(8) {
            let at = self.dice.below(key.len() + 1);
            key.insert(at, b'-');
        }
        key
    }

    /// A request whose answer would name a key with a line end, which the proxy refuses.
    fn untold(&mut self, name: &str, key: &[u8], flags: &[Vec<u8>]) -> Request {
        let line = [name.as_bytes(), b" ", key, &in_line(flags), b"\r\n"].concat();
        Request {
            pieces: vec![Piece::Apart([line, b"refused-by-design\r\n".to_vec()])],
            ..Request::new(name, "")
        }
    }

    fn flag(&mut self, choices: &[&str]) -> Vec<u8> {
        match choices {
            [] => Vec::new(),
            _ => self.one_of(choices),
        }
    }

    /// A key, and the flag that says that it is written in base64.
    fn spelled(&mut self, name: &str) -> (Key, Vec<Vec<u8>>) {
        // The answer to `me` has a key as it is.
        let key = match name {
            "me" => self.word(),
            _ => self.key(),
        };
        if !key.is_word || self.once_in(4) {
            return (key, vec![b"b".to_vec()]);
        }
        let mut key = key;
        if self.once_in(60) {
            key.bytes.resize(MAX_KEY + 1 + self.dice.below(60), b'x');
        }
        (key, Vec::new())
    }

    fn meta_set(&mut self, key: &[u8], flags: &[Vec<u8>], token: Option<Piece>) -> Request {
        let value = self.value();
        let mut len = value.len().to_string().into_bytes();
        let mut is_refused = key.len() > MAX_KEY;
        let mut is_lost = false;
        if self.once_in(40) && value.len() < 100 {
            let bad = ["-1", "x", "2147483646", "2147483648", "5x", "S1"];
            (len, is_lost, is_refused) = (self.one_of(&bad), true, false);
        }
        is_refused |= !is_lost && flags.len() + usize::from(token.is_some()) > MAX_FLAGS;
        let mut data = value;
        let thrown = data.len() + 2;
        // Over one too large a server forgets the old value, whatever stands behind the new one.
        let odds = if data.len() < 1_000_000 { 0 } else { 3 };
        data.extend_from_slice(match odds + self.dice.below(40) {
            0 => b"!\r\n",
            1 if !is_lost => b"xy",
            _ => b"\r\n",
        });
        let mut pieces = vec![Piece::Same([b"ms ", key, b" ", &len].concat())];
        pieces.extend(written(flags, token));
        pieces.extend(data_pieces(data, is_refused.then_some(thrown)));
        Request {
            pieces,
            ..Request::new("ms", "")
        }
    }
}

/// Flags as they stand in a line.
fn in_line(flags: &[Vec<u8>]) -> Vec<u8> {
    let flags = flags.iter().map(|flag| [b" ", &flag[..]].concat());
    flags.collect::<Vec<_>>().concat()
}

/// Flags and a CAS number as they stand in a line, and its end.
fn written(flags: &[Vec<u8>], token: Option<Piece>) -> Vec<Piece> {
    let mut pieces = vec![Piece::Same(in_line(flags))];
    if let Some(token) = token {
        pieces.extend([Piece::Same(b" C".to_vec()), token]);
    }
    pieces.push(Piece::Same(b"\r\n".to_vec()));
    pieces
}
