//! What endpoints say of themselves, and what data planes sent to them.

use prism_proto::pb::admin::v1::EndpointFigures;
use serde::Serialize;

use super::{EndpointDocument, age_of, rfc3339, time::age};

/// What one endpoint says of itself; what it does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FiguresDocument {
    /// When it said so, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_time: Option<String>,
    /// How long it has run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// Keys it holds, in all databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Memory that it counts against its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// That limit; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// Reads that found their key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
    /// Reads that did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misses: Option<u64>,
    /// Keys given up for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evictions: Option<u64>,
    /// Its clients now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
}

impl From<&EndpointFigures> for FiguresDocument {
    fn from(figures: &EndpointFigures) -> Self {
        let time = figures.read_time.as_ref();
        let uptime = figures.uptime.as_ref();
        Self {
            read_time: time.map(|time| rfc3339(time.seconds, time.nanos)),
            uptime_seconds: uptime.map(|uptime| uptime.seconds.unsigned_abs()),
            items: figures.items,
            used_bytes: figures.used_bytes,
            limit_bytes: figures.limit_bytes,
            hits: figures.hits,
            misses: figures.misses,
            evictions: figures.evictions,
            connections: figures.connections,
        }
    }
}

/// The columns of a wide list.
pub(super) const HEADING: [&str; 9] = [
    "UPTIME",
    "ITEMS",
    "MEMORY",
    "HITS",
    "EVICTED",
    "CONNECTIONS",
    "READ",
    "REQUESTS",
    "ERRORS",
];

/// Writes those columns; what is not known is empty.
pub(super) fn cells(endpoint: &EndpointDocument) -> [String; 9] {
    let none = FiguresDocument::default();
    let figures = endpoint.figures.as_ref().unwrap_or(&none);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let uptime = figures.uptime_seconds.map(|seconds| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        age(seconds)
    });
    let read = match (&figures.read_time, &endpoint.figures_error) {
        (Some(time), _) => Some(age_of(Some(time))),
        (None, error) => error.as_ref().map(|_| "unknown".to_owned()),
    };
    [
        uptime,
        number(figures.items),
        memory(figures),
        hits(figures),
        number(figures.evictions),
        number(figures.connections),
        read,
        Some(endpoint.requests.to_string()),
        Some(endpoint.errors.to_string()),
    ]
    .map(Option::unwrap_or_default)
}

/// Writes what is used, and of how much.
fn memory(figures: &FiguresDocument) -> Option<String> {
    let used = bytes(figures.used_bytes?);
    Some(match figures.limit_bytes {
        Some(limit) => format!("{used}/{}", bytes(limit)),
        None => used,
    })
}

/// Writes bytes in the largest unit of which there is at least one.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let Some(shift) = (1..=4).rev().find(|shift| count >> (shift * 10) > 0) else {
        return format!("{count}B");
    };
    // Tenths of the unit below lose nothing that is shown.
    let tenths = (count >> ((shift - 1) * 10)) * 10 / 1024;
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[shift - 1])
}

/// Writes the share of reads that found their key.
fn hits(figures: &FiguresDocument) -> Option<String> {
    let (hits, misses) = (u128::from(figures.hits?), u128::from(figures.misses?));
    let all = hits + misses;
    let tenths = (hits * 1000).checked_div(all)?;
    Some(format!("{}.{}%", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prism_proto::pb::admin::v1::Endpoint;

    use super::*;
    use crate::output::{EndpointsDocument, Show, View};

    #[test]
    fn bytes_have_a_unit_that_fits() {
        for (count, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            (67_108_864, "64.0MiB"),
            (67_108_863, "63.9MiB"),
            (3 << 40, "3.0TiB"),
            (u64::MAX, "16777215.9TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    fn rows(endpoints: &[Endpoint]) -> Vec<Vec<String>> {
        let document = EndpointsDocument {
            endpoints: endpoints.iter().map(EndpointDocument::from).collect(),
        };
        let wide = View {
            wide: true,
            ..View::default()
        };
        let text = document.text(wide);
        let cells = |line: &str| -> Vec<String> {
            let cells = line.split("   ").map(str::trim);
            cells
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect()
        };
        text.lines().map(cells).collect()
    }

    #[test]
    fn wide_list_shows_what_is_known_and_dashes_for_the_rest() {
        let figures = EndpointFigures {
            uptime: Duration::from_secs(180).try_into().ok(),
            items: Some(3),
            used_bytes: Some(1536),
            limit_bytes: Some(64 << 20),
            hits: Some(2),
            misses: Some(1),
            evictions: Some(0),
            connections: Some(4),
            ..EndpointFigures::default()
        };
        let known = Endpoint {
            figures: Some(figures),
            requests: 7,
            errors: 1,
            ..Endpoint::default()
        };
        let unknown = Endpoint {
            figures_error: "no answer within 1s".into(),
            ..Endpoint::default()
        };
        let rows = rows(&[known, unknown]);
        let last = |row: &[String]| row[row.len() - HEADING.len()..].to_vec();
        assert_eq!(last(&rows[0]), HEADING);
        assert_eq!(
            last(&rows[1]),
            [
                "3m0s",
                "3",
                "1.5KiB/64.0MiB",
                "66.6%",
                "0",
                "4",
                "-",
                "7",
                "1"
            ]
        );
        assert_eq!(
            last(&rows[2]),
            ["-", "-", "-", "-", "-", "-", "unknown", "0", "0"]
        );
    }
}
