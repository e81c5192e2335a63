//! The README's picture of the house, as a list of rooms.

use std::collections::BTreeSet;

use crate::tree::SourceFile;

/// The rooms drawn in the first `text` block of `readme`, as `folder/name` without extension: `dataplane/src/route`.
pub(crate) fn rooms(readme: &str) -> BTreeSet<String> {
    let block = readme.split("```text\n").nth(1).unwrap_or_default();
    let block = block.split("```").next().unwrap_or_default();
    let mut rooms = BTreeSet::new();
    let (mut folder, mut listed) = (String::new(), String::new());
    for line in block.lines().chain(["end/"]) {
        let indent = line.len() - line.trim_start().len();
        if indent <= 2 {
            add_listed(&folder, &listed, &mut rooms);
            listed.clear();
        }
        let line = line.trim();
        match indent {
            _ if line.is_empty() => {}
            0 => {
                folder = line
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
            1 | 2 => match line.split_once("  ") {
                Some((name, _)) if !name.contains(' ') => add(&folder, name, &mut rooms),
                _ => listed = line.to_owned(),
            },
            _ if listed.is_empty() => {}
            _ => listed = format!("{listed} · {line}"),
        }
    }
    rooms
}

/// What differs between the rooms drawn and those of the `files` below `krate/src`.
pub(crate) fn differences(krate: &str, readme: &str, files: &[SourceFile]) -> Vec<String> {
    let prefix = format!("{krate}/src/");
    let built: BTreeSet<_> = files
        .iter()
        .filter(|file| file.krate() == krate)
        .filter_map(|file| Some(format!("{prefix}{}", file.room()?)))
        .collect();
    let drawn: BTreeSet<_> = rooms(readme)
        .into_iter()
        .filter(|room| room.starts_with(&prefix))
        .collect();
    let missing = drawn
        .difference(&built)
        .map(|room| format!("{room} is drawn, not built"));
    let undrawn = built
        .difference(&drawn)
        .map(|room| format!("{room} is built, not drawn"));
    missing.chain(undrawn).collect()
}

/// Adds the rooms of `a · b (what it is) · c/`; a leading `src/` belongs to all of them.
fn add_listed(folder: &str, listed: &str, rooms: &mut BTreeSet<String>) {
    let (folder, listed) = match listed.strip_prefix("src/ ") {
        Some(rest) => (format!("{folder}src/"), rest),
        None => (folder.to_owned(), listed),
    };
    for item in without_parentheses(listed).split('·') {
        if let Some(name) = item.split_whitespace().next() {
            add(&folder, name, rooms);
        }
    }
}

fn add(folder: &str, name: &str, rooms: &mut BTreeSet<String>) {
    let name = name.split(['/', '.']).next().unwrap_or_default();
    rooms.insert(format!("{folder}{name}"));
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0usize;
    text.chars()
        .filter(|&letter| {
            let was = depth;
            match letter {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            was == 0 && depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_that_differs_from_the_tree_is_seen() {
        let readme = "```text\nctl/src/\n  main · exit · cli\n```\n";
        let built = |names: &[&str]| -> Vec<_> {
            names
                .iter()
                .map(|name| SourceFile::new(&format!("ctl/src/{name}.rs"), ""))
                .collect()
        };
        let cases: [(&[&str], usize); 4] = [
            (&["main", "exit", "cli"], 0),
            (&["main", "exit", "cli/mod"], 0),
            (&["main", "exit"], 1),
            (&["main", "exit", "cli", "shell"], 1),
        ];
        for (names, count) in cases {
            assert_eq!(
                differences("ctl", readme, &built(names)).len(),
                count,
                "{names:?}"
            );
        }
        assert_eq!(differences("ctl", "no picture", &built(&["main"])).len(), 1);
    }

    #[test]
    fn rooms_of_a_picture_are_read() {
        let readme = "# X\n```text\nproto/\n  prism/{a,b}/v1   every field\n  src/ lib · pb (gen · x) · model/ (checked\n       values) · status\n\
                      dataplane/src/\n  main · lib (map)\n  protocol/    bytes <-> messages\n               message · redis/{a,b}\n  admin        /metrics\n```\n";
        let rooms: Vec<_> = rooms(readme).into_iter().collect();
        assert_eq!(
            rooms,
            [
                "dataplane/src/admin",
                "dataplane/src/lib",
                "dataplane/src/main",
                "dataplane/src/protocol",
                "proto/prism",
                "proto/src/lib",
                "proto/src/model",
                "proto/src/pb",
                "proto/src/status",
            ]
        );
    }
}
