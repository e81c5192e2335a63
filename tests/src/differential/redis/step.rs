//! What is sent at once and compared as one: a command, or a transaction.

use super::super::text::text;
use crate::resp;

/// The words of one command.
pub(super) type Words = Vec<Vec<u8>>;

/// One unit of comparison.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A transaction: what is queued, and whether it is thrown away in the end.
    Block {
        queued: Vec<Words>,
        is_discarded: bool,
    },
    /// One command.
    One(Words),
}

impl Step {
    /// All its commands in order.
    pub(super) fn commands(&self) -> Vec<Words> {
        let word = |word: &str| vec![word.as_bytes().to_vec()];
        match self {
            Self::One(words) => vec![words.clone()],
            Self::Block {
                queued,
                is_discarded,
            } => {
                let end = if *is_discarded { "DISCARD" } else { "EXEC" };
                let queued = queued.iter().cloned();
                [word("MULTI")]
                    .into_iter()
                    .chain(queued)
                    .chain([word(end)])
                    .collect()
            }
        }
    }

    /// As it is sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.commands()
            .iter()
            .flat_map(|words| resp::command(words))
            .collect()
    }

    /// As it is told.
    pub(super) fn shown(&self) -> String {
        let shown: Vec<_> = self
            .commands()
            .iter()
            .map(|words| show(words.as_slice()))
            .collect();
        shown.join(" ; ")
    }

    /// Whether one of its words is one of `keys`.
    pub(super) fn touches(&self, keys: &[&Vec<u8>]) -> bool {
        self.commands()
            .iter()
            .flatten()
            .any(|word| keys.contains(&word))
    }
}

fn show(words: &[Vec<u8>]) -> String {
    let shown: Vec<_> = words.iter().map(|word| text(word)).collect();
    shown.join(" ")
}
