//! Requests of the classic text protocol.

use super::{
    draw::{Drawer, JUNK, MAX_KEY, line},
    request::{Piece, Request},
};

/// What is drawn; the more often it stands here, the more often.
const NAMES: [&str; 40] = [
    "get", "get", "get", "get", "get", "get", "get", "gets", "gets", "gets", "gat", "gats", "set",
    "set", "set", "set", "add", "add", "replace", "append", "append", "prepend", "cas", "cas",
    "cas", "cas", "delete", "delete", "delete", "incr", "incr", "incr", "decr", "decr", "touch",
    "touch", "mn", "(other)", "(other)", "(other)",
];

/// What the proxy refuses by design, for these belong to one endpoint.
const REFUSED: [&str; 8] = [
    "cache_memlimit 100",
    "slabs reassign 1 2",
    "lru tune 10 20",
    "lru_crawler enable",
    "shutdown",
    "refresh_certs",
    "watch",
    "lru mode flat",
];

/// What no server knows.
const UNKNOWN: [&str; 10] = [
    "nosuch a",
    "GET a",
    "Set a 0 0 1",
    "",
    " ",
    "mgx a",
    "getsx",
    "qget a",
    "mg",
    "me",
];

impl Drawer<'_> {
    /// Draws a request, right or wrong.
    pub(super) fn classic(&mut self) -> Request {
        let name = *self.dice.pick(&NAMES);
        match name {
            "get" | "gets" | "gat" | "gats" => self.retrieval(name),
            "set" | "add" | "replace" | "append" | "prepend" | "cas" => self.storage(name),
            "(other)" => self.other(),
            _ => self.keyed(name),
        }
    }

    fn retrieval(&mut self, name: &str) -> Request {
        let mut words = vec![name.as_bytes().to_vec()];
        if name.starts_with("gat") {
            words.push(self.any_time());
        }
        let count = match self.dice.below(40) {
            // Other lines than these close the connection when they are longer than 2048 bytes and come in pieces.
            0 if !name.starts_with("gat") => 100 + self.dice.below(100),
            0..10 if name.starts_with("gat") => self.dice.below(5),
            1..10 => self.dice.below(12),
            10..20 => 2,
            _ => 1,
        };
        for _ in 0..count {
            words.push(self.word().bytes);
        }
        self.maybe_spoiled(name, words)
    }

    /// A retrieval with a key that is too long.
    pub(super) fn bad_retrieval(&mut self) -> Request {
        let name = *self.dice.pick(&["get", "gets"]);
        let mut words = vec![name.as_bytes().to_vec()];
        for _ in 0..self.dice.below(5) {
            words.push(self.word().bytes);
        }
        // Behind others, a server would note that these were read.
        words.insert(1, vec![b'x'; MAX_KEY + 1]);
        let bytes = line(&words);
        Request {
            keys: words,
            ..Request::new(name, bytes)
        }
    }

    fn keyed(&mut self, name: &str) -> Request {
        let mut words = vec![name.as_bytes().to_vec()];
        match name {
            "mn" => {}
            "delete" => match self.once_in(6) {
                true => words.extend([self.word().bytes, self.one_of(&["0", "0", "1", "x"])]),
                false => words.push(self.any_word()),
            },
            "touch" => words.extend([self.any_word(), self.any_time()]),
            _ => words.extend([self.any_word(), self.number()]),
        }
        if name != "mn" && self.once_in(4) {
            words.push(b"noreply".to_vec());
        }
        self.maybe_spoiled(name, words)
    }

    /// A time, rarely one that is none.
    fn any_time(&mut self) -> Vec<u8> {
        match self.once_in(30) {
            true => self.one_of(&["x", "1.5", "99999999999999999999", "noreply", "5x"]),
            false => self.time(),
        }
    }

    /// A line without data, sometimes with a word too many, too few or another, or other blanks and ends.
    fn maybe_spoiled(&mut self, name: &str, mut words: Vec<Vec<u8>>) -> Request {
        let at = 1 + self.dice.below(words.len());
        let junk = (*self.dice.pick(&JUNK)).to_vec();
        match self.dice.below(60) {
            0 => words.truncate(at),
            1 if at < words.len() => words[at] = junk,
            2 if at < words.len() => {
                words.remove(at);
            }
            3 => words.insert(at, junk),
            4 => words.insert(at, Vec::new()),
            5 => words.push(vec![b' '; 3]),
            6 => words.insert(0, Vec::new()),
            7 => {
                let bytes = line(&words);
                let end = bytes.len() - 2;
                return Request {
                    keys: words.split_off(1),
                    ..Request::new(name, [&bytes[..end], b"\n"].concat())
                };
            }
            8 if words.len() > 1 => return self.with_nul(name, words),
            _ => {}
        }
        let bytes = line(&words);
        Request {
            keys: words,
            ..Request::new(name, bytes)
        }
    }

    /// A line with a NUL, which the proxy refuses: a server would see another key than the one it is routed by.
    fn with_nul(&mut self, name: &str, mut words: Vec<Vec<u8>>) -> Request {
        words[1] = b"a\0b".to_vec();
        let truth = line(&[b"delete".to_vec(), vec![b'x'; MAX_KEY + 1]]);
        let mut request = Request::new("(NUL)", "");
        // Other defects of the line come first, so there are none in it.
        let sound = match name {
            "get" | "gets" => words[..2].to_vec(),
            _ => vec![b"get".to_vec(), b"\0".to_vec()],
        };
        request.pieces = vec![Piece::Apart([line(&sound), truth])];
        request
    }

    fn other(&mut self) -> Request {
        match self.dice.below(7) {
            0 => Request::new("version", "version\r\n"),
            1 => {
                let kind = self.one_of(&["", " items", " slabs", " sizes", " settings", " reset"]);
                Request::new("stats", [b"stats", &kind[..], b"\r\n"].concat())
            }
            2 => {
                let words = self.one_of(&["", " 0", " 1", " 0 noreply", " x", " 0 1", " noreply"]);
                Request::new("verbosity", [b"verbosity", &words[..], b"\r\n"].concat())
            }
            3 if self.is_alone => {
                let words = self.one_of(&[
                    "",
                    "",
                    " 0",
                    " noreply",
                    " 0 noreply",
                    " x",
                    " 1 2 3",
                    " -1",
                ]);
                Request::new("flush_all", [b"flush_all", &words[..], b"\r\n"].concat())
            }
            4 | 5 => {
                let words = *self.dice.pick(&REFUSED);
                let mut request = Request::new(words.split(' ').next().unwrap_or(words), "");
                let truth = b"refused-by-design\r\n".to_vec();
                request.pieces = vec![Piece::Apart([format!("{words}\r\n").into_bytes(), truth])];
                request
            }
            _ => {
                let mut unknown = self.one_of(&UNKNOWN);
                unknown.extend_from_slice(b"\r\n");
                Request::new("(unknown)", unknown)
            }
        }
    }

    fn storage(&mut self, name: &str) -> Request {
        let key = self.any_word();
        let value = self.value();
        let mut flags = self.one_of(&["0", "0", "5", "65536", "4294967295", "+7", "007"]);
        let mut time = self.time();
        let mut len = value.len().to_string().into_bytes();
        let mut token = match name {
            "cas" => self.token(&key),
            _ => Piece::Same(Vec::new()),
        };
        // The data behind a line that is refused are thrown away here, where a server reads them as commands.
        let mut is_refused = key.len() > MAX_KEY;
        let mut is_lost = false;
        match self.dice.below(50) {
            0 => (flags, is_refused) = (self.one_of(&["-1", "x", "5x"]), true),
            1 => (time, is_refused) = (self.one_of(&["x", "1.5", "5x"]), true),
            2 if name == "cas" => {
                let bad = self.one_of(&["x", "-1", "18446744073709551616", "5x"]);
                (token, is_refused) = (Piece::Same(bad), true);
            }
            3 if value.len() < 100 => {
                let bad = ["-1", "x", "2147483646", "2147483648", "4294967295", "5x"];
                (len, is_lost) = (self.one_of(&bad), true);
            }
            _ => {}
        }
        let mut words = vec![name.as_bytes().to_vec(), key, flags, time, len];
        let has_noreply = self.once_in(5);
        let mut tail = if has_noreply { " noreply" } else { "" }.to_owned();
        match self.dice.below(60) {
            0 if value.len() < 100 => {
                (is_lost, is_refused) = (true, false);
                words.truncate(2 + self.dice.below(3));
                (token, tail) = (Piece::Same(Vec::new()), String::new());
            }
            1 if value.len() < 100 => {
                (is_lost, is_refused) = (true, false);
                tail.push_str(" x y z");
            }
            _ => {}
        }
        let thrown = value.len() + 2;
        let mut data = value;
        // Over one too large a server forgets the old value, whatever stands behind the new one.
        let odds = if data.len() < 1_000_000 { 0 } else { 3 };
        match odds + self.dice.below(40) {
            0 => data.extend_from_slice(b"!\r\n"),
            1 => data.extend_from_slice(b"\n\r"),
            2 => data.extend_from_slice(b"xy"),
            _ => data.extend_from_slice(b"\r\n"),
        }
        // What no side takes for data are lines, and shall not glue to the next.
        if is_lost && !data.ends_with(b"\n") {
            data.extend_from_slice(b"\r\n");
        }
        let mut pieces = vec![Piece::Same(words.join(&b' '))];
        if !matches!(&token, Piece::Same(bytes) if bytes.is_empty()) {
            pieces.extend([Piece::Same(b" ".to_vec()), token]);
        }
        pieces.push(Piece::Same([tail.as_bytes(), b"\r\n"].concat()));
        pieces.extend(data_pieces(
            data,
            (is_refused && !is_lost).then_some(thrown),
        ));
        Request {
            pieces,
            ..Request::new(name, "")
        }
    }
}

/// Data behind a line; of a refused one the proxy throws so many bytes away, and the server does not hear them.
pub(super) fn data_pieces(data: Vec<u8>, thrown: Option<usize>) -> Vec<Piece> {
    let Some(thrown) = thrown else {
        return vec![Piece::Same(data)];
    };
    vec![
        Piece::Apart([data[..thrown].to_vec(), Vec::new()]),
        Piece::Same(data[thrown..].to_vec()),
    ]
}
