//! Tables: the median of each figure, and of its ratio to the base in the same repetition.

use crate::{
    case::{Case, Pace},
    run::Row,
};

/// A figure with a table of its own.
struct Table {
    title: &'static str,
    figure: &'static str,
    /// Figures are divided by this before they are shown.
    divisor: f64,
    has_pace: fn(Pace) -> bool,
}

const TABLES: [Table; 7] = [
    Table {
        title: "Proxy CPU, µs per request",
        figure: "proxy_cpu_us",
        divisor: 1.0,
        has_pace: is_load,
    },
    Table {
        title: "Throughput, thousand requests per second",
        figure: "requests_per_second",
        divisor: 1_000.0,
        has_pace: is_closed,
    },
    Table {
        title: "Median latency, µs",
        figure: "p50_us",
        divisor: 1.0,
        has_pace: is_load,
    },
    Table {
        title: "99th percentile of latency, µs",
        figure: "p99_us",
        divisor: 1.0,
        has_pace: is_load,
    },
    Table {
        title: "CPU of the endpoints, µs per request",
        figure: "endpoint_cpu_us",
        divisor: 1.0,
        has_pace: is_closed,
    },
    Table {
        title: "Peak memory of the proxy, MiB",
        figure: "peak_kib",
        divisor: 1024.0,
        has_pace: is_closed,
    },
    Table {
        title: "Memory per idle connection, KiB",
        figure: "kib_per_connection",
        divisor: 1.0,
        has_pace: is_idle,
    },
];

fn is_closed(pace: Pace) -> bool {
    matches!(pace, Pace::Closed { .. })
}

fn is_idle(pace: Pace) -> bool {
    matches!(pace, Pace::Idle { .. })
}

fn is_load(pace: Pace) -> bool {
    !is_idle(pace)
}

/// All tables that `rows` have figures for, as Markdown: topology by topology, peers by cases.
pub(crate) fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    for table in &TABLES {
        let mut cases: Vec<&Case> = Vec::new();
        let shown = |row: &&Row| (table.has_pace)(row.case.pace);
        for row in rows.iter().filter(shown) {
            if !cases.iter().any(|case| case.title() == row.case.title()) {
                cases.push(&row.case);
            }
        }
        for same in cases.chunk_by(|one, other| one.topology == other.topology) {
            write_table(&mut text, table, same, rows);
        }
    }
    text
}

fn write_table(text: &mut String, table: &Table, cases: &[&Case], rows: &[Row]) {
    let base = cases[0].topology.base();
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    let lines = [
        format!(
            "\n{} ({}; in brackets the ratio to {base})\n",
            table.title, cases[0].topology
        ),
        format!("| peer | {} |", names.join(" | ")),
        "|---".repeat(cases.len() + 1) + "|",
    ];
    text.push_str(&lines.join("\n"));
    text.push('\n');
    for peer in peers(cases, rows) {
        let cells: Vec<_> = cases
            .iter()
            .map(|case| cell(table, &of(rows, case, peer), &of(rows, case, base)))
            .collect();
        if cells.iter().any(|cell| cell != "-") {
            text.push_str(&format!("| {peer} | {} |\n", cells.join(" | ")));
        }
    }
}

/// The peers that have rows of `cases`, in the order they were asked for.
fn peers<'a>(cases: &[&Case], rows: &'a [Row]) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for row in rows {
        let is_shown = cases.iter().any(|case| case.title() == row.case.title());
        if is_shown && !found.contains(&row.peer.as_str()) {
            found.push(&row.peer);
        }
    }
    found
}

fn of<'a>(rows: &'a [Row], case: &Case, peer: &str) -> Vec<&'a Row> {
    rows.iter()
        .filter(|row| row.peer == peer && row.case.title() == case.title())
        .collect()
}

fn cell(table: &Table, rows: &[&Row], base: &[&Row]) -> String {
    let figures = rows.iter().filter_map(|row| row.figure(table.figure));
    let Some(middle) = median(figures.collect()) else {
        return "-".to_owned();
    };
    let shown = middle / table.divisor;
    match median(ratios(table.figure, rows, base)) {
        None => format!("{shown:.2}"),
        Some(ratio) => format!("{shown:.2} ({ratio:.2})"),
    }
}

/// The figure over the base's, repetition by repetition.
fn ratios(figure: &str, rows: &[&Row], base: &[&Row]) -> Vec<f64> {
    rows.iter()
        .filter_map(|row| {
            let same = base.iter().find(|base| base.repetition == row.repetition)?;
            Some(row.figure(figure)? / same.figure(figure).filter(|&base| base > 0.0)?)
        })
        .collect()
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        len if len % 2 == 0 => Some(f64::midpoint(figures[middle - 1], figures[middle])),
        _ => Some(figures[middle]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::case::CASES;

    #[test]
    fn ratio_is_paired_by_repetition() {
        let row = |peer: &str, repetition, cpu: f64| Row {
            case: CASES[0],
            peer: peer.to_owned(),
            repetition,
            figures: json!({ "proxy_cpu_us": cpu }),
        };
        // A noisy second repetition doubles both; unpaired medians would say 0.75.
        let rows = [
            row("nutcracker", 0, 8.0),
            row("prism", 0, 4.0),
            row("nutcracker", 1, 16.0),
            row("prism", 1, 8.0),
            row("prism", 2, 8.0),
        ];
        let text = tables(&rows);
        assert!(text.contains("| prism | 8.00 (0.50) |"), "{text}");
        assert!(text.contains("| nutcracker | 12.00 (1.00) |"), "{text}");
    }
}
