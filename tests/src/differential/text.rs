//! Bytes as they are told.

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
