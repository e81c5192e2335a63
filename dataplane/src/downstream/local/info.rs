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
    unsupported,
};
use crate::{
    cluster::ClusterWorker,
    metrics::{processor_seconds, resident_bytes},
    protocol::redis::reply::{write_array_header, write_bulk, write_integer, write_verbatim},
};

/// Writes the fields of one section.
type Section = fn(&ClusterWorker, &mut String) -> fmt::Result;

/// The sections, as Redis names and orders them.
const SECTIONS: [(&str, Section); 8] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", |_, text| {
        text.write_str("loading:0\r\nasync_loading:0\r\n")
    }),
    ("Stats", stats),
    ("Replication", |_, text| {
        text.write_str("role:master\r\nconnected_slaves:0\r\n")
    }),
    ("CPU", processor),
    ("Cluster", |cluster, text| {
        let is_cluster = u8::from(cluster.settings_ref().is_cluster);
        write!(text, "cluster_enabled:{is_cluster}\r\n")
    }),
];

/// Sections that only endpoints could fill: left out of the whole, refused when asked for by name.
const REFUSED: [&str; 5] = [
    "commandstats",
    "errorstats",
    "keyspace",
    "latencystats",
    "modules",
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
    let is_asked = |name: &str| {
        let mut words = asked.words(1);
        words.any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    if let Some(name) = REFUSED.iter().find(|name| is_asked(name)) {
        return Err(unsupported(&format!("info {name}")));
    }
    let is_all = ["all", "default", "everything"].into_iter().any(is_asked);
    let is_all = is_all || asked.args.len() == 1;
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if !is_all && !is_asked(name) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // A string takes whatever is written.
        let _ = write!(text, "# {name}\r\n").and_then(|()| write(asked.cluster, &mut text));
    }
    write_verbatim(out, text, asked.kind.dialect);
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
    let blocked = runtime.shared.blocked.load(Ordering::Relaxed);
    write!(text, "blocked_clients:{blocked}\r\n")
}

/// Tells of the whole data plane, which has no data of its own.
fn memory(_: &ClusterWorker, text: &mut String) -> fmt::Result {
    let used = resident_bytes().unwrap_or_default();
    for name in ["used_memory", "used_memory_rss"] {
        write!(text, "{name}:{used}\r\n{name}_human:{}\r\n", Human(used))?;
    }
    text.write_str("maxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n")
}

/// Tells of this cluster on this data plane, all its workers taken together, since the start.
fn stats(cluster: &ClusterWorker, text: &mut String) -> fmt::Result {
    let sums = cluster.context.registry.sums(cluster.name());
    for (name, value) in [
        ("total_connections_received", sums.connections_total),
        ("total_commands_processed", sums.requests_total),
        ("total_net_input_bytes", sums.bytes_in_total),
        ("total_net_output_bytes", sums.bytes_out_total),
        ("rejected_connections", sums.clients_rejected_total),
    ] {
        write!(text, "{name}:{value}\r\n")?;
    }
    Ok(())
}

/// Tells of the whole data plane.
fn processor(_: &ClusterWorker, text: &mut String) -> fmt::Result {
    let (user, system) = processor_seconds().unwrap_or_default();
    write!(
        text,
        "used_cpu_sys:{system:.6}\r\nused_cpu_user:{user:.6}\r\n"
    )
}

/// A size as Redis shows it to people.
struct Human(u64);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut size, mut unit) = (self.0 as f64, 'B');
        for larger in ['K', 'M', 'G', 'T'] {
            if size < 1024.0 {
                break;
            }
            (size, unit) = (size / 1024.0, larger);
        }
        match unit {
            'B' => write!(f, "{}B", self.0),
            unit => write!(f, "{size:.2}{unit}"),
        }
    }
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
