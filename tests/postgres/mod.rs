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
const LONG: [&str; 10] = [
    "ten_thousand",
    "refuses_for_an_hour",
    "floods_failures_and_kills",
    "groups_keep_their_promises",
    "lets_a_critical_alert_overtake",
    "each_run_and_each_alert_is_in_exactly_one_digest",
    "on_a_random_day",
    "a_storm_goes_to_the_fallback_whole",
    "takes_no_longer_the_more_is_stored",
    "what_is_told_is_the_truth",
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

/// Runs the tests that these filters name once more, with every store in a database of this process's cluster.
fn on_postgres(filters: &[&str], skipped: &[&str]) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(filters).args(["--skip", "postgres::", "--test-threads", "4"]);
    again.args(LONG.iter().chain(skipped).flat_map(|name| ["--skip", name]));
    let output = again.env(cluster::GIVEN, cluster::address()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = said.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ... ok")).count();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(passed > 5, "only {passed} tests ran: {said}");
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
    on_postgres(&["digest::", "own::", "replay::"], &[]);
}

/// The real binary, and the page.
#[test]
fn what_people_hear_and_see() {
    let program =
        ["story::", "digest::", "escalation::", "silence::", "dead_letters::", "life::", "look::", "on_call::"];
    let page = ["night::", "api::", "actions::", "links::", "sessions::", "scope::"];
    let filters = program.map(|name| format!("program::{name}")).into_iter();
    let filters: Vec<String> = filters.chain(page.map(|name| format!("web::{name}"))).collect();
    on_postgres(&filters.iter().map(String::as_str).collect::<Vec<_>>(), &OF_A_FILE);
}
