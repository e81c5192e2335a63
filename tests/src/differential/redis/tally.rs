//! What a run has compared, what was refused by design, what differed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{super::Differences, rules::RULES};

/// The table of commands, for their names and classes.
const COMMANDS: &str = include_str!("../../../vectors/redis-commands.json");

/// Counts of one run.
#[derive(Debug)]
pub struct Tally {
    /// Replies that were equal, by command.
    pub equal: BTreeMap<String, usize>,
    /// Refusals by design, by command, with the words of one.
    pub refused: BTreeMap<String, (usize, String)>,
    /// What differed.
    pub differences: Differences,
    /// How often each rule was needed.
    pub rules: [usize; RULES.len()],
    /// Keys whose value and time to live were compared at the end of a world.
    pub audited: usize,
    /// Whole scans compared with what the server holds.
    pub scans: usize,
    /// Worlds lived through.
    pub worlds: usize,
    classes: BTreeMap<String, String>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            equal: BTreeMap::new(),
            refused: BTreeMap::new(),
            differences: Differences::default(),
            rules: [0; RULES.len()],
            audited: 0,
            scans: 0,
            worlds: 0,
            classes: classes(),
        }
    }

    /// The name of the command or subcommand that these words call.
    pub(super) fn name(&self, words: &[Vec<u8>]) -> String {
        let lower = |word: &Vec<u8>| String::from_utf8_lossy(word).to_lowercase();
        let first = words.first().map(lower).unwrap_or_default();
        let leaf = words.get(1).map(|sub| format!("{first} {}", lower(sub)));
        match leaf.filter(|leaf| self.classes.contains_key(leaf)) {
            Some(leaf) => leaf,
            None if self.classes.contains_key(&first) => first,
            None => "(others)".to_owned(),
        }
    }

    pub(super) fn note_equal(&mut self, name: String, rules: &[usize]) {
        *self.equal.entry(name).or_default() += 1;
        for rule in rules {
            self.rules[*rule] += 1;
        }
    }

    pub(super) fn note_refused(&mut self, name: String, words: String) {
        self.refused.entry(name).or_insert((0, words)).0 += 1;
    }

    /// Replies compared in all.
    pub fn compared(&self) -> usize {
        self.equal.values().sum()
    }
}

/// Every command of the table with its class.
///
/// # Panics
/// When the table is broken.
pub fn classes() -> BTreeMap<String, String> {
    let table: serde_json::Value = serde_json::from_str(COMMANDS).expect("the table is JSON");
    let rows = table["commands"].as_array().expect("the table has rows");
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap_or("").to_owned();
    rows.iter()
        .map(|row| (text(row, "name"), text(row, "class")))
        .collect()
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "class            commands compared refused neither   replies"
        )?;
        for class in self.classes.values().collect::<BTreeSet<_>>() {
            let names: Vec<_> = self
                .classes
                .iter()
                .filter(|(_, of)| *of == class)
                .map(|(name, _)| name)
                .collect();
            let equal = |name: &&&String| self.equal.contains_key(**name);
            let refused = |name: &&&String| {
                self.refused.contains_key(**name) && !self.equal.contains_key(**name)
            };
            let (compared, refusals) = (
                names.iter().filter(equal).count(),
                names.iter().filter(refused).count(),
            );
            let replies: usize = names.iter().filter_map(|name| self.equal.get(*name)).sum();
            writeln!(
                out,
                "{class:<16} {:>8} {compared:>8} {refusals:>7} {:>7} {replies:>9}",
                names.len(),
                names.len() - compared - refusals
            )?;
        }
        writeln!(out, "refused by design:")?;
        for (name, (count, words)) in &self.refused {
            writeln!(out, "  {count:>6} {name}: {words}")?;
        }
        writeln!(out, "rules needed:")?;
        for (rule, count) in RULES.iter().zip(self.rules) {
            writeln!(out, "  {count:>6} {}: {}", rule.name, rule.reason)?;
        }
        writeln!(
            out,
            "{} values compared at the end of worlds, {} whole scans",
            self.audited, self.scans
        )?;
        writeln!(
            out,
            "{} worlds, {} replies equal, {}",
            self.worlds,
            self.compared(),
            self.differences
        )
    }
}
