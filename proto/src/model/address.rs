//! Where clients connect to and where endpoints are.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
};

use thiserror::Error;

/// Length of the longest path a unix socket can be bound to.
const MAX_UNIX_PATH_BYTES: usize = 107;

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The host is neither an IP address nor a name.
    #[error("`{0}` is not an IP address or a host name")]
    Host(String),
    /// The mode of a unix socket is not octal or above 0777.
    #[error("mode `{0}` is not an octal number up to 0777")]
    Mode(String),
    /// The port is not a number from 1 to 65535.
    #[error("port `{0}` is not a number from 1 to 65535")]
    Port(String),
    /// There is no port.
    #[error("`{0}` has no port; expected host:port, [v6]:port or unix:/path")]
    PortMissing(String),
    /// The path of a unix socket is not absolute, or too long.
    #[error("unix path `{0}` must be absolute and at most 107 bytes long")]
    UnixPath(String),
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointAddr {
    /// A TCP address.
    Tcp {
        /// IP address, without brackets, or name.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// Where a cluster listens for clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddr {
    /// A TCP address.
    Tcp {
        /// IP address, without brackets, or name.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A unix socket.
    Unix {
        /// Absolute.
        path: PathBuf,
        /// Permissions of the socket; as the umask has them when not written.
        mode: Option<u32>,
    },
}

impl EndpointAddr {
    /// Names a TCP endpoint.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self::Tcp { host, port }
    }
}

impl ListenAddr {
    /// Returns this address on another IP; a unix socket stays as it is.
    pub fn with_host(&self, ip: IpAddr) -> Self {
        match self {
            Self::Tcp { port, .. } => Self::Tcp {
                host: ip.to_string(),
                port: *port,
            },
            Self::Unix { .. } => self.clone(),
        }
    }

    /// Tells whether both cannot be bound on one machine, as far as the texts say.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp { host: a, port: p }, Self::Tcp { host: b, port: q }) => {
                p == q && hosts_overlap(a, b)
            }
            (Self::Unix { path: a, .. }, Self::Unix { path: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl FromStr for EndpointAddr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(parse_unix_path(path)?));
        }
        let (host, port) = parse_tcp(text)?;
        Ok(Self::Tcp { host, port })
    }
}

impl FromStr for ListenAddr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, mode) = match rest.split_once("?mode=") {
                Some((path, mode)) => (path, Some(parse_mode(mode)?)),
                None => (rest, None),
            };
            let path = parse_unix_path(path)?;
            return Ok(Self::Unix { path, mode });
        }
        let (host, port) = parse_tcp(text)?;
        Ok(Self::Tcp { host, port })
    }
}

impl fmt::Display for EndpointAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write_tcp(f, host, *port),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write_tcp(f, host, *port),
            Self::Unix { path, mode: None } => write!(f, "unix:{}", path.display()),
            Self::Unix {
                path,
                mode: Some(mode),
            } => write!(f, "unix:{}?mode={mode:04o}", path.display()),
        }
    }
}

fn write_tcp(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') {
        return write!(f, "[{host}]:{port}");
    }
    write!(f, "{host}:{port}")
}

fn parse_tcp(text: &str) -> Result<(String, u16), AddressError> {
    let missing = || AddressError::PortMissing(text.to_owned());
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once("]:").ok_or_else(missing)?;
        let ip = Ipv6Addr::from_str(host).map_err(|_| AddressError::Host(host.to_owned()))?;
        (ip.to_string(), port)
    } else {
        let (host, port) = text.rsplit_once(':').ok_or_else(missing)?;
        if Ipv4Addr::from_str(host).is_err() && !is_host_name(host) {
            return Err(AddressError::Host(host.to_owned()));
        }
        (host.to_owned(), port)
    };
    let number = port.parse().ok().filter(|&number| number != 0);
    let all_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match number {
        Some(number) if all_digits => Ok((host, number)),
        _ => Err(AddressError::Port(port.to_owned())),
    }
}

/// Reads an IP address, of version 6 with or without brackets, or a name; returns it without brackets.
///
/// # Errors
/// When it is neither.
pub fn parse_host(text: &str) -> Result<String, AddressError> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let ip = bare.unwrap_or(text).parse::<IpAddr>();
    match (ip, bare) {
        (Ok(ip), None) => Ok(ip.to_string()),
        (Ok(IpAddr::V6(ip)), Some(_)) => Ok(ip.to_string()),
        (Err(_), None) if is_host_name(text) => Ok(text.to_owned()),
        _ => Err(AddressError::Host(text.to_owned())),
    }
}

/// Accepts names as resolvers do, but no name that looks like a wrong IPv4 address.
fn is_host_name(host: &str) -> bool {
    let named = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(known)
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(named) && !last.bytes().all(|b| b.is_ascii_digit())
}

fn parse_unix_path(path: &str) -> Result<PathBuf, AddressError> {
    let fits = path.len() <= MAX_UNIX_PATH_BYTES;
    if !path.starts_with('/') || path.len() < 2 || !fits || path.contains(['\0', '?']) {
        return Err(AddressError::UnixPath(path.to_owned()));
    }
    Ok(PathBuf::from(path))
}

fn parse_mode(text: &str) -> Result<u32, AddressError> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|&mode| mode <= 0o777)
        .ok_or_else(|| AddressError::Mode(text.to_owned()))
}

fn hosts_overlap(a: &str, b: &str) -> bool {
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    match (ips(a).as_slice(), ips(b).as_slice()) {
        // A name may resolve to anything: it collides with what is bound everywhere.
        ([], ips) | (ips, []) => ips.iter().any(IpAddr::is_unspecified),
        (a, b) => a.iter().any(|a| b.iter().any(|b| ips_overlap(*a, *b))),
    }
}

fn ips(host: &str) -> Vec<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    host.parse().into_iter().collect()
}

fn ips_overlap(a: IpAddr, b: IpAddr) -> bool {
    let everywhere = |ip: IpAddr| ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let of_family = |any: IpAddr, ip: IpAddr| any.is_unspecified() && any.is_ipv4() == ip.is_ipv4();
    a == b || everywhere(a) || everywhere(b) || of_family(a, b) || of_family(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_read() {
        for text in [
            "10.0.0.1:6379",
            "[::1]:6379",
            "redis-1.example.com:1",
            "unix:/run/redis.sock",
        ] {
            assert_eq!(text.parse::<EndpointAddr>().unwrap().to_string(), text);
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), text);
        }
        let unix = "unix:/run/prism.sock?mode=0660";
        assert_eq!(unix.parse::<ListenAddr>().unwrap().to_string(), unix);
        assert_eq!(
            "[0:0::1]:80".parse(),
            Ok::<_, AddressError>(EndpointAddr::tcp("::1", 80))
        );
    }

    #[test]
    fn texts_that_are_no_addresses_are_refused() {
        for text in [
            "",
            "redis",
            ":6379",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "10.0.0.1:+1",
            "10.0.0.300:6379",
            "::1:6379",
            "[::1]",
            "a b:1",
            "unix:run/x",
            "unix:/",
            "10.0.0.1:6379 ",
        ] {
            assert!(text.parse::<EndpointAddr>().is_err(), "{text:?}");
            assert!(text.parse::<ListenAddr>().is_err(), "{text:?}");
        }
        assert!("unix:/x?mode=0999".parse::<ListenAddr>().is_err());
        assert!("unix:/x?mode=7777".parse::<ListenAddr>().is_err());
    }

    #[test]
    fn listeners_overlap_when_one_machine_cannot_have_both() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.2:1", true),
            ("0.0.0.0:1", "[::]:1", true),
            ("[::]:1", "10.0.0.1:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("localhost:1", "127.0.0.1:1", true),
            ("cache.example.com:1", "0.0.0.0:1", true),
            ("cache.example.com:1", "10.0.0.1:1", false),
            ("unix:/a", "unix:/a?mode=0600", true),
            ("unix:/a", "unix:/b", false),
            ("unix:/a", "127.0.0.1:1", false),
        ];
        for (a, b, expected) in cases {
            let (left, right): (ListenAddr, ListenAddr) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(left.overlaps(&right), expected, "{a} {b}");
            assert_eq!(right.overlaps(&left), expected, "{b} {a}");
        }
    }

    #[test]
    fn hosts_are_addresses_or_names_without_a_port() {
        for (text, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("proxy.example.com", Some("proxy.example.com")),
            ("proxy:9001", None),
            ("10.0.0.1:9001", None),
            ("[10.0.0.1]", None),
            ("10.0.0.256", None),
            ("two words", None),
            ("", None),
        ] {
            assert_eq!(parse_host(text).ok().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn another_host_keeps_the_port_and_leaves_unix_alone() {
        let ip = IpAddr::from([127, 0, 0, 2]);
        let tcp: ListenAddr = "0.0.0.0:9001".parse().unwrap();
        assert_eq!(tcp.with_host(ip).to_string(), "127.0.0.2:9001");
        let unix: ListenAddr = "unix:/a".parse().unwrap();
        assert_eq!(unix.with_host(ip), unix);
    }
}
