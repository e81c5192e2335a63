//! What idle connections cost a proxy in memory.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    load::{Generator, Load},
    measure,
};

/// How long a proxy may take to give back what it needs no more.
const QUIET: Duration = Duration::from_millis(700);

/// Opens the connections of `load` to the fresh process `pid`, lets each ask once, and compares its memory.
///
/// # Errors
/// When a connection fails.
pub(crate) fn idle(pid: u32, load: &Load<'_>) -> anyhow::Result<Value> {
    thread::sleep(QUIET);
    let before = measure::memory(pid).resident_kib;
    // Holds the connections open until it is dropped.
    let held = Generator::connect(load)?;
    thread::sleep(QUIET);
    let after = measure::memory(pid).resident_kib;
    let each = after.saturating_sub(before) as f64 / load.connections as f64;
    drop(held);
    Ok(json!({
        "connections": load.connections,
        "resident_before_kib": before,
        "resident_kib": after,
        "kib_per_connection": each,
    }))
}
