//! Bytes as they are told.

/// The first of some bytes, which tell differences of one cause from others.
pub(super) fn start(bytes: &[u8]) -> String {
    const FIRST: usize = 24;
    text(&bytes[..bytes.len().min(FIRST)])
}

/// Bytes escaped, and cut where they are long.
pub(super) fn text(bytes: &[u8]) -> String {
    const MOST: usize = 300;
    let cut = &bytes[..bytes.len().min(MOST)];
    let more = match bytes.len() > MOST {
        true => format!("... ({} bytes)", bytes.len()),
        false => String::new(),
    };
    if bytes.is_empty() {
        return "\"\"".to_owned();
    }
    format!("{}{more}", cut.escape_ascii())
}
