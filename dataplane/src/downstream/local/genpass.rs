//! ACL GENPASS: passwords nobody has thought of.

use super::{Asked, Client, Handler, Words, session::integer};
use crate::protocol::redis::reply::write_bulk;

const RANGE: Words = Words::Borrowed(
    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
);

/// Bits of a password when no number is given.
const BITS: i64 = 256;

/// Most bits of a password.
const MAX_BITS: i64 = 4096;

pub(super) fn handler(name: &str) -> Option<Handler> {
    (name == "acl|genpass").then_some(genpass as Handler)
}

fn genpass(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let bits = match asked.args.len() {
        2 => BITS,
        3 => integer(asked.word(2)).ok_or("ERR value is not an integer or out of range")?,
        _ => return Err(super::gather::too_many(asked)),
    };
    let bits = Some(bits).filter(|bits| (1..=MAX_BITS).contains(bits));
    let digits = usize::try_from(bits.ok_or(RANGE)?)
        .unwrap_or_default()
        .div_ceil(4);
    let mut random = vec![0; digits.div_ceil(2)];
    if getrandom::fill(&mut random).is_err() {
        return Err("ERR prism: the system gives no random bytes".into());
    }
    let mut text = random
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    text.truncate(digits);
    write_bulk(out, text);
    Ok(())
}
