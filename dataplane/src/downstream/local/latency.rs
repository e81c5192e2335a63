//! LATENCY: as on a server whose latency monitor is off; what is slow is in the slow log and in the metrics.

use super::{Asked, Client, Handler, Words};
use crate::protocol::redis::reply::{
    write_array_header, write_integer, write_map_header, write_verbatim,
};

/// The words of Redis.
const DOCTOR: &str = "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You \
                      may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we \
                      weren't in a deep space mission I'd suggest to take a look at \
                      https://redis.io/topics/latency-monitor.\n";

pub(super) fn handler(name: &str) -> Option<Handler> {
    Some(match name {
        "latency|doctor" => |_, asked, out| {
            write_verbatim(out, DOCTOR, asked.kind.dialect);
            Ok(())
        },
        "latency|graph" => graph,
        "latency|histogram" => |_, asked, out| {
            write_map_header(out, 0, asked.kind.dialect);
            Ok(())
        },
        "latency|history" | "latency|latest" => |_, _, out| {
            write_array_header(out, 0);
            Ok(())
        },
        "latency|reset" => |_, _, out| {
            write_integer(out, 0);
            Ok(())
        },
        _ => return None,
    })
}

fn graph(_: &mut Client, asked: &Asked<'_>, _: &mut Vec<u8>) -> Result<(), Words> {
    let event = crate::protocol::redis::command::as_text(asked.word(2));
    Err(format!("ERR No samples available for event '{event}'").into())
}
