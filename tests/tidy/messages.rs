//! Rules on `.proto` files: everything is commented, and the comment opens with the name.

use crate::tree::SourceFile;

/// What of `file` has no comment that opens with its name.
pub(crate) fn comment_violations(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    let mut comment: Option<&str> = None;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("//") {
            comment = comment.or(Some(text.trim()));
            continue;
        }
        if let Some(name) = declared(line)
            && !comment.is_some_and(|comment| opens_with(comment, name))
        {
            found.push(format!(
                "{}:{}: no comment opens with `{name}`",
                file.path,
                at + 1
            ));
        }
        comment = None;
    }
    found
}

fn opens_with(comment: &str, name: &str) -> bool {
    comment
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(|next: char| !next.is_alphanumeric() && next != '_'))
}

/// The name that `line` declares: of a message, enum, service, call, choice, field or enum value.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    match first {
        "message" | "enum" | "service" | "rpc" | "oneof" => {
            let name = words.next()?;
            Some(name.split(['(', '{']).next().unwrap_or_default())
        }
        "syntax" | "package" | "import" | "option" | "reserved" | "extensions" | "}"
        | "returns" => None,
        _ => {
            let (left, right) = line.split_once('=')?;
            let is_number = right
                .trim_start()
                .starts_with(|next: char| next.is_ascii_digit() || next == '-');
            is_number
                .then(|| left.split_whitespace().next_back())
                .flatten()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        comment_violations(&SourceFile::new("a.proto", text)).len()
    }

    #[test]
    fn uncommented_declaration_is_seen() {
        let cases = [
            (
                "// A holds.\nmessage A {\n  // b is.\n  repeated string b = 1;\n}",
                0,
            ),
            ("message A {\n", 1),
            ("// About it.\nmessage A {\n", 1),
            ("// Ab holds.\nmessage A {\n", 1),
            ("// A is.\n\nmessage A {\n", 1),
            ("  string b = 1;", 1),
            ("  map<string, string> b = 1;", 1),
            ("  optional bool b = 1 [deprecated = true];", 1),
            ("  NAME_ONE = 1;", 1),
            ("  oneof kind {", 1),
            ("  rpc Get(A) returns (B);", 1),
            ("service S {", 1),
            (
                "syntax = \"proto3\";\npackage a;\noption go_package = \"x\";\n  reserved 1;",
                0,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(count(text), expected, "{text}");
        }
    }
}
