//! How clients of the binary protocol authenticate: SASL, by the mechanism PLAIN.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc4616>

use super::gate::Gate;
use crate::{
    cluster::Batch,
    protocol::memcache::binary::{HEADER, Header, Status},
};

const MECHANISM: &[u8] = b"PLAIN";

const LIST: u8 = 0x20;
const STEP: u8 = 0x22;

/// How far one client has come.
#[derive(Debug, Default)]
pub(super) struct Sasl {
    /// It has named the mechanism, and what it presents follows.
    is_begun: bool,
}

impl Sasl {
    /// Answers one request.
    pub(super) fn answer(
        &mut self,
        gate: &mut Gate,
        header: Header,
        raw: &[u8],
        batch: &mut Batch<'_>,
    ) {
        let (status, value) = match header.opcode {
            LIST => (Status::Ok, MECHANISM),
            opcode => {
                let body = raw.get(HEADER..).unwrap_or_default();
                let key = usize::try_from(header.key).unwrap_or(usize::MAX);
                let (name, value) = body.split_at_checked(key).unwrap_or_default();
                match self.hear(gate, opcode, name, value) {
                    Status::Ok => (Status::Ok, &b"Authenticated"[..]),
                    status => (status, status.words()),
                }
            }
        };
        if status == Status::AuthFailure {
            batch.cluster().metrics.refused_total.inc();
        }
        batch.answer(|out| header.answer(status, value).write(out));
    }

    fn hear(&mut self, gate: &mut Gate, opcode: u8, name: &[u8], value: &[u8]) -> Status {
        // Memcached reads the name up to the first NUL, and does not look at it once more in a step.
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let is_known = match opcode {
            STEP => self.is_begun,
            _ => name.eq_ignore_ascii_case(MECHANISM),
        };
        if opcode != STEP && is_known && value.is_empty() {
            gate.leave();
            self.is_begun = true;
            return Status::AuthContinue;
        }
        self.is_begun = false;
        let Some((user, password)) = credentials(value).filter(|_| is_known) else {
            gate.leave();
            return Status::AuthFailure;
        };
        match gate.present(user, password) {
            true => Status::Ok,
            false => Status::AuthFailure,
        }
    }
}

/// Reads `[authorised] NUL name NUL password`; who is to be authorised can only be who authenticates.
fn credentials(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = value.split(|byte| *byte == 0);
    let (authorised, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    let is_own = authorised.is_empty() || authorised == user;
    (is_whole && is_own).then_some((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_three_parts_between_nuls() {
        let app = Some((&b"app"[..], &b"secret"[..]));
        for (value, expected) in [
            (&b"\0app\0secret"[..], app),
            (b"app\0app\0secret", app),
            (b"other\0app\0secret", None),
            (b"app\0secret", None),
            (b"\0app", None),
            (b"\0app\0", None),
            (b"\0\0secret", None),
            (b"\0app\0secret\0", None),
            (b"\0app\0secret\0x", None),
            (b"", None),
        ] {
            assert_eq!(credentials(value), expected, "{value:?}");
        }
    }
}
