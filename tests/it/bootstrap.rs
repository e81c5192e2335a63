//! A data plane that serves a definitions file alone, follows its changes, and survives a broken one.

use std::time::Duration;

use prism_tests::{
    definitions, ports,
    programs::{self, DataPlane, http_get},
    raw::Raw,
    redis::Redis,
    wait,
};

use crate::pool::servers;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn serves_and_follows_the_file() {
    let endpoints = Redis::start_many(2);
    let (first, second) = (ports::free_addr(), ports::free_addr());
    let one = definitions::redis("one", &first, &servers(&endpoints), "");
    let data_plane = DataPlane::bootstrap(&one);
    let mut kept = Raw::connect(&first);
    assert_eq!(kept.ask("SET a 1"), "+OK");

    let two = definitions::redis("two", &second, &servers(&endpoints), "");
    data_plane.rewrite(&format!("{one}\n{two}"));
    wait::until("the new cluster is served", LIMIT, || {
        Raw::open(&second).is_ok()
    });
    assert_eq!(Raw::connect(&second).ask("GET a"), "$1\r\n1");
    assert_eq!(kept.ask("GET a"), "$1\r\n1");

    data_plane.rewrite(&two);
    wait::until("the old listener is closed", LIMIT, || {
        Raw::open(&first).is_err()
    });
    assert_eq!(Raw::connect(&second).ask("GET a"), "$1\r\n1");
}

#[test]
fn broken_file_keeps_the_old_definitions() {
    let endpoints = Redis::start_many(1);
    let listen = ports::free_addr();
    let good = definitions::redis("pool", &listen, &servers(&endpoints), "");
    let mut data_plane = DataPlane::bootstrap(&good);
    let mut client = Raw::connect(&listen);
    assert_eq!(client.ask("SET a 1"), "+OK");
    let file = data_plane.folder().join("bootstrap.toml");
    for broken in [
        "[[clusters]\n".to_owned(),
        good.replace("servers", "serverz"),
        "clusters = 1\n".into(),
    ] {
        let before = data_plane.process().log().len();
        data_plane.rewrite(&broken);
        wait::until("the broken file is logged", LIMIT, || {
            let log = data_plane.process().log();
            log[before..].contains(file.to_string_lossy().as_ref())
                || log[before..].contains("bootstrap")
        });
        assert_eq!(client.ask("GET a"), "$1\r\n1");
        assert_eq!(Raw::connect(&listen).ask("GET a"), "$1\r\n1");
    }
    let more = ports::free_addr();
    let second = definitions::redis("second", &more, &servers(&endpoints), "");
    data_plane.rewrite(&format!("{good}\n{second}"));
    wait::until("a mended file is served", LIMIT, || {
        Raw::open(&more).is_ok()
    });
}

#[test]
fn broken_file_at_the_start_ends_with_78_and_says_where() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = folder.path().join("broken.toml");
    std::fs::write(
        &file,
        "[[clusters]]\nname = \"a\"\nlisten_adr = \"127.0.0.1:1\"\n",
    )
    .expect("writable");
    let path = file.to_string_lossy();
    let output = programs::run(
        "prism-dataplane",
        &["--bootstrap", &path, "--admin", &ports::free_addr()],
        "",
    );
    assert_eq!(output.code, 78, "{output:#?}");
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains(&format!("{path}:3:1")), "{said}");
    assert!(said.contains("listen_addr"), "a suggestion in {said}");
}

#[test]
fn bootstrap_beside_a_control_plane_is_a_usage_error() {
    let output = programs::run(
        "prism-dataplane",
        &["--bootstrap", "x.toml", "--control", "http://127.0.0.1:1"],
        "",
    );
    assert_eq!(output.code, 64, "{output:#?}");
}

#[test]
fn busy_port_is_named_and_ends_the_start() {
    let endpoints = Redis::start_many(1);
    let text = definitions::redis("pool", &endpoints[0].addr(), &servers(&endpoints), "");
    let mut data_plane = {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let file = folder.keep().join("busy.toml");
        std::fs::write(&file, text).expect("writable");
        DataPlane::spawn(&["--bootstrap", &file.to_string_lossy()])
    };
    let status = data_plane.process().wait_exit(wait::LIMIT);
    assert!(!status.success());
    assert!(data_plane.process().log().contains(&endpoints[0].addr()));
}

#[test]
fn admin_answers_about_the_data_plane() {
    let endpoints = Redis::start_many(1);
    let listen = ports::free_addr();
    let text = definitions::redis(
        "pool",
        &listen,
        &servers(&endpoints),
        "password = \"hidden-word\"",
    );
    let data_plane = DataPlane::bootstrap(&text);
    for (path, part) in [
        ("/livez", ""),
        ("/readyz", ""),
        ("/metrics", "prism_"),
        ("/config", "pool"),
    ] {
        let (status, body) = http_get(data_plane.admin(), path).expect("admin answers");
        assert_eq!(status, 200, "{path}");
        assert!(body.contains(part), "{path}: {body}");
        assert!(!body.contains("hidden-word"), "no password in {path}");
    }
    assert_eq!(
        http_get(data_plane.admin(), "/nowhere").map(|(status, _)| status),
        Some(404)
    );
}
