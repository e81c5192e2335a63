//! Typed keys and the bytes they are stored as; numbers are big-endian, so byte order is numeric order.

use std::fmt;

use super::{Revision, StoreError};

/// What a key is about; keys of one family sort together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Definitions by name. Resident.
    Cluster,
    /// What each revision changed. Archived: not held in memory, not watched.
    History,
    /// Writers' request ids. Resident.
    Request,
    /// Values of the control plane itself, such as the key of shown secrets. Resident.
    Setting,
}

impl Family {
    /// Whether values are held in memory and delivered by watches.
    #[must_use]
    pub fn is_resident(self) -> bool {
        self != Self::History
    }

    fn tag(self) -> u8 {
        match self {
            Self::Cluster => b'c',
            Self::History => b'h',
            Self::Request => b'r',
            Self::Setting => b's',
        }
    }
}

/// Where a value is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The definition of the cluster with this name.
    Cluster(String),
    /// What this revision changed.
    History(Revision),
    /// What became of the request with this id.
    Request(String),
    /// A value of the control plane itself.
    Setting(String),
}

impl Key {
    /// Which family the key belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Cluster(_) => Family::Cluster,
            Self::History(_) => Family::History,
            Self::Request(_) => Family::Request,
            Self::Setting(_) => Family::Setting,
        }
    }

    /// The stored form: the family's tag, then the name or two big-endian numbers.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.family().tag()];
        match self {
            Self::Cluster(name) | Self::Request(name) | Self::Setting(name) => {
                bytes.extend_from_slice(name.as_bytes())
            }
            Self::History(revision) => bytes.extend_from_slice(&revision_bytes(*revision)),
        }
        bytes
    }

    /// Reads the stored form.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("{bytes:02x?} is no key"));
        let (tag, rest) = bytes.split_first().ok_or_else(damaged)?;
        let name = || String::from_utf8(rest.to_vec()).map_err(|_| damaged());
        match tag {
            b'c' => Ok(Self::Cluster(name()?)),
            b'h' => Ok(Self::History(revision_from(rest).ok_or_else(damaged)?)),
            b'r' => Ok(Self::Request(name()?)),
            b's' => Ok(Self::Setting(name()?)),
            _ => Err(damaged()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(formatter, "cluster/{name}"),
            Self::History(revision) => write!(formatter, "history/{revision}"),
            Self::Request(id) => write!(formatter, "request/{id}"),
            Self::Setting(name) => write!(formatter, "setting/{name}"),
        }
    }
}

/// Epoch and number, 16 bytes.
pub(super) fn revision_bytes(revision: Revision) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&revision.epoch.to_be_bytes());
    bytes[8..].copy_from_slice(&revision.number.to_be_bytes());
    bytes
}

/// Reads what [`revision_bytes`] wrote; `None` unless there are exactly 16 bytes.
pub(super) fn revision_from(bytes: &[u8]) -> Option<Revision> {
    let (epoch, number) = bytes.split_first_chunk::<8>()?;
    Some(Revision {
        epoch: u64::from_be_bytes(*epoch),
        number: u64::from_be_bytes(number.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_of_a_key_reads_back() {
        for key in [
            Key::Cluster("sessions".into()),
            Key::History(Revision {
                epoch: 1,
                number: u64::MAX,
            }),
            Key::Request("é".into()),
            Key::Setting(String::new()),
        ] {
            assert_eq!(Key::from_bytes(&key.to_bytes()), Ok(key));
        }
    }

    #[test]
    fn byte_order_of_history_keys_is_their_numeric_order() {
        let revisions = [(1, 9), (1, 10), (1, 255), (1, 256), (2, 0), (256, 1)];
        let keys: Vec<Key> = revisions
            .map(|(epoch, number)| Key::History(Revision { epoch, number }))
            .to_vec();
        let mut bytes: Vec<Vec<u8>> = keys.iter().map(Key::to_bytes).collect();
        bytes.sort();
        assert_eq!(bytes, keys.iter().map(Key::to_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_that_are_no_key_are_damage() {
        for bytes in [&b""[..], b"x1", b"h123", b"c\xff"] {
            assert!(
                matches!(Key::from_bytes(bytes), Err(StoreError::Damaged(_))),
                "{bytes:?}"
            );
        }
    }
}
