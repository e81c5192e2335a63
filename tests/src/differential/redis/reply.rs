//! A reply as a tree, so that parts of it can be compared in another way than byte for byte.

/// One reply, or one part of a reply; its first letter says its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// Parts; `None` is the null array.
    Many(u8, Option<Vec<Reply>>),
    /// Everything else: what stands in the line, or the bytes behind it; `None` is the null string.
    One(u8, Option<Vec<u8>>),
}

impl Reply {
    /// Reads one whole reply.
    ///
    /// # Panics
    /// When it is not whole.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let reply = take(&mut rest);
        assert!(rest.is_empty(), "one reply: {bytes:?}");
        reply
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::One(b'-' | b'!', _))
    }

    /// The parts, if it has some.
    pub fn parts(&mut self) -> &mut [Reply] {
        match self {
            Self::Many(_, Some(parts)) => parts,
            Self::Many(_, None) | Self::One(..) => &mut [],
        }
    }

    /// The number it is.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::One(b':', Some(text)) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The bytes of a string.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::One(b'$' | b'+' | b'=', Some(text)) => Some(text),
            _ => None,
        }
    }
}

fn take(rest: &mut &[u8]) -> Reply {
    let end = rest
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .expect("a line ends");
    let (kind, line) = (rest[0], &rest[1..end]);
    *rest = &rest[end + 2..];
    let count: Option<usize> = std::str::from_utf8(line)
        .ok()
        .and_then(|text| text.parse().ok());
    let mut many = |count: usize| -> Vec<Reply> { (0..count).map(|_| take(rest)).collect() };
    match kind {
        b'*' | b'~' | b'>' => Reply::Many(kind, count.map(many)),
        b'%' => Reply::Many(kind, count.map(|count| many(2 * count))),
        b'|' => Reply::Many(kind, count.map(|count| many(2 * count + 1))),
        b'$' | b'!' | b'=' => Reply::One(
            kind,
            count.map(|len| {
                let text = rest[..len].to_vec();
                *rest = &rest[len + 2..];
                text
            }),
        ),
        _ => Reply::One(kind, Some(line.to_vec())),
    }
}
