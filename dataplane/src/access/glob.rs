//! Patterns with `*`, `?`, `[…]` and `\`, as Redis matches them, odd ends included.

/// Whether all of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text) == Outcome::Match
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All of the text is used up by all of the pattern.
    Match,
    /// It does not match from here.
    Mismatch,
    /// It does not match from here nor from anywhere behind.
    Hopeless,
}

fn run(mut pattern: &[u8], mut text: &[u8]) -> Outcome {
    while let ([sign, rest @ ..], [first, others @ ..]) = (pattern, text) {
        pattern = match sign {
            b'*' => return run_star(rest, text),
            b'?' => rest,
            b'[' => match run_class(rest, *first) {
                Some(behind) => behind,
                None => return Outcome::Mismatch,
            },
            _ => match run_literal(pattern, *first) {
                Some(behind) => behind,
                None => return Outcome::Mismatch,
            },
        };
        text = others;
        if text.is_empty() {
            pattern = without_stars(pattern);
            break;
        }
    }
    match pattern.is_empty() && text.is_empty() {
        true => Outcome::Match,
        false => Outcome::Mismatch,
    }
}

/// Tries what follows a star from each place of the text.
fn run_star(pattern: &[u8], mut text: &[u8]) -> Outcome {
    let pattern = without_stars(pattern);
    if pattern.is_empty() {
        return Outcome::Match;
    }
    while let [_, others @ ..] = text {
        match run(pattern, text) {
            Outcome::Mismatch => text = others,
            outcome => return outcome,
        }
    }
    // A longer reach of an earlier star would only leave less text for this one.
    Outcome::Hopeless
}

fn without_stars(pattern: &[u8]) -> &[u8] {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    pattern.get(stars..).unwrap_or_default()
}

fn run_literal(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (wanted, behind) = match pattern {
        [b'\\', escaped, behind @ ..] => (escaped, behind),
        [plain, behind @ ..] => (plain, behind),
        [] => return None,
    };
    (*wanted == byte).then_some(behind)
}

/// Matches one byte against a class, given from behind its `[`; returns what follows the class.
fn run_class(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (is_negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut is_in = false;
    loop {
        rest = match rest {
            [b'\\', escaped, behind @ ..] => {
                is_in |= *escaped == byte;
                behind
            }
            [b']', behind @ ..] => {
                rest = behind;
                break;
            }
            // A class that is not closed ends with the pattern.
            [] => break,
            [from, b'-', to, behind @ ..] => {
                is_in |= is_between(*from, *to, byte);
                behind
            }
            [plain, behind @ ..] => {
                is_in |= *plain == byte;
                behind
            }
        };
    }
    (is_in != is_negated).then_some(rest)
}

/// Ranges may be written backwards, and bytes from 0x80 are negative, as where Redis runs.
fn is_between(from: u8, to: u8, byte: u8) -> bool {
    let (from, to, byte) = (from.cast_signed(), to.cast_signed(), byte.cast_signed());
    (from.min(to)..=from.max(to)).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            // The loop of Redis never looks at an empty text.
            ("*", "", false),
            ("*", "a", true),
            ("a*", "a", true),
            ("a**", "abc", true),
            ("*c", "abc", true),
            ("*b", "abc", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?", "a", false),
            ("[abc]", "b", true),
            ("[^abc]", "b", false),
            ("[^abc]", "d", true),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            // Its range ends at the bracket, so that nothing closes the class.
            ("[a-]", "-", false),
            ("[a-]", "^", true),
            ("[a", "a", true),
            ("[", "a", false),
            ("[^", "a", true),
            ("[]", "a", false),
            ("[]", "]", false),
            ("[\\]]", "]", true),
            ("[\\", "\\", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("h[ae]llo*", "hello world", true),
            ("user:?:[0-9]*", "user:7:42", true),
        ] {
            let found = matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(found, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn bytes_from_0x80_are_ordered_as_signed() {
        assert!(matches(b"[\x80-a]", b"\x90"));
        assert!(!matches(b"[a-\xff]", b"\x90"));
        assert!(matches(b"[a-\xff]", b"b") != matches(b"[a-\xff]", b"0"));
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let pattern = b"a*".repeat(30);
        let text = [b"a".repeat(20_000), b"b".to_vec()].concat();
        assert!(matches(&pattern, &text));
        assert!(!matches(&[&pattern[..], b"c"].concat(), &text));
    }
}
