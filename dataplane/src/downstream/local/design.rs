//! Which of the commands that are the proxy's own it answers, and which it refuses by design.

use super::{is_served, tests::Bench};
use crate::{
    downstream::local::tests::{ask, run},
    protocol::redis::command::{Class, Command, all},
};

/// Beginnings of the refusals that are meant.
const MANAGED: &str = "-ERR prism: managed; use prismctl apply";
const ALWAYS: &str = "belongs to one endpoint and is always refused";

const POOL: &str = "-ERR This instance has cluster support disabled";

/// What is the proxy's own and refused, with what the refusal says.
const REFUSED: [(&str, &str); 8] = [
    ("acl|deluser", MANAGED),
    ("acl|load", MANAGED),
    ("acl|log", MANAGED),
    ("acl|save", MANAGED),
    ("acl|setuser", MANAGED),
    ("config|resetstat", MANAGED),
    ("config|rewrite", MANAGED),
    ("config|set", MANAGED),
];

fn is_own(command: &Command) -> bool {
    matches!(
        command.class,
        Class::Admin
            | Class::Forbid
            | Class::Local
            | Class::LocalAdmin
            | Class::LocalMerged
            | Class::Tracking
    )
}

#[test]
fn own_commands_are_answered_or_refused_by_design() {
    run(async || {
        let bench = Bench::start(None);
        let mut client = bench.connect();
        for row in all().iter().filter(|row| is_own(row)) {
            let known = REFUSED.iter().find(|(name, _)| *name == row.name);
            let said = match (row.class, known) {
                _ if row.name.starts_with("cluster|") && !is_served(row) => POOL,
                (Class::Admin | Class::Forbid, None) => ALWAYS,
                (_, Some((_, said))) => said,
                (_, None) => {
                    assert!(is_served(row), "{} is not answered", row.name);
                    continue;
                }
            };
            assert!(!is_served(row), "{} is answered", row.name);
            let mut line = row.name.replace('|', " ");
            let words = line.split(' ').count();
            for _ in words..usize::from(row.arity.unsigned_abs()) {
                line.push_str(" 1");
            }
            let reply = ask(&mut client, &line).await;
            assert!(reply.contains(said), "{line}: {reply}");
        }
    });
}
