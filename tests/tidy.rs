//! The house rules: who may use whom, words, files and comments of messages, read from the tree at run time.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/messages.rs"]
mod messages;
#[path = "tidy/picture.rs"]
mod picture;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use tree::SourceFile;

/// Everything that may stand at the top.
const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "dataplane",
    "controlplane",
    "proto",
    "ctl",
    "tests",
    "deploy",
];

/// Files and folders of tools that may stand at the top; `target` and `.git` hold nothing of ours.
const TOOLS: [&str; 7] = [
    ".ci",
    ".clippy.toml",
    ".deny.toml",
    ".dockerignore",
    ".gitignore",
    ".git",
    "target",
];

#[track_caller]
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

#[track_caller]
fn check(rule: &str, extension: &str, violations: fn(&SourceFile) -> Vec<String>) {
    let found: Vec<_> = tree::files(extension).iter().flat_map(violations).collect();
    assert_none(rule, &found);
}

fn top_violations(names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| !TOP.contains(&name.as_str()) && !TOOLS.contains(&name.as_str()))
        .cloned()
        .collect()
}

#[test]
fn top_level_is_fixed() {
    assert_eq!(
        top_violations(&["docs".into(), "proto".into(), ".ci".into()]),
        ["docs"]
    );
    assert_none("not at the top", &top_violations(&tree::top_entries()));
}

#[test]
fn crates_depend_on_the_contract_only() {
    let manifest: toml::Table = tree::read("Cargo.toml")
        .parse()
        .expect("the manifest is TOML");
    let members = manifest["workspace"]["members"]
        .as_array()
        .expect("members are listed");
    let found: Vec<_> = members
        .iter()
        .filter_map(|member| member.as_str())
        .flat_map(|member| {
            layers::crate_violations(member, &tree::read(&format!("{member}/Cargo.toml")))
        })
        .collect();
    assert_none("dependencies", &found);
}

#[test]
fn rooms_use_only_those_to_their_left() {
    check("rooms", "rs", layers::room_violations);
}

#[test]
fn house_is_as_drawn() {
    let (readme, files) = (tree::read("README.md"), tree::files("rs"));
    let found: Vec<_> = layers::ROOMS
        .iter()
        .flat_map(|(krate, _)| picture::differences(krate, &readme, &files))
        .collect();
    assert_none("the README's picture", &found);
}

#[test]
fn fenced_crates_stay_inside() {
    check("fences", "rs", layers::fence_violations);
}

#[test]
fn files_open_with_their_purpose() {
    check("first line", "rs", words::first_line_violations);
}

#[test]
fn names_say_what_they_name() {
    check("words", "rs", words::word_violations);
}

#[test]
fn nothing_is_left_undone() {
    for extension in ["rs", "proto", "toml", "md"] {
        check("undone", extension, words::undone_violations);
    }
}

#[test]
fn files_are_short() {
    assert_none("length", &words::length_violations(&tree::files("rs")));
}

#[test]
fn dependencies_have_reasons() {
    assert_none(
        "reasons",
        &words::reason_violations(&tree::read("Cargo.toml")),
    );
}

#[test]
fn messages_are_commented() {
    check("comments", "proto", messages::comment_violations);
}
