//! The libraries most applications speak to Memcached with: what passes at one memcached passes through a pool.

use std::{collections::BTreeMap, path::Path, process::Command};

use prism_tests::{memcached::Memcached, ports};

use crate::{
    client_libraries::{self, installed},
    differential::say,
    memcached::Pool,
};

/// Checks by name, and how each went.
type Checks = BTreeMap<String, String>;

/// Runs a program and reads a check a line: its name, and how it went in brackets.
#[track_caller]
fn checks(mut command: Command) -> Checks {
    let output = command.output();
    let output = output.expect("the program runs: run tests/run once");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Checks = told
        .split(['\r', '\n'])
        .filter_map(|line| line.trim().strip_suffix(']')?.split_once(" ["))
        .map(|(name, how)| (name.trim().to_owned(), how.to_owned()))
        .collect();
    let more = String::from_utf8_lossy(&output.stderr);
    assert!(!found.is_empty(), "{told}{more}");
    assert!(output.status.code().is_some(), "{told}{more}");
    if !more.is_empty() {
        say(&more);
    }
    found
}

/// Runs what `command` makes for a port, at one memcached and through a pool, and compares each of `count` checks.
#[track_caller]
fn compare(count: usize, command: impl Fn(&str) -> Command) {
    let (server, pool) = (Memcached::start(), Pool::start(3));
    let truth = checks(command(ports::port_of(&server.addr())));
    let found = checks(command(ports::port_of(&pool.listen)));
    let passed = |checks: &Checks| checks.values().filter(|how| *how == "pass").count();
    say(&format!(
        "{} checks: {} pass at memcached, {} through the proxy",
        truth.len(),
        passed(&truth),
        passed(&found)
    ));
    assert_eq!((truth.len(), passed(&truth)), (count, count), "{truth:?}");
    assert_eq!(found, truth, "the proxy (left) and memcached differ");
}

fn python(library: &'static str) -> impl Fn(&str) -> Command {
    let program = installed("venv/bin/python");
    move |port| client_libraries::command(&program, "memcached.py", [port, library])
}

fn node(library: &'static str) -> impl Fn(&str) -> Command {
    move |port| client_libraries::command(Path::new("node"), "memcached.js", [port, library])
}

/// libmemcached's own checks of a server.
fn memccapable(protocol: &'static str) -> impl Fn(&str) -> Command {
    move |port| {
        let mut command = Command::new("memccapable");
        command.args(["-h", "127.0.0.1", "-p", port, protocol]);
        command
    }
}

#[test]
fn memccapable_in_binary() {
    compare(27, memccapable("-b"));
}

#[test]
fn memccapable_in_text() {
    compare(27, memccapable("-a"));
}

#[test]
fn pymemcache_in_text() {
    compare(48, python("pymemcache"));
}

#[test]
fn python_binary_memcached() {
    compare(34, python("bmemcached"));
}

#[test]
fn meta_memcache_in_meta() {
    compare(39, python("meta_memcache"));
}

#[test]
fn memjs_in_binary() {
    compare(23, node("memjs"));
}

#[test]
fn memcached_of_npm_in_text() {
    compare(29, node("memcached"));
}
