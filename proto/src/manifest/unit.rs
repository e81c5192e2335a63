//! Times and sizes as files write them.

use std::time::Duration;

/// What an integer counts where a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
}

const TIMES: [(&str, u64); 9] = [
    // `ms` before `s`, and so on: the longest ending that fits is the unit.
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl Unit {
    fn nanoseconds(self) -> u64 {
        match self {
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
        }
    }

    /// Reads so many of this unit.
    pub(super) fn duration(self, count: u64) -> Duration {
        let nanoseconds = u128::from(count) * u128::from(self.nanoseconds());
        let seconds = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
        let rest = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
        Duration::new(seconds, rest)
    }

    /// Writes a time so that a file reads it as it is: a count of this unit, else a text.
    pub(super) fn show(self, duration: Duration) -> String {
        let nanoseconds = duration.as_nanos();
        let unit = u128::from(self.nanoseconds());
        if nanoseconds.is_multiple_of(unit) {
            return (nanoseconds / unit).to_string();
        }
        let fits = |each: &u64| nanoseconds.is_multiple_of(u128::from(*each));
        let (name, each) = match [1_000_000, 1_000].into_iter().find(fits) {
            Some(1_000_000) => ("ms", 1_000_000),
            Some(_) => ("us", 1_000),
            None => ("ns", 1),
        };
        format!("\"{}{name}\"", nanoseconds / each)
    }
}

/// Reads `2s`, `500ms`, `1.5h`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let nanoseconds = parse_scaled(text, &TIMES)?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Reads `64MiB`, `512kB`, `100B`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse_scaled(text, &SIZES)
}

/// Reads a decimal number with up to nine decimals, and a unit.
fn parse_scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let end = text.find(|c| !digits(c))?;
    let (number, unit) = text.split_at(end);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if decimals.is_empty() || decimals.len() > 9 {
        return None;
    }
    let power = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    let parts = whole.parse::<u64>().ok()?;
    let decimals = decimals.parse::<u64>().ok()?;
    let scaled = (u128::from(parts) * power + u128::from(decimals)).checked_mul((*scale).into())?;
    if !scaled.is_multiple_of(power) {
        return None;
    }
    u64::try_from(scaled / power).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("2s", Some(ms(2000))),
            ("500ms", Some(ms(500))),
            ("1.5 s", Some(ms(1500))),
            ("10m", Some(ms(600_000))),
            ("1h", Some(ms(3_600_000))),
            ("0s", Some(ms(0))),
            ("250us", Some(Duration::from_micros(250))),
            ("250µs", Some(Duration::from_micros(250))),
            ("2", None),
            ("s", None),
            ("-2s", None),
            ("2x", None),
            ("1.s", None),
            ("1.2.3s", None),
            ("0.0000000001s", None),
            ("99999999999999999999d", None),
            ("", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        for (text, expected) in [
            ("64MiB", Some(64 << 20)),
            ("1.5 KiB", Some(1536)),
            ("2GB", Some(2_000_000_000)),
            ("7B", Some(7)),
            ("64mib", None),
            ("64", None),
            ("0.5B", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_is_shown_as_it_is_read() {
        assert_eq!(Unit::Milliseconds.show(Duration::from_secs(2)), "2000");
        assert_eq!(
            Unit::Seconds.show(Duration::from_millis(1500)),
            "\"1500ms\""
        );
        for nanoseconds in [0, 1, 1_000, 1_500, 1_000_000, 1_500_000_000] {
            let duration = Duration::from_nanos(nanoseconds);
            for unit in [Unit::Microseconds, Unit::Milliseconds, Unit::Seconds] {
                let shown = unit.show(duration);
                let read = match shown.parse() {
                    Ok(count) => unit.duration(count),
                    Err(_) => parse_duration(shown.trim_matches('"')).unwrap(),
                };
                assert_eq!(read, duration, "{shown}");
            }
        }
    }
}
