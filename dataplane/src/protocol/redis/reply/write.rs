//! Writing replies the proxy makes itself.

/// What a client understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// RESP2, what every connection starts with.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Appends an error; `text` begins with its code (`ERR …`), line ends in it become spaces.
pub fn write_error(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    write_line(out, b'-', text.as_ref());
}

/// Appends a simple string; line ends in it become spaces.
pub fn write_simple(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    write_line(out, b'+', text.as_ref());
}

/// Appends an integer.
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a bulk string.
pub fn write_bulk(out: &mut Vec<u8>, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    write_bulk_header(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a text for people, in RESP2 a bulk string.
pub fn write_verbatim(out: &mut Vec<u8>, text: impl AsRef<[u8]>, dialect: Dialect) {
    let text = text.as_ref();
    if dialect == Dialect::Resp2 {
        return write_bulk(out, text);
    }
    write_header(out, b'=', text.len() + 4);
    out.extend_from_slice(b"txt:");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Appends the first line of a bulk string of `len` bytes.
pub fn write_bulk_header(out: &mut Vec<u8>, len: usize) {
    write_header(out, b'$', len);
}

/// Appends the first line of an array of `len` elements, which are to follow.
pub fn write_array_header(out: &mut Vec<u8>, len: usize) {
    write_header(out, b'*', len);
}

/// Appends the first line of a map of `len` pairs, in RESP2 an array of twice as many elements.
pub fn write_map_header(out: &mut Vec<u8>, len: usize, dialect: Dialect) {
    match dialect {
        Dialect::Resp2 => write_header(out, b'*', len * 2),
        Dialect::Resp3 => write_header(out, b'%', len),
    }
}

/// Appends the first line of a set of `len` elements, in RESP2 an array.
pub fn write_set_header(out: &mut Vec<u8>, len: usize, dialect: Dialect) {
    let kind = match dialect {
        Dialect::Resp2 => b'*',
        Dialect::Resp3 => b'~',
    };
    write_header(out, kind, len);
}

/// Appends null, in RESP2 the null bulk string.
pub fn write_null(out: &mut Vec<u8>, dialect: Dialect) {
    out.extend_from_slice(match dialect {
        Dialect::Resp2 => b"$-1\r\n",
        Dialect::Resp3 => b"_\r\n",
    });
}

/// Appends null where an array is expected, in RESP2 the null array.
pub fn write_null_array(out: &mut Vec<u8>, dialect: Dialect) {
    out.extend_from_slice(match dialect {
        Dialect::Resp2 => b"*-1\r\n",
        Dialect::Resp3 => b"_\r\n",
    });
}

fn write_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    }));
    out.extend_from_slice(b"\r\n");
}
