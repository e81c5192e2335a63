//! One entry of `servers`: `addr[:weight] [alias]`, or a table.

use crate::{
    manifest::{
        findings::Findings,
        table::{Table, Value},
    },
    model::{EndpointAddr, EndpointDraft},
};

/// Reads one entry, whose fields are below `path`.
pub(super) fn read<'t>(
    findings: &mut Findings,
    value: &'t Value<'t>,
    path: String,
) -> Option<EndpointDraft> {
    if let Some(text) = value.get_ref().as_str() {
        let parsed = parse(text);
        if let Err(message) = &parsed {
            findings.fail(&value.span(), format!("servers: {message}"));
            findings.unread.insert(path);
        }
        return parsed.ok();
    }
    let mut table = Table::open(findings, value, path)?;
    let endpoint = EndpointDraft {
        addr: table.text("addr", &[]).unwrap_or_default(),
        weight: table.integer("weight", &[]),
        alias: table.text("alias", &[]),
        zone: table.text("zone", &[]),
        replica_of: table.text("replica_of", &[]),
    };
    table.close();
    Some(endpoint)
}

/// Reads `addr[:weight] [alias]`; an address that is none is left to the check of the definition.
fn parse(text: &str) -> Result<EndpointDraft, String> {
    let mut parts = text.split_whitespace();
    let addr = parts.next().unwrap_or_default();
    let alias = parts.next().map(str::to_owned);
    if parts.next().is_some() {
        return Err(format!("`{text}` is not `addr[:weight] [alias]`"));
    }
    let (addr, weight) = split_weight(addr)?;
    Ok(EndpointDraft {
        addr,
        weight,
        alias,
        ..EndpointDraft::default()
    })
}

fn split_weight(text: &str) -> Result<(String, Option<u32>), String> {
    // twemproxy writes unix sockets without a scheme.
    let addr = if text.starts_with('/') {
        format!("unix:{text}")
    } else {
        text.to_owned()
    };
    let Some((before, weight)) = addr.rsplit_once(':') else {
        return Ok((addr, None));
    };
    let is_unix = addr.starts_with("unix:");
    let is_number = !weight.is_empty() && weight.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = if is_unix {
        !is_number || before == "unix"
    } else {
        addr.parse::<EndpointAddr>().is_ok()
    };
    if is_whole || before.parse::<EndpointAddr>().is_err() {
        return Ok((addr, None));
    }
    match weight.parse() {
        Ok(weight) => Ok((before.to_owned(), Some(weight))),
        Err(_) => Err(format!(
            "weight `{weight}` of `{text}` is not a number from 1 to 1000"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_a_weight_and_an_alias() {
        for (text, addr, weight, alias) in [
            ("10.0.0.1:6379", "10.0.0.1:6379", None, None),
            ("10.0.0.1:6379:10", "10.0.0.1:6379", Some(10), None),
            (
                "10.0.0.1:6379:10 redis-1",
                "10.0.0.1:6379",
                Some(10),
                Some("redis-1"),
            ),
            (
                "10.0.0.1:6379  redis-1 ",
                "10.0.0.1:6379",
                None,
                Some("redis-1"),
            ),
            (
                "redis.example.com:6379:0",
                "redis.example.com:6379",
                Some(0),
                None,
            ),
            ("[::1]:6379", "[::1]:6379", None, None),
            ("[::1]:6379:2 a", "[::1]:6379", Some(2), Some("a")),
            ("unix:/run/a.sock", "unix:/run/a.sock", None, None),
            (
                "unix:/run/a.sock:3 a",
                "unix:/run/a.sock",
                Some(3),
                Some("a"),
            ),
            ("/run/a.sock:3 a", "unix:/run/a.sock", Some(3), Some("a")),
            ("10.0.0.1", "10.0.0.1", None, None),
            ("", "", None, None),
        ] {
            let expected = EndpointDraft {
                addr: addr.to_owned(),
                weight,
                alias: alias.map(str::to_owned),
                ..EndpointDraft::default()
            };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert!(parse("10.0.0.1:6379:x").is_err());
        assert!(parse("10.0.0.1:6379:99999999999").is_err());
        assert!(parse("10.0.0.1:6379:1 a b").is_err());
    }
}
