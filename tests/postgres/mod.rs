//! The store on PostgreSQL: what holds on a file holds there, and what only a server can do wrong is shown not to happen.

mod blockers;
mod board;
mod copy;
mod leases;
mod leases_by_chance;
mod outdated;
mod page;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::cluster;

/// Which tests run on a server as they do on a file: these modules, whole. Those of one list run in one process.
const ON_BOTH: [&[&str]; 7] = [
    &["store::"],
    &["poll::", "schedulerx::roots", "conditions::", "explain::"],
    &["deliver::", "fallback::"],
    &["digest::", "own::", "replay::"],
    &["program::"],
    &["web::"],
    &["app::", "reload::", "notify::acks", "notify::slack"],
];

/// Of those, the ones that run on a file alone, by parts of their names.
const ON_A_FILE: [(&str, &[&str]); 10] = [
    (
        "there the pause stands in the store, where the heart finds it without the lane",
        &["the_heart_reads_what_a_lane_says"],
    ),
    ("its stores are on a server in any run", &["program::database::", "program::replicas::"]),
    (
        "it looks into the file, or moves it, or fills its disk, or locks it",
        &[
            "a_full_disk_holds_back",
            "a_store_that_is_moved_away",
            "the_heart_stands_still_while_the_store_takes_nothing",
            "wishes_that_make_no_sense",
            "a_store_whose_address_is_not_known",
        ],
    ),
    (
        "a file has one process at a time",
        &[
            "a_second_process_on_the_store_is_refused",
            "the_doctor_works_beside_a_running_process",
            "the_metrics_tell_what_the_store_holds_and_every_series",
        ],
    ),
    ("it has a file of its own: the demo", &["the_demo_", "a_demo_", "web::browser::"]),
    (
        "it kills, and would wait for the leases of the one before each time: program::replicas does",
        &[
            "program::kill::",
            "kills_repeat_no_condition_and_no_step",
            "only_once_over_a_kill",
            "status_says_whether_it_runs",
            "healthcheck_looks_into_the_store_where_there_is_no_page",
        ],
    ),
    (
        "it moves the time of all connections of its process by hand, a server's too",
        &["who_watches_hears_of_a_loop_that_hangs", "who_reads_byte_by_byte"],
    ),
    (
        "it sets the clock, forty times or further than a lease lasts, and who takes that anew counts from then on",
        &[
            "a_second_that_is_over_makes_no_new_answer",
            "an_alert_that_a_person_closes_is_counted",
            "an_alert_that_a_command_closes_is_counted",
        ],
    ),
    (
        "it is about what stands before every store: a command line, a template, a proxy, a crowd of clients, the looks of a message",
        &[
            "program::commands::check_",
            "program::commands::mail_",
            "program::commands::every_mistake",
            "program::commands::send_test",
            "program::commands::wrong_usage",
            "program::commands::the_configuration_stands",
            "program::commands::an_environment",
            "program::pictures::",
            "program::proxies::",
            "web::limits::",
            "web::packaging::promtool",
        ],
    ),
    (
        "its many thousand steps take minutes there, and show nothing of a database that others do not",
        &[
            "ten_thousand_alerts",
            "ten_thousand_jobs",
            "refuses_for_an_hour",
            "lets_a_critical_alert_overtake",
            "a_thousand_reloads_half_of_them_broken",
        ],
    ),
];

/// What has a store and stands elsewhere than in [`ON_BOTH`], and why it runs on a file alone.
const ELSEWHERE: [(&str, &str); 4] = [
    ("hours::", "it sets the clock of the machine, where a server has one of its own"),
    ("newcomer", "it does what the documents say, which is about a file"),
    ("readme", "it does what the documents say, which is about a file"),
    ("postgres::", "it is on a server in any run"),
];

fn left_out() -> impl Iterator<Item = &'static str> {
    ON_A_FILE.iter().flat_map(|(_, names)| names.iter().copied())
}

/// The names of the tests that these filters leave.
fn listed(filters: &[&str], skipped: &[&str]) -> Vec<String> {
    let mut listing = Command::new(std::env::current_exe().unwrap());
    listing.args(filters).args(skipped.iter().flat_map(|name| ["--skip", name])).arg("--list");
    let output = listing.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter_map(|line| line.strip_suffix(": test")).map(String::from).collect()
}

/// Which tests a list of [`ON_BOTH`] leaves to the others: a filter is a part of a name, and "digest::" is in "program::digest::".
fn of_others(filters: &[&str]) -> Vec<&'static str> {
    ["postgres::", "program::", "web::"].into_iter().filter(|other| !filters.contains(other)).collect()
}

/// Runs the tests that these filters name once more, with every store in a database of this process's cluster.
fn on_postgres(filters: &[&str]) {
    let of_others = of_others(filters);
    let skipped: Vec<&str> = of_others.iter().copied().chain(left_out()).collect();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(filters).args(["--test-threads", "4"]).args(skipped.iter().flat_map(|name| ["--skip", name]));
    let output = again.env(cluster::GIVEN, cluster::address()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // "test result: ok. 19 passed; 0 failed; 1 ignored; ..."
    let (_, result) = said.rsplit_once("test result: ").unwrap_or_default();
    let number = |what: &str| -> usize {
        let part = result.split([';', '.']).find_map(|part| part.trim().strip_suffix(what));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let run = listed(filters, &skipped).len();
    assert_eq!(number(" passed") + number(" ignored"), run, "some of them did not run: {said}");
    for filter in filters {
        let (all, left) = (listed(&[filter], &of_others).len(), listed(&[filter], &skipped).len());
        println!("{filter}: {left} of {all} tests run on a server, too");
        // What is left out by accident, because its name has a word of another's, would be many.
        assert!(left > 0 && left >= all / 2, "{filter}: {left} of {all}");
    }
}

/// What is left out is there to be left out: a name that no test has any more would hide nothing, or the wrong thing.
#[test]
fn what_is_left_out_is_there() {
    let all: BTreeSet<String> = ON_BOTH.iter().flat_map(|filters| listed(filters, &of_others(filters))).collect();
    for name in left_out() {
        assert!(all.iter().any(|test| test.contains(name)), "{name:?} names no test");
    }
}

/// The modules below a folder, each with its text.
fn modules(folder: &Path, within: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(modules(&path, &format!("{within}{name}::")));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = if name == "mod" { within.to_string() } else { format!("{within}{name}::") };
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// A module of tests that is added and has a store runs on both, or somebody says why not.
#[test]
fn no_module_that_has_a_store_is_forgotten() {
    let opens = ["Place::new()", "Stage::set(", "Stage::set_before(", "Served::start", "SqlStore::open(", "App::open("];
    let filters: Vec<&str> = ON_BOTH.iter().flat_map(|filters| filters.iter().copied()).collect();
    let all = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), "");
    let has_tests = |text: &str| text.contains("#[test]") || text.contains("#[tokio::test");
    let with_store: Vec<&str> = all
        .iter()
        .filter(|(_, text)| has_tests(text) && opens.iter().any(|opens| text.contains(opens)))
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(with_store.len() > 70, "{}", with_store.len());
    let is_covered = |name: &&str| filters.iter().any(|filter| name.starts_with(filter));
    let is_elsewhere = |name: &&str| ELSEWHERE.iter().any(|(other, _)| name.starts_with(other));
    let forgotten: Vec<&&str> = with_store.iter().filter(|name| is_covered(name) == is_elsewhere(name)).collect();
    assert!(forgotten.is_empty(), "on a file alone, and nobody says why: {forgotten:?}");
    for (other, _) in ELSEWHERE {
        assert!(all.iter().any(|(name, _)| name.starts_with(other)), "{other:?} is no module");
    }
}

#[test]
fn what_the_store_keeps() {
    on_postgres(ON_BOTH[0]);
}

#[test]
fn what_polls_find() {
    on_postgres(ON_BOTH[1]);
}

#[test]
fn what_lanes_deliver() {
    on_postgres(ON_BOTH[2]);
}

#[test]
fn what_digests_and_the_watch_say() {
    on_postgres(ON_BOTH[3]);
}

/// The real binary.
#[test]
fn what_people_hear() {
    on_postgres(ON_BOTH[4]);
}

/// The page, and the API.
#[test]
fn what_people_see() {
    on_postgres(ON_BOTH[5]);
}

#[test]
fn what_a_program_takes_up() {
    on_postgres(ON_BOTH[6]);
}
