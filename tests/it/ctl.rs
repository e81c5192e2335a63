//! prismctl: every verb, every exit code, every form of output.

use prism_tests::{
    definitions,
    fleet::Fleet,
    ports,
    programs::{self, ControlPlane, Output},
    redis::Redis,
};
use tempfile::TempDir;

use crate::pool::servers;

/// A definition nobody serves, for tests of the store alone.
fn definition(name: &str) -> String {
    let endpoint = format!("127.0.0.1:{}:1 one", ports::free_port());
    definitions::redis(name, &ports::free_addr(), &[endpoint], "")
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.code, code, "{output:#?}");
}

fn ctl(arguments: &[&str], input: &str) -> Output {
    programs::run("prismctl", arguments, input)
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let file = folder.path().join("bad.toml");
    let text = "[[clusters]]\nname = \"a\"\nlisten_adr = \"127.0.0.1:1\"\ncache_type = \"redis\"\nservers = [\"x\"]\n\n\
                [[clusters]]\nname = \"b\"\nlisten_addr = \"127.0.0.1:2\"\ncache_type = \"reddis\"\nservers = [\"127.0.0.1:1\"]\n";
    std::fs::write(&file, text).expect("writable");
    let path = file.to_string_lossy();
    let output = ctl(&["validate", "-f", &path], "");
    assert_code(&output, 3);
    let said = format!("{}{}", output.stdout, output.stderr);
    for place in [":3:1", ":5:12", ":10:14"] {
        assert!(
            said.contains(&format!("{path}{place}")),
            "{place} in {said}"
        );
    }
    assert!(
        said.contains("listen_addr") && said.contains("did you mean"),
        "{said}"
    );
}

#[test]
fn keys_of_a_later_version_are_refused_by_name() {
    let keys = [
        "tls = { cert = \"a\", key = \"b\" }",
        "backend_tls = { ca = \"a\" }",
        "redis_db = 3",
        "read_policy = \"replica\"",
        "client_cache = { enabled = true }",
        "backup_request = { enabled = true }",
    ];
    for key in keys {
        let text = definition("later") + key + "\n";
        let output = ctl(&["validate", "-f", "-"], &text);
        assert_code(&output, 3);
        let said = format!("{}{}", output.stdout, output.stderr);
        let name = key.split(' ').next().expect("a key has a name");
        assert!(
            said.contains("not supported by this version") && said.contains(name),
            "{key}: {said}"
        );
    }
}

#[test]
fn old_tuning_keys_are_accepted_with_a_warning() {
    let text = definition("old") + "thread = 4\nbackend_resp_version = 2\n";
    let output = ctl(&["validate", "-f", "-"], &text);
    assert_code(&output, 0);
    assert!(
        output.stderr.contains("thread") && output.stderr.contains("--workers"),
        "{output:#?}"
    );
}

#[test]
fn apply_reads_files_folders_and_stdin() {
    let control = ControlPlane::start();
    let folder = TempDir::new().expect("the temporary folder is writable");
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(format!("{name}.toml")), definition(name))
            .expect("writable");
    }
    std::fs::write(folder.path().join("notes.txt"), "not a definition").expect("writable");
    let all = folder.path().to_string_lossy();
    assert_code(&control.ctl(&["apply", "-f", &all]), 0);
    let one = folder.path().join("a.toml");
    assert_code(&control.ctl(&["apply", "-f", &one.to_string_lossy()]), 0);
    assert_code(
        &control.ctl_with(&["apply", "-f", "-"], &definition("c")),
        0,
    );
    let names = control.ctl(&["get", "clusters", "-o", "name"]).stdout;
    assert_eq!(names.lines().count(), 3, "{names}");
    let missing = folder.path().join("missing.toml");
    assert_ne!(
        control
            .ctl(&["apply", "-f", &missing.to_string_lossy()])
            .code,
        0
    );
}

#[test]
fn apply_is_all_or_nothing() {
    let control = ControlPlane::start();
    let text = definition("good") + &definition("bad").replace("\"redis\"", "\"reddis\"");
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &text), 3);
    assert_eq!(control.ctl(&["get", "clusters", "-o", "name"]).stdout, "");
}

#[test]
fn dry_run_and_diff_change_nothing() {
    let control = ControlPlane::start();
    let text = definition("one");
    let dry = control.ctl_with(&["apply", "-f", "-", "--dry-run"], &text);
    assert_code(&dry, 0);
    assert!(dry.stdout.contains("one"), "{dry:#?}");
    assert_eq!(control.ctl(&["get", "clusters", "-o", "name"]).stdout, "");
    let diff = control.ctl_with(&["diff", "-f", "-"], &text);
    assert_code(&diff, 2);
    assert!(diff.stdout.contains("--if-revision"), "{diff:#?}");
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &text), 0);
    assert_code(&control.ctl_with(&["diff", "-f", "-"], &text), 0);
    let changed = text + "read_timeout = 1234\n";
    let diff = control.ctl_with(&["plan", "-f", "-"], &changed);
    assert_code(&diff, 2);
    assert!(diff.stdout.contains("read_timeout"), "{diff:#?}");
}

#[test]
fn stale_revision_is_a_failed_precondition() {
    let control = ControlPlane::start();
    assert_code(
        &control.ctl_with(&["apply", "-f", "-"], &definition("one")),
        0,
    );
    let revision = revision(&control);
    assert_code(
        &control.ctl_with(
            &["apply", "-f", "-", "--if-revision", &revision],
            &definition("two"),
        ),
        0,
    );
    let stale = control.ctl_with(
        &["apply", "-f", "-", "--if-revision", &revision],
        &definition("three"),
    );
    assert_code(&stale, 4);
}

/// The newest revision, as `--if-revision` takes it.
fn revision(control: &ControlPlane) -> String {
    let status = control.ctl(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("json");
    match &status["revision"] {
        serde_json::Value::String(text) => text.clone(),
        other => format!("{}.{}", other["epoch"], other["revision"]),
    }
}

#[test]
fn get_writes_what_apply_reads() {
    let control = ControlPlane::start();
    let text =
        definition("one") + "password = \"open sesame\"\nhash_tag = \"{}\"\n" + &definition("two");
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &text), 0);
    let written = control.ctl(&["get", "clusters", "-o", "toml"]);
    assert_code(&written, 0);
    assert!(
        !written.stdout.contains("open sesame"),
        "no password in {written:#?}"
    );
    assert!(written.stdout.contains("secret:"), "{written:#?}");
    let diff = control.ctl_with(&["diff", "-f", "-"], &written.stdout);
    assert_code(&diff, 0);
    let forged = written.stdout.replace("secret:", "secret:0");
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &forged), 3);
}

#[test]
fn every_form_of_output_is_what_it_says() {
    let control = ControlPlane::start();
    assert_code(
        &control.ctl_with(&["apply", "-f", "-"], &definition("one")),
        0,
    );
    for kind in ["clusters", "endpoints", "dataplanes", "revisions"] {
        for form in ["table", "wide", "json", "yaml", "toml", "name"] {
            let output = control.ctl(&["get", kind, "-o", form]);
            assert_code(&output, 0);
            match form {
                "json" => {
                    drop(serde_json::from_str::<serde_json::Value>(&output.stdout).expect("json"))
                }
                "toml" => drop(output.stdout.parse::<toml::Table>().expect("toml")),
                _ => {}
            }
            assert!(
                !output.stdout.contains('\u{1b}'),
                "no colours without a terminal"
            );
        }
    }
    let missing = control.ctl(&["get", "clusters", "nosuch", "-o", "json"]);
    assert_ne!(missing.code, 0, "{missing:#?}");
}

#[test]
fn deleted_cluster_is_gone() {
    let control = ControlPlane::start();
    let text = definition("one") + &definition("two");
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &text), 0);
    assert_code(&control.ctl(&["delete", "clusters", "one", "nosuch"]), 1);
    assert_eq!(
        control
            .ctl(&["get", "clusters", "-o", "name"])
            .stdout
            .lines()
            .count(),
        2,
        "all or none"
    );
    assert_code(&control.ctl(&["delete", "clusters", "one"]), 0);
    assert_eq!(
        control
            .ctl(&["get", "clusters", "-o", "name"])
            .stdout
            .lines()
            .count(),
        1
    );
}

#[test]
fn prune_deletes_only_what_the_manifest_named() {
    let control = ControlPlane::start();
    let (one, two) = (definition("one"), definition("two"));
    let apply = |text: &str, more: &[&str]| {
        let arguments = [&["apply", "-f", "-"], more].concat();
        control.ctl_with(&arguments, text)
    };
    assert_code(&apply(&definition("other"), &[]), 0);
    assert_code(&apply(&(one.clone() + &two), &["--manifest", "m"]), 0);
    assert_code(&apply(&one, &["--manifest", "m", "--prune"]), 4);
    let pruned = apply(&one, &["--manifest", "m", "--prune", "--yes"]);
    assert_code(&pruned, 0);
    assert!(pruned.stdout.contains("two"), "{pruned:#?}");
    let names = control.ctl(&["get", "clusters", "-o", "name"]).stdout;
    assert_eq!(names.lines().count(), 2, "{names}");
}

#[test]
fn overlapping_listeners_are_refused() {
    let control = ControlPlane::start();
    let port = ports::free_port();
    let endpoint = [format!("127.0.0.1:{}:1", ports::free_port())];
    let one = definitions::redis("one", &format!("0.0.0.0:{port}"), &endpoint, "");
    let two = definitions::redis("two", &format!("127.0.0.1:{port}"), &endpoint, "");
    let output = control.ctl_with(&["apply", "-f", "-"], &(one.clone() + &two));
    assert_code(&output, 3);
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &one), 0);
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &two), 3);
    let apart = format!("{one}dataplanes = [\"dp-1\"]\n{two}dataplanes = [\"dp-2\"]\n");
    assert_code(&control.ctl_with(&["apply", "-f", "-"], &apart), 0);
}

#[test]
fn unreachable_control_plane_has_its_own_code() {
    let url = format!("http://{}", ports::free_addr());
    for words in [
        &["status"][..],
        &["get", "clusters"],
        &["version"],
        &["apply", "-f", "-"],
    ] {
        let mut arguments = vec!["--server", &url];
        arguments.extend(words);
        assert_code(&ctl(&arguments, &definition("one")), 8);
    }
}

#[test]
fn usage_mistakes_have_their_own_code_in_every_program() {
    for name in ["prismctl", "prism-dataplane", "prism-controlplane"] {
        assert_code(&programs::run(name, &["--no-such-flag"], ""), 64);
        let version = programs::run(name, &["--version"], "");
        assert_code(&version, 0);
        assert!(
            version.stdout.contains(env!("CARGO_PKG_VERSION")),
            "{version:#?}"
        );
        assert_code(&programs::run(name, &["--help"], ""), 0);
    }
}

#[test]
fn wait_without_answers_times_out() {
    let mut fleet = Fleet::start(1);
    let redis = Redis::start_many(1);
    let (listen, _) = fleet.listener();
    fleet.data_planes[0].process().suspend();
    let text = definitions::redis("pool", &listen, &servers(&redis), "");
    let output = fleet
        .control
        .ctl_with(&["apply", "-f", "-", "--wait", "--timeout", "1s"], &text);
    fleet.data_planes[0].process().resume();
    assert_code(&output, 6);
}

#[test]
fn dev_runs_a_fleet_and_ends_it() {
    let redis = Redis::start_many(1);
    let folder = TempDir::new().expect("the temporary folder is writable");
    let file = folder.path().join("dev.toml");
    let port = ports::free_port();
    let listen = format!("0.0.0.0:{port}");
    std::fs::write(
        &file,
        definitions::redis("pool", &listen, &servers(&redis), ""),
    )
    .expect("writable");
    let base = ports::free_port().to_string();
    let mut command = programs::command("prismctl");
    command.args([
        "dev",
        "-f",
        &file.to_string_lossy(),
        "--dataplanes",
        "2",
        "--base-port",
        &base,
    ]);
    let mut dev = prism_tests::process::Process::start(
        "prismctl dev",
        &mut command,
        &folder.path().join("log"),
    );
    for address in [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")] {
        assert_eq!(
            prism_tests::raw::Raw::connect(&address).ask("PING"),
            "+PONG"
        );
    }
    dev.signal(rustix::process::Signal::INT);
    dev.wait_exit(std::time::Duration::from_secs(40));
    let gone = [
        format!("127.0.0.1:{port}"),
        format!("127.0.0.2:{port}"),
        format!("127.0.0.1:{base}"),
    ];
    assert!(
        gone.iter()
            .all(|address| prism_tests::raw::Raw::open(address).is_err())
    );
}

#[test]
fn examples_are_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).expect("there are examples") {
        let path = entry.expect("the folder is readable").path();
        let output = ctl(&["validate", "-f", &path.to_string_lossy()], "");
        assert_code(&output, 0);
        found += 1;
    }
    assert!(found >= 3, "{found} examples");
}
