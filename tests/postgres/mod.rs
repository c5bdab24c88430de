//! The store on PostgreSQL: what holds on a file holds there, and what only a server can do wrong is shown not to happen.

mod blockers;
mod board;
mod copy;
mod leases;
mod leases_by_chance;
mod outdated;
mod page;

use std::process::Command;

use super::cluster;

/// Tests whose many thousand steps show nothing of a database that the others do not: they run on a file.
const LONG: [&str; 6] = [
    "ten_thousand_alerts",
    "ten_thousand_jobs",
    "refuses_for_an_hour",
    "floods_failures_and_kills",
    "lets_a_critical_alert_overtake",
    "on_a_random_day",
];

/// Tests of the program and the page that are about a file, whose processes are killed and would wait for the leases of the
/// one before, or that set the clock, where a server has one of its own.
const OF_A_FILE: [&str; 7] = [
    "kill",
    "wishes_that_make_no_sense",
    "a_store_whose_address_is_not_known",
    "status_says_whether_it_runs",
    "a_link_acknowledges_when",
    "lists_and_counts_are_of",
    "what_somebody_does_reaches",
];

/// The names of the tests that these filters leave.
fn listed(filters: &[&str], skipped: &[&str]) -> Vec<String> {
    let mut listing = Command::new(std::env::current_exe().unwrap());
    listing.args(filters).args(skipped.iter().flat_map(|name| ["--skip", name])).arg("--list");
    let output = listing.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter_map(|line| line.strip_suffix(": test")).map(String::from).collect()
}

/// Runs the tests that these filters name once more, with every store in a database of this process's cluster.
fn on_postgres(filters: &[&str], skipped: &[&str]) {
    let skipped: Vec<&str> = ["postgres::"].iter().chain(&LONG).chain(skipped).copied().collect();
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
    assert_eq!(
        number(" passed") + number(" ignored"),
        listed(filters, &skipped).len(),
        "some of them did not run: {said}"
    );
    for filter in filters {
        assert!(!listed(&[filter], &skipped).is_empty(), "{filter:?} names no test");
    }
}

/// What is left out is there to be left out: a name that no test has any more would hide nothing, or the wrong thing.
#[test]
fn what_is_left_out_is_there() {
    let all = listed(&[], &["postgres::"]);
    for name in LONG.iter().chain(&OF_A_FILE) {
        assert!(all.iter().any(|test| test.contains(name)), "{name:?} names no test");
    }
}

#[test]
fn what_the_store_keeps() {
    on_postgres(&["store::"], &[]);
}

#[test]
fn what_polls_find() {
    on_postgres(&["poll::", "schedulerx::roots", "conditions::", "explain::"], &[]);
}

#[test]
fn what_lanes_deliver() {
    on_postgres(&["deliver::", "fallback::"], &[]);
}

#[test]
fn what_digests_and_the_watch_say() {
    on_postgres(&["digest::", "own::", "replay::", "app::a_loop_that_breaks_down"], &[]);
}

/// The real binary, and the page.
#[test]
fn what_people_hear_and_see() {
    let program =
        ["story::", "digest::", "escalation::", "silence::", "dead_letters::", "life::", "look::", "on_call::"];
    let page = ["api::", "actions::", "links::", "sessions::", "scope::"];
    let filters = program.map(|name| format!("program::{name}")).into_iter();
    let filters: Vec<String> = filters.chain(page.map(|name| format!("web::{name}"))).collect();
    on_postgres(&filters.iter().map(String::as_str).collect::<Vec<_>>(), &OF_A_FILE);
}
