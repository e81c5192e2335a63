//! Random commands of every class: through a pool and a Redis Cluster the replies of one server, or a clear error.

use std::{
    io::{self, Write},
    time::Duration,
};

use prism_tests::{
    cluster::Cluster,
    differential::{
        Differences, Pace,
        redis::{Place, Plan, Tally, classes, form::Forms, run},
    },
    redis::Redis,
};

use crate::{pool::Pool, redis_cluster::Front};

/// How long one run takes in the ordinary suite, in seconds.
const SECONDS: u64 = 15;

/// Tells what the run did; seen when it fails, and with `--no-capture`.
pub(crate) fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// The pace that was asked for, told so that the run can be repeated.
pub(crate) fn asked_pace(seconds: u64) -> Pace {
    let pace = Pace::asked(seconds);
    say(&format!(
        "PRISM_TEST_SEED={} PRISM_TEST_SECONDS={}",
        pace.seed,
        pace.time.as_secs()
    ));
    pace
}

fn compare(place: Place, proxy: &str, endpoints: &[Redis]) -> Tally {
    let endpoints: Vec<_> = endpoints.iter().map(Redis::addr).collect();
    let pace = asked_pace(SECONDS);
    let tally = run(Plan {
        place,
        proxy,
        endpoints: &endpoints,
        pace,
    });
    say(&tally.to_string());
    tally
}

#[track_caller]
fn assert_none_differ(tally: &Tally) {
    assert!(tally.compared() > 0, "nothing was compared");
    assert_no_difference(&tally.differences);
}

#[track_caller]
pub(crate) fn assert_no_difference(differences: &Differences) {
    let told = differences.told();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

#[test]
fn pool_answers_as_one_server() {
    let pool = Pool::start_with(Redis::start_many(3), "hash_tag = \"{}\"");
    assert_none_differ(&compare(Place::Pool, &pool.listen, &pool.endpoints));
}

#[test]
fn redis_cluster_answers_as_one_server() {
    let front = Front::start(Cluster::start(3), "");
    assert_none_differ(&compare(
        Place::Cluster,
        &front.listen,
        &front.cluster.nodes,
    ));
}

#[test]
fn every_command_has_a_form_or_a_reason() {
    let forms = Forms::parse(include_str!("../vectors/redis/forms.txt"));
    let sent: Vec<_> = forms.sent.iter().flat_map(|form| form.names()).collect();
    let commands = classes();
    let missing: Vec<_> = commands
        .iter()
        .filter(|(name, class)| {
            *class != "FORBID"
                && !sent.contains(name)
                && !forms
                    .unsent
                    .iter()
                    .any(|(unsent, _)| unsent == name.as_str())
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Runs for a second with a server in the proxy's place.
fn compare_servers(options: &[&str]) -> Tally {
    let other = Redis::start_with(options);
    run(Plan {
        place: Place::Pool,
        proxy: &other.addr(),
        endpoints: &[other.addr()],
        pace: Pace {
            seed: 1,
            time: Duration::from_secs(1),
        },
    })
}

#[test]
fn one_server_answers_as_another() {
    assert_none_differ(&compare_servers(&[]));
}

#[test]
fn wrong_answers_are_seen_and_told_briefly() {
    let tally = compare_servers(&["--rename-command", "STRLEN", ""]);
    let told = tally.differences.told().first().expect("STRLEN is unknown");
    assert!(told.contains("differs: STRLEN"), "{told}");
    assert!(told.lines().count() < 12, "{told}");
}
