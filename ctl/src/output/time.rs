//! Times for people (`3m`) and for programs (RFC 3339).

use jiff::Timestamp;

/// Writes seconds and nanoseconds since 1970 as RFC 3339, to the millisecond; empty when out of range.
pub fn rfc3339(seconds: i64, nanos: i32) -> String {
    match Timestamp::new(seconds, nanos) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => String::new(),
    }
}

/// Writes how long ago an RFC 3339 time was; `-` when there is none.
pub fn age_of(time: Option<&str>) -> String {
    match time.and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(then) => age(Timestamp::now().duration_since(then).as_secs()),
        None => "-".to_owned(),
    }
}

/// Writes seconds in their largest one or two units.
pub fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=599 => format!("{minutes}m{}s", seconds % 60),
        600..=7199 => format!("{minutes}m"),
        7200..=172_799 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, wanted) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (185, "3m5s"),
            (3600, "60m"),
            (7260, "2h1m"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(seconds), wanted);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(
            rfc3339(1_700_000_000, 5_000_999),
            "2023-11-14T22:13:20.005Z"
        );
        assert_eq!(age_of(None), "-");
    }
}
