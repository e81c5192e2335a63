//! Columns of text: aligned, without borders, coloured only where a terminal shows it.

const GAP: usize = 3;

/// How people want to see a document.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// Show more columns.
    pub wide: bool,
    /// Use colours.
    pub colours: bool,
}

impl View {
    /// Colours a word by what it means: red for trouble, yellow for what is on its way, green for well.
    pub fn state(self, word: &str) -> String {
        let code = match word {
            "synced" | "healthy" | "created" => "32",
            "pending" | "stale" | "suspect" | "warming" | "updated" => "33",
            "nacked" | "disconnected" | "foreign_fleet" | "ejected" | "misconfigured"
            | "deleted" => "31",
            _ => return word.to_owned(),
        };
        self.paint(code, word)
    }

    /// Wraps a text in one colour, where colours are shown.
    pub fn paint(self, code: &str, text: &str) -> String {
        if self.colours {
            return format!("\x1b[{code}m{text}\x1b[0m");
        }
        text.to_owned()
    }
}

/// Rows under a heading.
#[derive(Debug)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading and no rows.
    pub fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds one row; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: Vec<String>) {
        let shown = cells.into_iter().map(|cell| match cell.is_empty() {
            true => "-".to_owned(),
            false => single_line(&cell),
        });
        self.rows.push(shown.collect());
    }

    /// Writes the table; every line ends with a line feed and is not padded.
    pub fn write(self) -> String {
        let heading = self.heading.iter().map(|&cell| cell.to_owned()).collect();
        let lines: Vec<Vec<String>> = std::iter::once(heading).chain(self.rows).collect();
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|at| {
                lines
                    .iter()
                    .filter_map(|line| line.get(at))
                    .map(|cell| width(cell))
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let mut out = String::new();
        for line in lines {
            let last = line.len().saturating_sub(1);
            for (at, (cell, column)) in line.iter().zip(&widths).enumerate() {
                out.push_str(cell);
                if at < last {
                    out.extend(std::iter::repeat_n(' ', column + GAP - width(cell)));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Characters that a terminal shows of a text: escape sequences of colours take no place.
fn width(text: &str) -> usize {
    let mut shown = 0;
    let mut in_escape = false;
    for c in text.chars() {
        match (in_escape, c) {
            (false, '\x1b') => in_escape = true,
            (false, _) => shown += 1,
            (true, c) => in_escape = c != 'm',
        }
    }
    shown
}

/// A cell never breaks its row, whatever an error text holds.
fn single_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        out.push(if c == '\n' || c == '\t' || c == '\r' {
            ' '
        } else {
            c
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_not_padded() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["a".into(), "synced".into()]);
        table.row(vec!["longer".into(), String::new()]);
        assert_eq!(
            table.write(),
            "NAME     STATE\na        synced\nlonger   -\n"
        );
    }

    #[test]
    fn coloured_cells_keep_the_columns() {
        let view = View {
            wide: false,
            colours: true,
        };
        let mut table = Table::new(&["STATE", "ID"]);
        table.row(vec![view.state("synced"), "x".into()]);
        table.row(vec!["disconnected".into(), "y".into()]);
        let text = table.write();
        assert!(
            text.ends_with("\x1b[32msynced\x1b[0m         x\ndisconnected   y\n"),
            "{text:?}"
        );
    }

    #[test]
    fn no_colours_when_not_wanted() {
        assert_eq!(View::default().state("nacked"), "nacked");
    }

    #[test]
    fn line_feeds_in_a_cell_do_not_break_the_row() {
        let mut table = Table::new(&["ERROR"]);
        table.row(vec!["a\nb".into()]);
        assert_eq!(table.write(), "ERROR\na b\n");
    }
}
