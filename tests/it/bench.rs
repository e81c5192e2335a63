//! The benchmark runs, and its figures are there.

use std::fs;

use prism_tests::programs;
use serde_json::Value;
use tempfile::TempDir;

/// Runs the benchmark for a moment and returns its rows and its report.
fn bench(cases: &str, peers: &str) -> (Vec<Value>, String) {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let file = folder.path().join("runs.jsonl");
    let arguments = [
        "--cases",
        cases,
        "--peers",
        peers,
        "--repetitions=1",
        "--seconds=0.1",
        "--proxy-core=any",
        "--other-core=any",
        "--json",
        &file.to_string_lossy(),
    ];
    let output = programs::run("prism-bench", &arguments, "");
    assert_eq!(output.code, 0, "{output:#?}");
    let rows = fs::read_to_string(&file).expect("rows are written");
    let rows = rows
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row is JSON"))
        .collect();
    (rows, output.stdout)
}

#[track_caller]
fn assert_positive(row: &Value, figures: &[&str]) {
    for figure in figures {
        assert!(row[figure].as_f64() > Some(0.0), "{figure} of {row}");
    }
}

#[test]
fn benchmark_measures_every_topology() {
    let (rows, report) = bench("get P16", "direct,prism");
    assert_eq!(rows.len(), 6, "{rows:#?}");
    for row in &rows {
        assert_positive(row, &["requests", "endpoint_cpu_us", "p50_us", "p99_us"]);
        assert_eq!(row["errors"], 0, "{row}");
        assert_eq!(row["misses"], 0, "{row}");
        if row["peer"] == "prism" {
            assert_positive(row, &["proxy_cpu_us", "resident_kib", "peak_kib"]);
        }
    }
    assert!(report.contains("Proxy CPU"), "{report}");
}

#[test]
fn benchmark_measures_open_loop_and_idle_connections() {
    let (rows, _) = bench("open 5k/s,idle 1000", "prism,nutcracker");
    assert_eq!(rows.len(), 4, "{rows:#?}");
    for row in &rows {
        if row["case"] == "idle 1000" {
            assert_eq!(row["connections"], 1000, "{row}");
            assert_positive(row, &["resident_kib"]);
        } else {
            assert_positive(row, &["requests", "proxy_cpu_us", "p999_us"]);
        }
    }
}
