//! INFO, ROLE, TIME: what the proxy tells of itself, in the fields client libraries look for.

use std::{
    fmt::{self, Write},
    sync::atomic::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

use prism_proto::model::ListenAddr;

use super::{
    Asked, Client, Handler, Words,
    session::{REDIS, mode},
};
use crate::{
    cluster::ClusterWorker,
    protocol::redis::reply::{write_array_header, write_bulk, write_integer},
};

/// Writes the fields of one section.
type Section = fn(&ClusterWorker, &mut String) -> fmt::Result;

/// The sections, as Redis names and orders them.
const SECTIONS: [(&str, Section); 5] = [
    ("Server", server),
    ("Clients", clients),
    ("Persistence", |_, text| text.write_str("loading:0\r\n")),
    ("Replication", |_, text| {
        text.write_str("role:master\r\nconnected_slaves:0\r\n")
    }),
    ("Cluster", |cluster, text| {
        let is_cluster = u8::from(cluster.settings_ref().is_cluster);
        write!(text, "cluster_enabled:{is_cluster}\r\n")
    }),
];

const SECONDS_A_DAY: u64 = 86_400;

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "info" => info,
        "role" => role,
        "time" => time,
        _ => return None,
    })
}

fn info(_: &mut Client, asked: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    let is_any = |names: &[&str]| {
        let mut words = asked.words(1);
        words.any(|word| {
            names
                .iter()
                .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    let is_all = asked.args.len() == 1 || is_any(&["all", "default", "everything"]);
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if !is_all && !is_any(&[name]) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // A string takes whatever is written.
        let _ = write!(text, "# {name}\r\n").and_then(|()| write(asked.cluster, &mut text));
    }
    write_bulk(out, text);
    Ok(())
}

fn server(cluster: &ClusterWorker, text: &mut String) -> fmt::Result {
    let uptime = cluster.context.clock.now() / 1_000_000_000;
    let mode = mode(cluster);
    write!(text, "redis_version:{REDIS}\r\nredis_mode:{mode}\r\n")?;
    write!(text, "prism_version:{}\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(text, "prism_cluster:{}\r\n", cluster.name())?;
    write!(text, "os:{}\r\n", std::env::consts::OS)?;
    write!(text, "arch_bits:{}\r\n", usize::BITS)?;
    write!(text, "process_id:{}\r\n", std::process::id())?;
    if let ListenAddr::Tcp { port, .. } = cluster.runtime().listen {
        write!(text, "tcp_port:{port}\r\n")?;
    }
    write!(text, "uptime_in_seconds:{uptime}\r\n")?;
    write!(text, "uptime_in_days:{}\r\n", uptime / SECONDS_A_DAY)
}

/// Tells of this cluster on this data plane, all its workers taken together.
fn clients(cluster: &ClusterWorker, text: &mut String) -> fmt::Result {
    let runtime = cluster.runtime();
    let connected = runtime.shared.clients.load(Ordering::Relaxed);
    write!(text, "connected_clients:{connected}\r\n")?;
    if let Some(limit) = runtime.cluster.limits().max_clients {
        write!(text, "maxclients:{limit}\r\n")?;
    }
    text.write_str("blocked_clients:0\r\n")
}

/// Whatever the endpoints are, the proxy takes writes.
fn role(_: &mut Client, _: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    write_array_header(out, 3);
    write_bulk(out, "master");
    write_integer(out, 0);
    write_array_header(out, 0);
    Ok(())
}

fn time(_: &mut Client, _: &Asked<'_>, out: &mut Vec<u8>) -> Result<(), Words> {
    // A clock before 1970 is shown as 1970.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    write_array_header(out, 2);
    write_bulk(out, now.as_secs().to_string());
    write_bulk(out, now.subsec_micros().to_string());
    Ok(())
}
