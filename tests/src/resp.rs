//! RESP by hand: building requests and telling where a reply ends.

/// A request as an array of bulk strings.
pub fn command<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A request of the words of `line`.
pub fn line(line: &str) -> Vec<u8> {
    command(&line.split_whitespace().collect::<Vec<_>>())
}

/// Requests that travel together, a line each.
pub fn pipeline(lines: &[impl AsRef<str>]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|words| line(words.as_ref()))
        .collect()
}

/// A reply without its line end, for people.
pub fn text(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).trim_end().to_owned()
}

/// A bulk string.
pub fn bulk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = format!("${}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

/// The length of the first whole reply in `bytes`, RESP2 or RESP3; `None` when it has not all come yet.
pub fn reply_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut owed = 1usize;
    while owed > 0 {
        let end = at + line_end(&bytes[at..])?;
        let (kind, text) = (bytes[at], &bytes[at + 1..end - 2]);
        at = end;
        owed -= 1;
        match kind {
            b'$' | b'!' | b'=' => {
                if let Some(len) = count(text) {
                    at += len + 2;
                }
            }
            b'*' | b'~' | b'>' => owed += count(text).unwrap_or(0),
            b'%' => owed += 2 * count(text).unwrap_or(0),
            b'|' => owed += 2 * count(text).unwrap_or(0) + 1,
            _ => {}
        }
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .map(|found| found + 2)
}

/// A count; `None` for the null forms (`-1`).
fn count(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_ends_where_its_last_part_ends() {
        let whole: [&[u8]; 10] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":12\r\n",
            b"$3\r\na\r\n\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n:1\r\n",
            b"_\r\n",
        ];
        for reply in whole {
            let mut more = reply.to_vec();
            more.extend_from_slice(b"+next\r\n");
            assert_eq!(reply_len(&more), Some(reply.len()), "{reply:?}");
            for cut in 0..reply.len() {
                assert_eq!(reply_len(&reply[..cut]), None, "{reply:?} cut at {cut}");
            }
        }
    }
}
