//! What was probably meant by a word that is not known.

/// Other names for the same thing, which no count of letters finds.
const SYNONYMS: [(&str, &str); 8] = [
    ("backends", "servers"),
    ("bind", "listen_addr"),
    ("endpoints", "servers"),
    ("nodes", "servers"),
    ("port", "listen_addr"),
    ("protocol", "cache_type"),
    ("timeout", "read_timeout"),
    ("type", "cache_type"),
];

/// Returns the known word that is nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == word);
    let far = (word.chars().count() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        if synonym.is_some_and(|(_, meant)| *meant == candidate) {
            return Some(candidate);
        }
        let spelled = word.replace('-', "_").to_ascii_lowercase();
        let starts = word.len() >= 4 && candidate.starts_with(&spelled);
        let distance = distance(&spelled, candidate);
        let near = distance <= far || starts;
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, leave out, change or swap with the next.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_word_is_suggested() {
        let known = [
            "servers",
            "read_timeout",
            "listen_addr",
            "hash_tag",
            "hash",
            "cache_type",
        ];
        for (word, expected) in [
            ("server", Some("servers")),
            ("raed_timeout", Some("read_timeout")),
            ("read-timeout", Some("read_timeout")),
            ("Servers", Some("servers")),
            ("listen", Some("listen_addr")),
            ("timeout", Some("read_timeout")),
            ("endpoints", Some("servers")),
            ("hsah", Some("hash")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
