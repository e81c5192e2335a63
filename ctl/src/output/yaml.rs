//! Writes a JSON value as YAML, quoting every text that YAML could read as something else.

use std::fmt::Write;

use serde_json::Value;

/// Writes one value as a YAML document.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        Value::Object(fields) if !fields.is_empty() => mapping(&mut out, fields, 0),
        scalar => {
            out.push_str(&plain(scalar));
            out.push('\n');
        }
    }
    out
}

fn sequence(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(out, depth);
        out.push('-');
        match item {
            Value::Object(fields) if !fields.is_empty() => {
                // The first field continues the line of the dash.
                let mut block = String::new();
                mapping(&mut block, fields, depth + 1);
                out.push(' ');
                out.push_str(block.trim_start());
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push('\n');
                sequence(out, inner, depth + 1);
            }
            scalar => end_line(out, scalar),
        }
    }
}

fn mapping(out: &mut String, fields: &serde_json::Map<String, Value>, depth: usize) {
    for (name, value) in fields {
        indent(out, depth);
        out.push_str(&text(name));
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, depth + 1);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items, depth + 1);
            }
            scalar => end_line(out, scalar),
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn end_line(out: &mut String, scalar: &Value) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, " {}", plain(scalar));
}

fn plain(scalar: &Value) -> String {
    match scalar {
        Value::Array(_) => "[]".to_owned(),
        Value::Bool(_) | Value::Null | Value::Number(_) => scalar.to_string(),
        Value::Object(_) => "{}".to_owned(),
        Value::String(content) => text(content),
    }
}

/// A JSON string is a YAML string, so whatever is not harmless is written as JSON.
fn text(content: &str) -> String {
    let first = content.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = content
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let word = content.to_ascii_lowercase();
    let read_otherwise = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if first && rest && !read_otherwise.contains(&word.as_str()) {
        return content.to_owned();
    }
    Value::String(content.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_values_are_indented() {
        let value = json!({
            "clusters": [{"name": "a", "endpoints": ["x:1", "z"]}, {"name": "b", "labels": {}}],
            "revision": {"epoch": 1, "revision": 12},
            "alarms": [],
            "matrix": [[1, 2], []],
        });
        let wanted = "\
alarms: []
clusters:
  - endpoints:
      - \"x:1\"
      - z
    name: a
  - labels: {}
    name: b
matrix:
  -
    - 1
    - 2
  - []
revision:
  epoch: 1
  revision: 12
";
        assert_eq!(write(&value), wanted);
    }

    #[test]
    fn texts_that_yaml_reads_otherwise_are_quoted() {
        for (content, wanted) in [
            ("plain", "plain"),
            ("redis-1.a/b", "redis-1.a/b"),
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("Null", "\"Null\""),
            ("12", "\"12\""),
            ("0x1f", "\"0x1f\""),
            ("1e3", "\"1e3\""),
            ("- a", "\"- a\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("two\nlines", "\"two\\nlines\""),
            ("2026-11-21T08:00:00Z", "\"2026-11-21T08:00:00Z\""),
        ] {
            assert_eq!(text(content), wanted);
        }
    }

    #[test]
    fn scalars_stand_alone() {
        assert_eq!(write(&json!(null)), "null\n");
        assert_eq!(write(&json!([])), "[]\n");
        assert_eq!(write(&json!("a b")), "\"a b\"\n");
    }
}
