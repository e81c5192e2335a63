//! The daemons' settings: flags, environment and file say the same, and mistakes are named.

use prism_tests::{
    ports,
    process::Process,
    programs::{self, http_get},
    wait,
};
use tempfile::TempDir;

/// Starts `name` so, and waits until it answers on `admin`.
#[track_caller]
fn assert_serves(
    name: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    admin: &str,
) -> Process {
    let folder = TempDir::new()
        .expect("the temporary folder is writable")
        .keep();
    let mut command = programs::command(name);
    command.args(arguments).envs(environment.iter().copied());
    let process = Process::start(name, &mut command, &folder.join("log"));
    wait::until("the program answers", wait::LIMIT, || {
        http_get(admin, "/livez").is_some_and(|(status, _)| status == 200)
    });
    process
}

/// An empty definitions file and a configuration file, with these lines, in `folder`.
fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let file = folder.path().join(name);
    std::fs::write(&file, text).expect("the temporary folder is writable");
    file.to_string_lossy().into_owned()
}

#[test]
fn data_plane_reads_flags_environment_and_file() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let bootstrap = write(&folder, "bootstrap.toml", "");
    let admin = ports::free_addr();
    assert_serves(
        "prism-dataplane",
        &["--bootstrap", &bootstrap, "--admin", &admin],
        &[],
        &admin,
    );
    let admin = ports::free_addr();
    let environment = [
        ("PRISM_BOOTSTRAP", bootstrap.as_str()),
        ("PRISM_ADMIN", &admin),
    ];
    assert_serves("prism-dataplane", &[], &environment, &admin);
    let (in_file, by_flag) = (ports::free_addr(), ports::free_addr());
    let text = format!(
        "bootstrap = {bootstrap:?}\nadmin = {in_file:?}\nworkers = 1\ndrain-timeout = \"2s\"\n"
    );
    let config = write(&folder, "config.toml", &text);
    assert_serves("prism-dataplane", &["--config", &config], &[], &in_file);
    // A flag wins over the file.
    assert_serves(
        "prism-dataplane",
        &["--config", &config, "--admin", &by_flag],
        &[],
        &by_flag,
    );
}

#[test]
fn control_plane_reads_flags_environment_and_file() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let data = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (admin, discovery) = (ports::free_addr(), ports::free_addr());
    let one = data("one");
    let environment = [
        ("PRISM_DATA_DIR", one.as_str()),
        ("PRISM_LISTEN", &admin),
        ("PRISM_DISCOVERY_LISTEN", &discovery),
    ];
    assert_serves("prism-controlplane", &[], &environment, &admin);
    let (admin, discovery) = (ports::free_addr(), ports::free_addr());
    let text = format!(
        "data-dir = {:?}\nlisten = {admin:?}\ndiscovery-listen = {discovery:?}\nstore = \"memory\"\n",
        data("two")
    );
    let config = write(&folder, "config.toml", &text);
    assert_serves("prism-controlplane", &["--config", &config], &[], &admin);
}

#[test]
fn bad_configuration_file_ends_with_78_and_names_the_mistake() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let config = write(&folder, "config.toml", "no_such_setting = 1\n");
    for name in ["prism-dataplane", "prism-controlplane", "prismctl"] {
        let arguments: &[&str] = if name == "prismctl" {
            &["--config", &config, "status"]
        } else {
            &["--config", &config]
        };
        let output = programs::run(name, arguments, "");
        assert_eq!(output.code, 78, "{name}: {output:#?}");
        assert!(
            format!("{}{}", output.stdout, output.stderr).contains("no_such_setting"),
            "{output:#?}"
        );
    }
}

#[test]
fn json_logs_are_json() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let bootstrap = write(&folder, "bootstrap.toml", "");
    let admin = ports::free_addr();
    let arguments = [
        "--bootstrap",
        &bootstrap,
        "--admin",
        &admin,
        "--log-format",
        "json",
    ];
    let process = assert_serves("prism-dataplane", &arguments, &[], &admin);
    let log = process.log();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
    }
}

#[test]
fn second_control_plane_on_one_folder_is_refused() {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let addrs = [(); 4].map(|()| ports::free_addr());
    let [admin, discovery, other_admin, other_discovery] = &addrs;
    let arguments = |admin, discovery| {
        [
            "--data-dir",
            &data,
            "--listen",
            admin,
            "--discovery-listen",
            discovery,
        ]
    };
    let first = arguments(admin, discovery);
    let _first = assert_serves("prism-controlplane", &first, &[], admin);
    let second = arguments(other_admin, other_discovery);
    let second = programs::run("prism-controlplane", &second, "");
    assert_ne!(second.code, 0);
    assert!(
        format!("{}{}", second.stdout, second.stderr).contains("lock"),
        "{second:#?}"
    );
}
