//! Who may use whom: crates, rooms in order, fences.

use toml::Table;

use crate::{
    source::{root_paths, tokens},
    tree::SourceFile,
};

/// The rooms of each crate: a room uses only itself and those before it.
pub(crate) const ROOMS: [(&str, &[&str]); 4] = [
    (
        "proto",
        &["pb", "model", "placement", "manifest", "convert", "status"],
    ),
    (
        "dataplane",
        &[
            "metrics",
            "protocol",
            "access",
            "route",
            "inflight",
            "observe",
            "upstream",
            "cluster",
            "downstream",
            "discovery",
            "admin",
            "server",
        ],
    ),
    (
        "controlplane",
        &[
            "metrics", "store", "verdict", "catalog", "fleet", "plan", "probe", "health",
            "rollout", "feed", "access", "api", "http", "server",
        ],
    ),
    (
        "ctl",
        &["exit", "cli", "client", "import", "output", "command"],
    ),
];

/// Rooms that use nothing generated, although it stands before them.
const PURE_OF_PB: [&str; 2] = ["model", "placement"];

/// Files at a crate's root that may use every room.
const ROOTS: [&str; 2] = ["lib", "main"];

/// Which of our crates each crate may depend on.
const CRATES: [(&str, &[&str]); 5] = [
    ("proto", &[]),
    ("dataplane", &["prism-proto"]),
    ("controlplane", &["prism-proto"]),
    ("ctl", &["prism-proto"]),
    (
        "tests",
        &[
            "prism-proto",
            "prism-dataplane",
            "prism-controlplane",
            "prismctl",
        ],
    ),
];

/// A crate that only some places may use.
struct Fence {
    /// The crate and its family: `tonic` also stands for `tonic_health`.
    krate: &'static str,
    /// Path prefixes it is allowed under.
    inside: &'static [&'static str],
}

const FENCES: [Fence; 4] = [
    Fence {
        krate: "sled",
        inside: &["controlplane/src/store"],
    },
    Fence {
        krate: "etcd_client",
        inside: &["controlplane/src/store"],
    },
    Fence {
        krate: "prost",
        inside: &["proto/src", "proto/build.rs"],
    },
    Fence {
        krate: "tonic",
        inside: &[
            "proto/src",
            "proto/build.rs",
            "controlplane/src/api",
            "controlplane/src/server",
            "dataplane/src/discovery",
            "ctl/src/client",
            "tests",
        ],
    },
];

/// Rooms where `tokio` may not be used.
const NO_TOKIO: [&str; 4] = [
    "dataplane/src/protocol",
    "dataplane/src/access",
    "dataplane/src/route",
    "proto/src/placement",
];

/// What is wrong with the dependencies of the crate in folder `krate`.
pub(crate) fn crate_violations(krate: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == krate) else {
        return vec![format!("{krate}: not a crate of the house")];
    };
    let manifest: Table = match manifest.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{krate}/Cargo.toml: {error}")],
    };
    manifest
        .iter()
        .filter(|(section, _)| section.ends_with("dependencies"))
        .filter_map(|(_, table)| table.as_table())
        .flat_map(Table::keys)
        .filter(|name| name.starts_with("prism") && !allowed.contains(&name.as_str()))
        .map(|name| format!("{krate}/Cargo.toml: may not depend on {name}"))
        .collect()
}

/// What is wrong with where `file` is and with the rooms it uses.
pub(crate) fn room_violations(file: &SourceFile) -> Vec<String> {
    let Some((_, rooms)) = ROOMS.iter().find(|(name, _)| *name == file.krate()) else {
        return Vec::new();
    };
    let Some(room) = file.room() else {
        return Vec::new();
    };
    if ROOTS.contains(&room) {
        return Vec::new();
    }
    let position = |name: &str| rooms.iter().position(|room| *room == name);
    let Some(own) = position(room) else {
        return vec![format!(
            "{}: `{room}` is not a room of {}",
            file.path,
            file.krate()
        )];
    };
    let is_pure = file.krate() == "proto" && PURE_OF_PB.contains(&room);
    root_paths(&file.text, file.depth())
        .into_iter()
        .filter(|path| {
            let is_left = position(&path.room).is_some_and(|used| used <= own);
            !is_left || (is_pure && path.room == "pb")
        })
        .map(|path| {
            format!(
                "{}:{}: `{room}` may not use `{}`",
                file.path, path.line, path.room
            )
        })
        .collect()
}

/// What `file` uses of crates that are fenced in elsewhere.
pub(crate) fn fence_violations(file: &SourceFile) -> Vec<String> {
    let tokens = tokens(&file.text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |at| tokens[at].text);
        let after = tokens.get(at + 1).map_or("", |token| token.text);
        let is_crate = before != "::" && before != "." && (after == "::" || before == "use");
        if is_crate && !may_use(&file.path, token.text) {
            found.push(format!(
                "{}:{}: may not use `{}`",
                file.path, token.line, token.text
            ));
        }
    }
    found
}

fn may_use(path: &str, krate: &str) -> bool {
    let is_family = |family: &str| {
        krate == family
            || krate
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('_'))
    };
    let is_fenced_out = FENCES.iter().any(|fence| {
        is_family(fence.krate) && !fence.inside.iter().any(|place| is_under(path, place))
    });
    let is_tokio_here = krate == "tokio" && NO_TOKIO.iter().any(|place| is_under(path, place));
    let is_clap_here = krate == "clap" && !is_command_line(path);
    !is_fenced_out && !is_tokio_here && !is_clap_here
}

/// Whether `path` is `place`, `place.rs` or below it.
fn is_under(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

/// Whether `path` is a `main` or `cli` file, where command lines are declared.
fn is_command_line(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(name, "main.rs" | "cli.rs")
        || path.contains("/cli/")
        || path.starts_with("tests/bench/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile::new(path, text)
    }

    #[test]
    fn crate_that_uses_its_sibling_is_seen() {
        let manifest = "[dev-dependencies]\nprism-controlplane = { path = \"x\" }\n";
        assert_eq!(crate_violations("dataplane", manifest).len(), 1);
        assert_eq!(crate_violations("tests", manifest).len(), 0);
        assert_eq!(crate_violations("unknown", "").len(), 1);
        assert_eq!(crate_violations("ctl", "= broken").len(), 1);
    }

    #[test]
    fn room_that_uses_one_to_its_right_is_seen() {
        let right = "use crate::{metrics, server::start};";
        assert_eq!(
            room_violations(&file("dataplane/src/route/mod.rs", right)).len(),
            1
        );
        assert_eq!(
            room_violations(&file("dataplane/src/server/mod.rs", right)).len(),
            0
        );
        let climbing = "use super::super::server;";
        assert_eq!(
            room_violations(&file("dataplane/src/route/policy.rs", climbing)).len(),
            1
        );
        let generated = "use crate::pb::config;";
        assert_eq!(
            room_violations(&file("proto/src/model/mod.rs", generated)).len(),
            1
        );
        assert_eq!(
            room_violations(&file("proto/src/convert/mod.rs", generated)).len(),
            0
        );
    }

    #[test]
    fn unknown_room_is_seen() {
        assert_eq!(room_violations(&file("dataplane/src/pool.rs", "")).len(), 1);
        assert_eq!(room_violations(&file("ctl/src/shell/mod.rs", "")).len(), 1);
        assert_eq!(
            room_violations(&file("ctl/src/exit.rs", "use crate::nowhere::x;")).len(),
            1
        );
        assert_eq!(
            room_violations(&file("ctl/src/main.rs", "use crate::cli;")).len(),
            0
        );
    }

    #[test]
    fn fenced_crate_elsewhere_is_seen() {
        let cases = [
            ("controlplane/src/catalog.rs", "use sled::Db;", 1),
            ("controlplane/src/store/sled.rs", "use sled::Db;", 0),
            ("dataplane/src/server/mod.rs", "fn f(m: prost::Name) {}", 1),
            (
                "dataplane/src/server/mod.rs",
                "use prost_types::Timestamp;",
                1,
            ),
            ("controlplane/src/feed/mod.rs", "use tonic::Status;", 1),
            ("controlplane/src/http/mod.rs", "tonic_web::layer()", 1),
            ("ctl/src/client.rs", "use tonic::Status;", 0),
            ("ctl/src/command/get.rs", "use tonic::Status;", 1),
            ("dataplane/src/protocol/message.rs", "use tokio::io;", 1),
            (
                "dataplane/src/protocol/tests.rs",
                "#[tokio::test] async fn f() {}",
                1,
            ),
            ("proto/src/placement/ring.rs", "use tokio;", 1),
            ("dataplane/src/upstream/mod.rs", "use tokio::io;", 0),
            (
                "dataplane/src/server/mod.rs",
                "#[derive(clap::Parser)] struct A;",
                1,
            ),
            ("dataplane/src/main.rs", "use clap::Parser;", 0),
            (
                "dataplane/src/server/mod.rs",
                "let sled = 1; x::sled::y(); // sled::",
                0,
            ),
        ];
        for (path, text, count) in cases {
            assert_eq!(
                fence_violations(&file(path, text)).len(),
                count,
                "{path}: {text}"
            );
        }
    }
}
