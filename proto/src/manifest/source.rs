//! Places in files: of offsets, and of the fields that were read there.

use std::{collections::BTreeMap, ops::Range};

/// A file's name and where its lines start.
#[derive(Clone, Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            line_starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns line and column, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = line.checked_sub(1).and_then(|i| self.line_starts.get(i));
        let before = self.text.get(start.copied().unwrap_or(0)..offset);
        (line.max(1), before.unwrap_or_default().chars().count() + 1)
    }
}

/// Where each field was read: its source, and its bytes there.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(BTreeMap<String, (usize, Range<usize>)>);

impl Places {
    pub(super) fn insert(&mut self, field: String, source: usize, span: Range<usize>) {
        self.0.insert(field, (source, span));
    }

    /// Returns the place of `field`, or of the nearest field around it.
    pub(super) fn find(&self, field: &str) -> Option<(usize, Range<usize>)> {
        let mut field = field;
        loop {
            if let Some(place) = self.0.get(field) {
                return Some(place.clone());
            }
            field = &field[..field.rfind(['.', '['])?];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("f", "é = 1\nb = 2\n");
        let cases = [
            (0, (1, 1)),
            (2, (1, 2)),
            (6, (1, 6)),
            (7, (2, 1)),
            (13, (3, 1)),
            (99, (3, 1)),
        ];
        for (offset, expected) in cases {
            assert_eq!(source.position(offset), expected, "{offset}");
        }
    }

    #[test]
    fn a_field_that_was_not_read_is_where_the_field_around_it_is() {
        let mut places = Places::default();
        places.insert("clusters[2]".to_owned(), 0, 1..2);
        places.insert("clusters[2].endpoints[0]".to_owned(), 0, 3..4);
        assert_eq!(
            places.find("clusters[2].endpoints[0].weight"),
            Some((0, 3..4))
        );
        assert_eq!(
            places.find("clusters[2].endpoints[1].weight"),
            Some((0, 1..2))
        );
        assert_eq!(places.find("clusters[3].name"), None);
    }
}
