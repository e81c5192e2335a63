//! What a run has compared, and what differed.

use std::{collections::BTreeMap, fmt};

use super::{super::Differences, rules::RULES, sides::Used};

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests sent, by command or by number of the operation.
    pub sent: BTreeMap<String, usize>,
    /// What differed.
    pub differences: Differences,
    /// How often each rule was needed.
    pub rules: [usize; RULES.len()],
    /// Lines, values and packets that were equal.
    pub compared: usize,
    /// Keys whose value was compared at the end of a world.
    pub audited: usize,
    /// Worlds lived through.
    pub worlds: usize,
}

impl Tally {
    pub(super) fn note(&mut self, used: &Used) {
        self.compared += used.units;
        for (sum, count) in self.rules.iter_mut().zip(used.rules) {
            *sum += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent: Vec<_> = self
            .sent
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        writeln!(out, "requests sent: {}", sent.join(", "))?;
        writeln!(out, "rules needed:")?;
        for (rule, count) in RULES.iter().zip(self.rules) {
            writeln!(out, "  {count:>6} {}: {}", rule.name, rule.reason)?;
        }
        writeln!(out, "{} values compared at the end of worlds", self.audited)?;
        writeln!(
            out,
            "{} worlds, {} requests, {} answers equal, {}",
            self.worlds,
            self.sent.values().sum::<usize>(),
            self.compared,
            self.differences
        )
    }
}
