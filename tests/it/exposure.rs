//! Listening beyond loopback without authentication is refused, or warned about where it is asked for.

use prism_tests::{
    ports,
    process::Process,
    programs::{self, Output},
    wait,
};
use tempfile::TempDir;

/// The arguments of each program with one address beyond loopback.
fn cases(folder: &TempDir) -> Vec<(&'static str, Vec<String>)> {
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let file = folder.path().join("empty.toml");
    std::fs::write(&file, "").expect("the temporary folder is writable");
    let file = file.to_string_lossy().into_owned();
    let open = format!("0.0.0.0:{}", ports::free_port());
    let closed = ports::free_addr();
    let strings = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    vec![
        (
            "prism-controlplane",
            strings(&[
                "--data-dir",
                &data,
                "--listen",
                &open,
                "--discovery-listen",
                &closed,
            ]),
        ),
        (
            "prism-controlplane",
            strings(&[
                "--data-dir",
                &data,
                "--listen",
                &closed,
                "--discovery-listen",
                &open,
            ]),
        ),
        (
            "prism-dataplane",
            strings(&["--bootstrap", &file, "--admin", &open]),
        ),
    ]
}

fn run(name: &str, arguments: &[String]) -> Output {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    programs::run(name, &arguments, "")
}

#[test]
fn open_listener_without_auth_ends_with_78() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    for (name, arguments) in cases(&folder) {
        let output = run(name, &arguments);
        assert_eq!(output.code, 78, "{name} {arguments:?}: {output:#?}");
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(
            said.contains("--insecure") && said.contains("0.0.0.0"),
            "{said}"
        );
    }
}

#[test]
fn open_listener_is_warned_about_where_insecure_is_asked_for() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    for (name, arguments) in cases(&folder) {
        let log = folder.path().join("log");
        std::fs::remove_file(&log).ok();
        let mut command = programs::command(name);
        command.args(&arguments).arg("--insecure");
        let mut process = Process::start(name, &mut command, &log);
        wait::until("the program warns", wait::LIMIT, || {
            let log = process.log();
            log.contains("WARN") && log.contains("0.0.0.0")
        });
        assert!(process.is_running());
    }
}
