//! What the command line decides, checked and ready to act on.

use std::{collections::BTreeMap, fs, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

/// Everything a data plane is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name in the fleet.
    pub id: String,
    /// Where definitions come from.
    pub source: Source,
    /// Worker threads; `None` for as many as processors.
    pub workers: Option<usize>,
    /// Folder of last good snapshots; `None` keeps them in memory only.
    pub state_dir: Option<PathBuf>,
    /// Where the admin pages are.
    pub admin: String,
    /// Replaces the host part of every listen address.
    pub bind_ip: Option<IpAddr>,
    /// Where this data plane stands.
    pub zone: String,
    /// What this data plane is.
    pub labels: BTreeMap<String, String>,
    /// How long sessions may finish when the process ends.
    pub drain_timeout: Duration,
    /// What cluster-aware clients are told.
    pub advertise: Option<String>,
    /// Resident bytes beyond which an alarm is raised; `None` for a share of the cgroup's limit.
    pub memory_limit: Option<u64>,
    /// Lets the admin pages be read from beyond this machine.
    pub insecure: bool,
}

/// Where definitions come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A definitions file.
    Bootstrap(PathBuf),
    /// Control planes, tried in turn.
    Control(Vec<String>),
}

/// Why an option's text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not a name of a data plane.
    #[error("`{0}` is not 1 to 128 of A-Z a-z 0-9 . _ -")]
    Id(String),
    /// Not a label.
    #[error("`{0}` is not key=value")]
    Label(String),
    /// Not a size.
    #[error("`{0}` is not a size such as 512MiB")]
    Size(String),
    /// Not a time.
    #[error("`{0}` is not a time such as 30s or 500ms")]
    Time(String),
    /// Not the address of a control plane.
    #[error("`{0}` is not http://host:port")]
    Url(String),
}

/// A time as written: `500ms`, `30s`, `2m`, or seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A size in bytes as written: `512MiB`, `2g`, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Time {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let units = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("", 1_000),
        ];
        let ms = scaled(text, &units).ok_or_else(|| OptionError::Time(text.to_owned()))?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl FromStr for Size {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let units = [
            ("kib", 1 << 10),
            ("mib", 1 << 20),
            ("gib", 1 << 30),
            ("k", 1 << 10),
            ("m", 1 << 20),
            ("g", 1 << 30),
            ("b", 1),
            ("", 1),
        ];
        let bytes = scaled(&text.to_ascii_lowercase(), &units);
        Ok(Self(
            bytes.ok_or_else(|| OptionError::Size(text.to_owned()))?,
        ))
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Checks the name of a data plane.
///
/// # Errors
/// When it is empty, too long or has other characters.
pub fn parse_id(text: &str) -> Result<String, OptionError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=128).contains(&text.len()) || !text.bytes().all(known) {
        return Err(OptionError::Id(text.to_owned()));
    }
    Ok(text.to_owned())
}

/// Splits `key=value`.
///
/// # Errors
/// When there is no `=` or nothing before it.
pub fn parse_label(text: &str) -> Result<(String, String), OptionError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(OptionError::Label(text.to_owned())),
    }
}

/// Checks the address of a control plane.
///
/// # Errors
/// When it does not start with `http://` or names no host.
pub fn parse_url(text: &str) -> Result<String, OptionError> {
    let rest = text
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'));
    let wrong = |rest: &str| rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']);
    match rest {
        Some(rest) if !wrong(rest) => Ok(format!("http://{rest}")),
        _ => Err(OptionError::Url(text.to_owned())),
    }
}

/// Returns this machine's name, in the letters an id may have.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    parse_id(name.trim()).unwrap_or_else(|_| "dataplane".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        let ms = |text: &str| text.parse::<Time>().map(|time| time.0.as_millis());
        assert_eq!(ms("30s"), Ok(30_000));
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2m"), Ok(120_000));
        assert_eq!(ms("7"), Ok(7_000));
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("100"), Ok(100));
        for text in ["", "s", "-1s", "1 week", "99999999999999999999"] {
            assert!(ms(text).is_err() && size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_labels_and_urls_are_checked() {
        assert!(parse_id("dp-1.eu_west").is_ok());
        assert!(parse_id("").is_err() && parse_id("a b").is_err());
        assert!(parse_id(&"a".repeat(129)).is_err());
        assert_eq!(parse_label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(parse_label("=b").is_err() && parse_label("a").is_err());
        assert_eq!(
            parse_url("http://[::1]:7101/"),
            Ok("http://[::1]:7101".into())
        );
        for url in [
            "127.0.0.1:7101",
            "https://a:1",
            "http://",
            "http://a:1/path",
        ] {
            assert!(parse_url(url).is_err(), "{url}");
        }
    }
}
