//! The parts of a split request, until the last is answered.

use std::fmt;

use crate::protocol::message::Part;

/// Writes the one reply that the answered parts make.
pub type Finish = Box<dyn Fn(&[Part<'_>], &mut Vec<u8>)>;

/// A request that travels in parts.
pub struct Merge {
    parts: Vec<PartState>,
    waiting: usize,
    /// Bytes of the replies so far.
    held: usize,
    /// The client wants no reply.
    pub(super) is_silent: bool,
    finish: Finish,
}

struct PartState {
    /// Positions of the part's keys among the request's keys.
    indexes: Vec<u32>,
    reply: Option<Vec<u8>>,
}

impl Merge {
    /// Makes a merge of parts that carry the keys at the given positions.
    pub fn new(parts: impl IntoIterator<Item = Vec<u32>>, finish: Finish) -> Self {
        let mut merge = Self {
            parts: Vec::new(),
            waiting: 0,
            held: 0,
            is_silent: false,
            finish,
        };
        for indexes in parts {
            merge.add(indexes);
        }
        merge
    }

    /// Notes the reply to one part; a second one to the same part is ignored.
    pub fn settle(&mut self, part: u16, reply: &[u8]) {
        let Some(state) = self.parts.get_mut(usize::from(part)) else {
            return;
        };
        if state.reply.is_none() {
            state.reply = Some(reply.to_vec());
            self.waiting -= 1;
            self.held += reply.len();
        }
    }

    /// Returns the number of bytes kept of the replies so far.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Replaces a part by one part for each of its keys; returns the numbers of the new ones.
    ///
    /// `None` when the part has one key, is answered, or there would be more parts than numbers.
    pub fn divide(&mut self, part: u16) -> Option<std::ops::Range<u16>> {
        let (before, count) = (self.parts.len(), self.indexes(part).len());
        let state = self.parts.get_mut(usize::from(part))?;
        if count < 2 || state.reply.is_some() {
            return None;
        }
        let (first, end) = (
            u16::try_from(before).ok()?,
            u16::try_from(before + count).ok()?,
        );
        let indexes = std::mem::take(&mut state.indexes);
        // A part without keys adds nothing to the merge.
        state.reply = Some(Vec::new());
        self.waiting -= 1;
        for index in indexes {
            self.add(vec![index]);
        }
        Some(first..end)
    }

    /// Returns the positions of a part's keys.
    pub fn indexes(&self, part: u16) -> &[u32] {
        self.parts
            .get(usize::from(part))
            .map_or(&[], |state| &state.indexes)
    }

    /// Returns whether all parts are answered.
    pub fn is_complete(&self) -> bool {
        self.waiting == 0
    }

    /// Appends the merged reply.
    pub fn finish(&self, out: &mut Vec<u8>) {
        let parts: Vec<_> = self
            .parts
            .iter()
            .filter_map(|state| {
                let reply = state.reply.as_deref()?;
                (!state.indexes.is_empty()).then_some(Part {
                    indexes: &state.indexes,
                    reply,
                })
            })
            .collect();
        (self.finish)(&parts, out);
    }

    fn add(&mut self, indexes: Vec<u32>) {
        self.parts.push(PartState {
            indexes,
            reply: None,
        });
        self.waiting += 1;
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge")
            .field("parts", &self.parts.len())
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(parts: &[&[u32]]) -> Merge {
        let finish: Finish = Box::new(|parts, out| {
            for part in parts {
                out.extend_from_slice(format!("{:?}=", part.indexes).as_bytes());
                out.extend_from_slice(part.reply);
                out.push(b';');
            }
        });
        Merge::new(parts.iter().map(|part| part.to_vec()), finish)
    }

    fn finished(merge: &Merge) -> String {
        let mut out = Vec::new();
        merge.finish(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn merge_is_complete_with_its_last_part() {
        let mut merge = merge(&[&[0, 2], &[1]]);
        merge.settle(1, b"b");
        merge.settle(1, b"again");
        assert!(!merge.is_complete());
        merge.settle(0, b"a");
        assert!(merge.is_complete());
        assert_eq!(finished(&merge), "[0, 2]=a;[1]=b;");
    }

    #[test]
    fn divided_part_is_replaced_by_one_a_key() {
        let mut merge = merge(&[&[0, 2], &[1]]);
        assert_eq!(merge.divide(1), None, "it has one key");
        assert_eq!(merge.divide(0), Some(2..4));
        assert_eq!(merge.divide(0), None, "it was divided");
        for part in [1, 2, 3] {
            assert!(!merge.is_complete());
            merge.settle(part, part.to_string().as_bytes());
        }
        assert!(merge.is_complete());
        assert_eq!(finished(&merge), "[1]=1;[0]=2;[2]=3;");
    }
}
