//! An endpoint that dies, hangs and returns: every request is answered, once, in time, and other keys are unharmed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use prism_tests::{is_long, raw::Raw, redis::Redis, resp};

use crate::pool::Pool;

const CLIENTS: usize = 8;
const DEPTH: usize = 20;

/// Far beyond every deadline of the definition, also on a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

/// Pipelines writes and reads until told to stop; answers how many were refused.
fn client(listen: &str, number: usize, stop: &AtomicBool) -> usize {
    let mut raw = Raw::connect(listen);
    raw.set_read_limit(ANSWER);
    let (mut refused, mut round) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let keys: Vec<_> = (0..DEPTH).map(|at| format!("{at}-{number}-key")).collect();
        let value = round.to_string();
        let bytes: Vec<u8> = keys
            .iter()
            .flat_map(|key| {
                [
                    resp::command(&["SET", key, &value]),
                    resp::command(&["GET", key]),
                ]
                .concat()
            })
            .collect();
        raw.send(&bytes);
        for key in &keys {
            let set = raw.reply();
            let get = raw.reply();
            let is_refused = |reply: &[u8]| reply.starts_with(b"-ERR prism: endpoint ");
            refused += usize::from(is_refused(&set));
            assert!(
                set == b"+OK\r\n" || is_refused(&set),
                "{key}: {}",
                String::from_utf8_lossy(&set)
            );
            // A write that was refused may have run all the same; one that was not is seen.
            let is_stale = get == resp::bulk(&value)
                || get == b"$-1\r\n"
                || is_refused(&get)
                || is_refused(&set);
            assert!(is_stale, "{key}: {}", String::from_utf8_lossy(&get));
        }
    }
    refused
}

/// Runs clients while `disturb` works on the endpoints, for a while.
fn disturbed(more: &str, mut disturb: impl FnMut(&mut Vec<Redis>)) -> usize {
    let mut pool = Pool::start_with(Redis::start_many(3), more);
    let stop = AtomicBool::new(false);
    let limit = Duration::from_secs(if is_long() { 120 } else { 8 });
    let listen = pool.listen.clone();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let (listen, stop) = (&listen, &stop);
                    move || client(listen, number, stop)
                })
            })
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < limit && clients.iter().all(|client| !client.is_finished()) {
            disturb(&mut pool.endpoints);
        }
        stop.store(true, Ordering::Relaxed);
        let refused = clients.into_iter().map(|client| client.join());
        refused
            .map(|refused| refused.expect("every request is answered"))
            .sum()
    })
}

const QUICK: &str = "ping_interval = 200\nping_succ_interval = 50\nping_timeout = 100\nping_fail_limit = 2\n\
                     ping_succ_limit = 1\nping_succ_window = 100\nread_timeout = 500";

#[test]
fn killed_and_restarted_endpoint_leaves_no_request_unanswered() {
    let refused = disturbed(QUICK, |endpoints| {
        endpoints[0].process().kill();
        thread::sleep(Duration::from_millis(700));
        endpoints[0].restart();
        thread::sleep(Duration::from_millis(300));
    });
    assert!(refused > 0, "some requests met the dead endpoint");
}

#[test]
fn stopped_and_resumed_endpoint_leaves_no_request_unanswered() {
    let refused = disturbed(QUICK, |endpoints| {
        endpoints[0].process().suspend();
        thread::sleep(Duration::from_millis(900));
        endpoints[0].process().resume();
        thread::sleep(Duration::from_millis(300));
    });
    assert!(refused > 0, "some requests met the stopped endpoint");
}

#[test]
fn closed_connections_leave_no_request_unanswered() {
    disturbed("ping_fail_limit = 0", |endpoints| {
        for endpoint in endpoints {
            let killed = endpoint.ask("CLIENT KILL TYPE normal SKIPME yes");
            assert!(killed.starts_with(':'), "{killed}");
        }
        thread::sleep(Duration::from_millis(30));
    });
}
