//! Scripts that clients have shown, for endpoints that do not know them.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use sha1::{Digest, Sha1};

use crate::protocol::{
    message::{Limits, Progress, bytes_of},
    redis::{
        reply::{write_array_header, write_bulk},
        request::RequestDecoder,
    },
};

/// Scripts kept, per cluster and worker.
const CAPACITY: usize = 4096;

/// Bytes of scripts kept, per cluster and worker.
const CAPACITY_BYTES: usize = 16 * 1024 * 1024;

/// The SHA-1 of a script, its name.
pub type Sha = [u8; 20];

/// The scripts seen last, by name.
#[derive(Debug, Default)]
pub struct Scripts {
    kept: RefCell<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_name: HashMap<Sha, Rc<[u8]>>,
    /// The oldest first.
    order: VecDeque<Sha>,
    bytes: usize,
}

impl Scripts {
    /// Keeps a script, the oldest leave when there are too many, and returns its name.
    pub fn remember(&self, script: &[u8]) -> Sha {
        let name = Sha::from(Sha1::digest(script));
        let mut kept = self.kept.borrow_mut();
        if script.len() > CAPACITY_BYTES || kept.by_name.contains_key(&name) {
            return name;
        }
        while kept.order.len() >= CAPACITY || kept.bytes + script.len() > CAPACITY_BYTES {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            let gone = kept.by_name.remove(&oldest);
            kept.bytes -= gone.map_or(0, |script| script.len());
        }
        kept.bytes += script.len();
        kept.order.push_back(name);
        kept.by_name.insert(name, Rc::from(script));
        name
    }

    /// Returns the script that `word`, in hexadecimal digits of any case, names.
    pub fn find(&self, word: &[u8]) -> Option<Rc<[u8]>> {
        let name = read_name(word)?;
        self.kept.borrow().by_name.get(&name).cloned()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.kept.take();
    }

    /// Returns the request that runs by its text what `request` runs by its name; `None` when the script is not known.
    pub(super) fn by_text(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut decoder = RequestDecoder::new(Limits::default());
        let Ok(Progress::Complete { .. }) = decoder.decode(request) else {
            return None;
        };
        let args = decoder.args();
        let command = match bytes_of(request, args.first()?)
            .to_ascii_lowercase()
            .as_slice()
        {
            b"evalsha" => "EVAL",
            b"evalsha_ro" => "EVAL_RO",
            _ => return None,
        };
        let script = self.find(bytes_of(request, args.get(1)?))?;
        let mut out = Vec::with_capacity(request.len() + script.len());
        write_array_header(&mut out, args.len());
        write_bulk(&mut out, command);
        write_bulk(&mut out, &script);
        for span in args.iter().skip(2) {
            write_bulk(&mut out, bytes_of(request, span));
        }
        Some(out)
    }
}

fn read_name(word: &[u8]) -> Option<Sha> {
    let mut name = Sha::default();
    let (digits, rest) = word.as_chunks::<2>();
    if digits.len() != name.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in name.iter_mut().zip(digits) {
        let digit = |letter: u8| char::from(letter).to_digit(16);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8] = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

    #[test]
    fn script_is_found_by_its_name() {
        let scripts = Scripts::default();
        assert!(scripts.find(NAME).is_none());
        scripts.remember(b"return 1");
        for name in [NAME.to_vec(), NAME.to_ascii_uppercase()] {
            assert_eq!(scripts.find(&name).as_deref(), Some(&b"return 1"[..]));
        }
        for name in [&NAME[1..], b"", b"x0e1f9fabfc9d4800c877a703b823ac0578ff8db"] {
            assert!(scripts.find(name).is_none());
        }
        scripts.clear();
        assert!(scripts.find(NAME).is_none());
    }

    #[test]
    fn request_by_name_becomes_one_by_text() {
        let scripts = Scripts::default();
        scripts.remember(b"return 1");
        let request = |command: &str| {
            let name = String::from_utf8_lossy(NAME);
            let len = command.len();
            format!("*4\r\n${len}\r\n{command}\r\n$40\r\n{name}\r\n$1\r\n1\r\n$1\r\na\r\n")
        };
        for (name, text) in [("evalSHA", "EVAL"), ("EVALSHA_RO", "EVAL_RO")] {
            let by_text = scripts.by_text(request(name).as_bytes());
            let len = text.len();
            let expected =
                format!("*4\r\n${len}\r\n{text}\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$1\r\na\r\n");
            assert_eq!(by_text, Some(expected.into_bytes()));
        }
        assert!(scripts.by_text(request("EVALX").as_bytes()).is_none());
        scripts.clear();
        assert!(scripts.by_text(request("EVALSHA").as_bytes()).is_none());
    }

    #[test]
    fn kept_scripts_are_bounded_in_number_and_bytes() {
        let scripts = Scripts::default();
        for number in 0..CAPACITY + 10 {
            scripts.remember(format!("return {number}").as_bytes());
        }
        assert_eq!(scripts.kept.borrow().by_name.len(), CAPACITY);
        let large = vec![b'-'; CAPACITY_BYTES - 8];
        scripts.remember(&large);
        scripts.remember(b"return 1");
        assert_eq!(scripts.kept.borrow().by_name.len(), 2);
        assert_eq!(scripts.kept.borrow().bytes, CAPACITY_BYTES);
        assert!(scripts.find(NAME).is_some());
        scripts.remember(&vec![b'-'; CAPACITY_BYTES + 1]);
        assert_eq!(scripts.kept.borrow().by_name.len(), 2);
    }
}
