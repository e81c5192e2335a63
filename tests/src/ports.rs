//! Free ports below the ephemeral range, each held by a file lock so that tests of other processes do not choose it too.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    sync::Mutex,
};

use rustix::fs::{FlockOperation, flock};

/// Ports whose bus port (10 000 above) is free as well come from here.
const FIRST: u16 = 11_000;
const SPAN: u16 = 10_000;

/// Distance of a Redis Cluster node's bus port.
const BUS: u16 = 10_000;

/// Locks held, and so ports reserved, until the process ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Reserves a port nobody listens on, its bus port included, until this process ends.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).expect("the system has random bytes");
    let start = u64::from_le_bytes(seed) % u64::from(SPAN);
    (0..SPAN)
        .map(|step| FIRST + ((start + u64::from(step)) % u64::from(SPAN)) as u16)
        .find(|&port| reserve(port))
        .expect("a port is free")
}

/// The port of an address.
///
/// # Panics
/// When it has none.
pub fn port_of(addr: &str) -> &str {
    let (_, port) = addr.rsplit_once(':').expect("an address has a port");
    port
}

/// A free loopback address, as text.
pub fn free_addr() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn reserve(port: u16) -> bool {
    let folder = folder();
    let Ok(file) = File::create(folder.join(port.to_string())) else {
        return false;
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    let is_free = is_unused(port) && is_unused(port + BUS);
    if is_free {
        HELD.lock().expect("no holder panics").push(file);
    }
    is_free
}

fn is_unused(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join("prism-tests-ports");
    fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}
