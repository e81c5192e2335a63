//! Rust source as tokens, without comments and the insides of strings.

/// A token: an identifier, a lifetime-free punctuation character, or `::`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Whether this is an identifier or a keyword.
    pub(crate) fn is_word(&self) -> bool {
        self.text
            .starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Cuts `text` into tokens; literals and comments are left out.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let len = skipped(rest).unwrap_or_else(|| {
            let len = token_len(rest);
            if !first.is_whitespace() && !first.is_ascii_digit() {
                found.push(Token {
                    text: &rest[..len],
                    line,
                });
            }
            len
        });
        line += rest[..len].matches('\n').count();
        at += len;
    }
    found
}

/// The length of the comment or literal `rest` starts with, if it does.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_len(rest));
    }
    raw_string_len(rest)
        .or_else(|| string_len(rest))
        .or_else(|| char_len(rest))
}

fn block_comment_len(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        let (open, close) = (rest[at..].find("/*"), rest[at..].find("*/"));
        match (open, close) {
            (Some(open), Some(close)) if open < close => {
                depth += 1;
                at += open + 2;
            }
            (_, Some(close)) => {
                depth -= 1;
                at += close + 2;
                if depth == 0 {
                    return at;
                }
            }
            (_, None) => return rest.len(),
        }
    }
}

fn raw_string_len(rest: &str) -> Option<usize> {
    let body = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix("cr"))
        .or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inner = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inner
        .find(&close)
        .map_or(inner.len(), |at| at + close.len());
    Some(rest.len() - inner.len() + end)
}

fn string_len(rest: &str) -> Option<usize> {
    let inner = rest
        .strip_prefix('"')
        .or_else(|| rest.strip_prefix("b\""))
        .or_else(|| rest.strip_prefix("c\""))?;
    let start = rest.len() - inner.len();
    let mut is_escaped = false;
    for (at, letter) in inner.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(start + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// A character literal; a lifetime (`'a`) is not one, but its quote is skipped.
fn char_len(rest: &str) -> Option<usize> {
    let inner = rest
        .strip_prefix('\'')
        .or_else(|| rest.strip_prefix("b'"))?;
    let start = rest.len() - inner.len();
    let mut letters = inner.char_indices();
    let (_, first) = letters.next()?;
    if first == '\\' {
        letters.next()?;
        return inner[2..].find('\'').map(|at| start + 2 + at + 1);
    }
    let (at, second) = letters.next()?;
    Some(if second == '\'' {
        start + at + 1
    } else {
        start
    })
}

fn token_len(rest: &str) -> usize {
    if rest.starts_with("::") {
        return 2;
    }
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let word = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
    if word > 0 {
        return word;
    }
    rest.chars().next().map_or(1, char::len_utf8)
}

/// A path from the crate's root that source code names: the first name after `crate::`, or after enough `super::`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootPath {
    pub(crate) room: String,
    pub(crate) line: usize,
}

/// The rooms that `text`, a file `depth` modules below the root, names from the root.
pub(crate) fn root_paths(text: &str, depth: usize) -> Vec<RootPath> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut modules = InlineModules::default();
    let mut at = 0;
    while at < tokens.len() {
        modules.see(&tokens, at);
        let start = at;
        let is_root = match tokens[at].text {
            "crate" => true,
            "super" => {
                let mut supers = 1;
                while words(&tokens, at + 1, &["::", "super"]) {
                    supers += 1;
                    at += 2;
                }
                supers == depth + modules.depth()
            }
            _ => false,
        };
        at += 1;
        let is_macro_root = start > 0 && tokens[start - 1].text == "$";
        if is_root && !is_macro_root && words(&tokens, at, &["::"]) {
            first_names(&tokens, at + 1, &mut found);
        }
    }
    found
}

fn words(tokens: &[Token<'_>], at: usize, expected: &[&str]) -> bool {
    expected.iter().enumerate().all(|(step, &text)| {
        tokens
            .get(at + step)
            .is_some_and(|token| token.text == text)
    })
}

/// The names a path goes on with: one, or those of a `{…}` group.
fn first_names(tokens: &[Token<'_>], at: usize, found: &mut Vec<RootPath>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        found.push(RootPath {
            room: first.text.to_owned(),
            line: first.line,
        });
        return;
    }
    let (mut depth, mut is_start) = (0, false);
    for token in &tokens[at..] {
        match token.text {
            "{" => {
                depth += 1;
                is_start = depth == 1;
                continue;
            }
            "}" => depth -= 1,
            "," => {
                is_start = depth == 1;
                continue;
            }
            name if is_start => found.push(RootPath {
                room: name.to_owned(),
                line: token.line,
            }),
            _ => {}
        }
        is_start = false;
        if depth == 0 {
            return;
        }
    }
}

/// The `mod name {` blocks open at a place.
#[derive(Debug, Default)]
struct InlineModules(Vec<bool>);

impl InlineModules {
    fn see(&mut self, tokens: &[Token<'_>], at: usize) {
        match tokens[at].text {
            "{" => self.0.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => {
                self.0.pop();
            }
            _ => {}
        }
    }

    fn depth(&self) -> usize {
        self.0.iter().filter(|&&is_module| is_module).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_no_tokens() {
        let source = "a // b\n/* c /* d */ e */ f \"g \\\" h\" 'i' '\\'' b\"j\" r#\"k \" l\"# &'m n 12 crate::o";
        assert_eq!(texts(source), ["a", "f", "&", "m", "n", "crate", "::", "o"]);
        assert_eq!(tokens("a\n\"\n\"\nb")[1].line, 4);
    }

    #[test]
    fn root_paths_are_found_in_groups_and_behind_super() {
        let rooms = |source: &str, depth| -> Vec<String> {
            root_paths(source, depth)
                .into_iter()
                .map(|path| path.room)
                .collect()
        };
        assert_eq!(
            rooms("use crate::a::b; fn f() { crate::c::d() }", 1),
            ["a", "c"]
        );
        assert_eq!(
            rooms("use crate::{a::{x, y}, b, c::z};", 1),
            ["a", "b", "c"]
        );
        assert_eq!(rooms("use super::a;", 1), ["a"]);
        assert_eq!(rooms("use super::a; use super::super::b;", 2), ["b"]);
        assert_eq!(
            rooms("mod tests { use super::*; use super::super::a; }", 1),
            ["a"]
        );
        assert_eq!(rooms("mod tests { fn f() {} } use super::a;", 1), ["a"]);
        assert_eq!(rooms("pub(crate) fn f() {} // use crate::a", 1), [""; 0]);
    }
}
