//! Rules on the text of single files: first lines, words, lengths, things left undone.

use std::collections::BTreeSet;

use crate::{source::tokens, tree::SourceFile};

/// Words that say nothing, or that nobody should read, in names of code and of files.
const BANNED: [&str; 9] = [
    "frontend", "master", "slave", "manager", "helper", "helpers", "util", "utils", "common",
];

/// Names made of such words that users know, or that others have chosen.
const KNOWN: [&str; 2] = ["MasterDown", "read_from_slave"];

/// Marks of things left undone; split here so that this file holds none.
const UNDONE: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Macros that stand for code which is not there.
const MISSING: [&str; 2] = ["todo", "unimplemented"];

/// The most lines before tests.
const MOST_LINES: usize = 450;

/// Whether a `.rs` file opens with its purpose.
pub(crate) fn first_line_violations(file: &SourceFile) -> Vec<String> {
    let is_purpose = file
        .text
        .strip_prefix("//! ")
        .is_some_and(|rest| !rest.starts_with('\n'));
    if is_purpose {
        return Vec::new();
    }
    vec![format!(
        "{}: the first line is not `//!` and a purpose",
        file.path
    )]
}

/// Banned words in the names of a `.rs` file.
pub(crate) fn word_violations(file: &SourceFile) -> Vec<String> {
    let in_path = file
        .path
        .split(['/', '.'])
        .filter(|name| is_banned(name))
        .map(|name| format!("{}: `{name}` in the path", file.path));
    let in_code = tokens(&file.text)
        .into_iter()
        .filter(|token| token.is_word() && is_banned(token.text))
        .map(|token| format!("{}:{}: `{}`", file.path, token.line, token.text));
    in_path.chain(in_code).collect()
}

fn is_banned(name: &str) -> bool {
    !KNOWN.contains(&name)
        && parts(name)
            .iter()
            .any(|part| BANNED.contains(&part.as_str()))
}

/// The words of a `snake_case` or `CamelCase` name, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if letter == '_' || letter == '-' || (letter.is_uppercase() && was_lower) {
            parts.push(String::new());
        }
        was_lower = letter.is_lowercase() || letter.is_ascii_digit();
        let last = parts.last_mut().expect("there is a first part");
        last.extend(
            letter
                .to_lowercase()
                .filter(|letter| letter.is_alphanumeric()),
        );
    }
    parts
}

/// Marks of undone work in any file, and macros and attributes that skip work in a `.rs` file.
pub(crate) fn undone_violations(file: &SourceFile) -> Vec<String> {
    let mut found: Vec<_> = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| UNDONE.iter().any(|mark| has_word(line, mark)))
        .map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
        .collect();
    if !file.path.ends_with(".rs") {
        return found;
    }
    let tokens = tokens(&file.text);
    for window in tokens.windows(3) {
        let texts = [window[0].text, window[1].text, window[2].text];
        let is_missing = MISSING.contains(&texts[0]) && texts[1] == "!";
        if is_missing || texts == ["#", "[", "ignore"] {
            found.push(format!(
                "{}:{}: {}",
                file.path,
                window[0].line,
                texts.concat()
            ));
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .any(|part| part == word)
}

/// Files that are too long before their tests; modules of tests may be longer.
pub(crate) fn length_violations(files: &[SourceFile]) -> Vec<String> {
    let tests: BTreeSet<_> = files.iter().flat_map(test_modules).collect();
    files
        .iter()
        .filter(|file| !tests.contains(&module(&file.path)))
        .filter_map(|file| {
            let code = file.text.split("\n#[cfg(test)]\nmod tests {").next()?;
            let lines = code.lines().count();
            (lines > MOST_LINES)
                .then(|| format!("{}: {lines} lines, at most {MOST_LINES}", file.path))
        })
        .collect()
}

/// The modules that `file` declares for tests only, as paths without extension.
fn test_modules(file: &SourceFile) -> Vec<String> {
    let own = module(&file.path);
    let folder = match own.rsplit_once('/') {
        Some((folder, "lib" | "main")) => folder,
        _ => &own,
    };
    file.text
        .split("#[cfg(test)]\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("mod ")?.1.split_once(';'))
        .map(|(name, _)| format!("{folder}/{name}"))
        .collect()
}

/// The path of the module that a file holds, without extension and `/mod`.
fn module(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.strip_suffix("/mod").unwrap_or(path).to_owned()
}

/// Dependencies of the workspace table without a word of reason.
pub(crate) fn reason_violations(manifest: &str) -> Vec<String> {
    let table = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .unwrap_or_default();
    table
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = ") && !line.contains("path = "))
        .filter(|line| {
            line.split_once(" # ")
                .is_none_or(|(_, reason)| reason.trim().is_empty())
        })
        .map(|line| format!("Cargo.toml: no reason: {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile::new("dataplane/src/route/mod.rs", text)
    }

    #[test]
    fn file_without_purpose_is_seen() {
        for (text, count) in [("//! Routes.\n", 0), ("use a;\n", 1), ("//!\n", 1), ("", 1)] {
            assert_eq!(first_line_violations(&file(text)).len(), count, "{text:?}");
        }
    }

    #[test]
    fn banned_word_is_seen() {
        let cases = [
            ("struct PoolManager;", 1),
            ("fn master_of() {}", 1),
            ("const MASTER_COUNT: u8 = 1;", 1),
            ("use crate::util::x;", 1),
            ("// the master speaks\nlet a = \"slave\";", 0),
            ("read_from_slave: bool,", 0),
            ("fn mastered() {}", 0),
        ];
        for (text, count) in cases {
            assert_eq!(word_violations(&file(text)).len(), count, "{text}");
        }
        let path = SourceFile::new("dataplane/src/route/helpers.rs", "");
        assert_eq!(word_violations(&path).len(), 1);
    }

    #[test]
    fn undone_work_is_seen() {
        let mark = UNDONE[0];
        let texts = [
            format!("// {mark}: later"),
            format!("fn f() {{ {}!() }}", MISSING[0]),
            format!("{}!(\"x\")", MISSING[1]),
            "#[ignore]\nfn f() {}".to_owned(),
            "#[ignore = \"slow\"]".to_owned(),
        ];
        for text in texts {
            assert_eq!(undone_violations(&file(&text)).len(), 1, "{text}");
        }
        assert_eq!(
            undone_violations(&file("fn todo_list() {} // ignore")).len(),
            0
        );
    }

    #[test]
    fn long_file_is_seen() {
        let long = "//! Long.\n".repeat(MOST_LINES + 1);
        let count = |files: &[(&str, &str)]| {
            let files: Vec<_> = files
                .iter()
                .map(|(path, text)| SourceFile::new(path, text))
                .collect();
            length_violations(&files).len()
        };
        assert_eq!(count(&[("ctl/src/a.rs", &long)]), 1);
        let tested = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{long}}}");
        assert_eq!(count(&[("ctl/src/a.rs", &tested)]), 0);
        let parent = ("ctl/src/a/mod.rs", "mod c;\n#[cfg(test)]\nmod b;\n");
        assert_eq!(count(&[parent, ("ctl/src/a/b.rs", &long)]), 0);
        assert_eq!(count(&[parent, ("ctl/src/a/c.rs", &long)]), 1);
    }

    #[test]
    fn dependency_without_reason_is_seen() {
        let table = "[workspace.dependencies]\na = \"1\" # why\nb = \"1\"\nc = { path = \"c\" }\n[other]\nd = \"1\"\n";
        assert_eq!(reason_violations(table).len(), 1);
    }
}
