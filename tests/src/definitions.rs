//! Definitions files of tests, and transcripts of commands.

use std::fmt::Write as _;

/// A cluster of the definitions file, with more lines of its own.
pub fn cluster(
    name: &str,
    cache_type: &str,
    listen: &str,
    servers: &[String],
    more: &str,
) -> String {
    let mut text = String::from("[[clusters]]\n");
    let servers: Vec<_> = servers.iter().map(|server| format!("{server:?}")).collect();
    write!(
        text,
        "name = {name:?}\nlisten_addr = {listen:?}\ncache_type = {cache_type:?}\nservers = [{}]\n{more}\n",
        servers.join(", ")
    )
    .expect("text grows");
    text
}

/// A cluster of Redis endpoints, without probes unless `more` asks for them.
pub fn redis(name: &str, listen: &str, servers: &[String], more: &str) -> String {
    cluster(name, "redis", listen, servers, more)
}

/// The lines of a transcript whose keys hold `@` where a hash tag, `tag`, is to stand.
pub fn tagged(text: &str, tag: &str) -> Vec<String> {
    lines(text).map(|line| line.replace('@', tag)).collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The commands of a transcript: words and `"…"` with escapes; words that start with `@` are keys, given `prefix`.
///
/// # Panics
/// When a line is broken.
pub fn transcript(text: &str, prefix: &str) -> Vec<Vec<Vec<u8>>> {
    lines(text).map(|line| words(line, prefix)).collect()
}

fn words(line: &str, prefix: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
                (word.as_bytes().to_vec(), after)
            }
        };
        words.push(match word.strip_prefix(b"@") {
            Some(key) => [prefix.as_bytes(), key].concat(),
            None => word,
        });
        rest = after.trim_start();
    }
    words
}

/// The bytes up to the closing quote, and what follows it.
fn unquoted(text: &str) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == '"' {
            return (bytes, &text[at + 1..]);
        }
        if letter != '\\' {
            bytes.extend_from_slice(letter.to_string().as_bytes());
            continue;
        }
        let (at, escaped) = letters.next().expect("an escape is whole");
        match escaped {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            'x' => {
                let digits = &text[at + 1..at + 3];
                bytes.push(u8::from_str_radix(digits, 16).expect("two hex digits"));
                letters.nth(1);
            }
            other => bytes.push(other as u8),
        }
    }
    (bytes, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcript_is_cut_into_words() {
        let commands = transcript("# no\n\nSET @a \"b \\\"\\x00\\r\"\nGET @a\n", "run:");
        assert_eq!(commands.len(), 2);
        assert_eq!(
            commands[0],
            [b"SET".to_vec(), b"run:a".to_vec(), b"b \"\0\r".to_vec()]
        );
        assert_eq!(commands[1][1], b"run:a");
    }
}
