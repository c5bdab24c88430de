//! What a listing holds, what it costs, and what is said beside it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use nightbell::model::Window;
use nightbell::sim::{Fault, GroupLists, Operation, SimRun};
use nightbell::source::schedulerx::Settings;
use nightbell::source::{Listing, Source};

use super::{Bench, LIST, ago, day, failed, ids, now, remembered, success};

#[tokio::test]
async fn a_quiet_poll_costs_one_call() {
    let bench = Bench::start().await;
    for id in 0..37 {
        bench.sim.put(success(id, 3600 + id as i64));
    }
    let source = bench.source();
    let first = source.list(day()).await.unwrap();
    // The groups, the names, the page, and a look whether the page was cut short.
    assert_eq!((first.instances.len(), first.requests), (37, 4));
    for _ in 0..3 {
        assert_eq!(source.list(day()).await.unwrap().requests, 2, "a page as full as the fullest may be cut short");
    }
    bench.sim.remove(1);
    assert_eq!(source.list(day()).await.unwrap().requests, 1);
    assert_eq!((bench.sim.calls("ListGroups"), bench.sim.calls("ListJobs")), (1, 1));
    bench.clock.set(now() + SignedDuration::from_mins(6));
    assert_eq!(source.list(day()).await.unwrap().requests, 2, "names are read again after some minutes");
}

/// However few records the service gives on a page, none is left out.
#[tokio::test]
async fn pages_are_read_until_a_short_one_whatever_their_size() {
    for (page_max, count) in [(100, 250), (100, 200), (50, 120), (10, 95), (7, 30), (1, 3)] {
        let bench = Bench::with(|config| config.page_max = page_max).await;
        (0..count).for_each(|id| bench.sim.put(success(id, 3600 + id as i64)));
        let source = bench.source();
        for _ in 0..2 {
            let listing = source.list(day()).await.unwrap();
            assert_eq!((ids(&listing).len() as u64, listing.instances.len() as u64), (count, count), "{page_max}");
            assert_eq!((listing.coverage.is_whole(), listing.warnings), (true, vec![]));
        }
    }
}

#[tokio::test]
async fn a_page_size_that_shrinks_later_loses_nothing() {
    let bench = Bench::start().await;
    (0..150).for_each(|id| bench.sim.put(success(id, 3600 + id as i64)));
    let source = bench.source();
    assert_eq!(source.list(day()).await.unwrap().instances.len(), 150);
    bench.sim.configure(|config| config.page_max = 20);
    assert_eq!(source.list(day()).await.unwrap().instances.len(), 150);
}

#[tokio::test]
async fn jobs_are_asked_one_by_one_where_a_group_cannot_be_listed() {
    for lists_groups in [GroupLists::Refused, GroupLists::Empty] {
        let bench = Bench::with(|config| config.lists_groups = lists_groups).await;
        (2..=5).for_each(|job| bench.sim.put_job(job, &format!("job_{job}")));
        bench.sim.put(success(10, 60));
        bench.sim.put(SimRun { job_id: 5, ..success(11, 90) });
        let source = bench.source();
        for poll in 0..3 {
            let listing = source.list(day()).await.unwrap();
            let is_found = lists_groups == GroupLists::Refused || poll > 0 || listing.instances.len() == 2;
            assert!(is_found, "{lists_groups:?}, poll {poll}: {listing:?}");
        }
        let before = bench.sim.calls("GetJobInstanceList");
        assert_eq!(source.list(day()).await.unwrap().instances.len(), 2, "{lists_groups:?}");
        assert_eq!(
            source.learnt().get("list of group testSchedulerx.defaultGroup").map(String::as_str),
            Some("by job")
        );
        assert!(bench.sim.calls("GetJobInstanceList") - before <= 7, "five jobs, and no group any more");

        // Another run of the program need not find out again.
        let later = bench.open(&bench.settings());
        later.learn(&source.learnt());
        let refused = bench.sim.refused();
        assert_eq!(later.list(day()).await.unwrap().instances.len(), 2);
        assert_eq!(bench.sim.refused(), refused);
    }
}

#[tokio::test]
async fn only_the_jobs_that_are_named_are_listened_to() {
    let bench = Bench::start().await;
    bench.sim.put_job(2, "other");
    bench.sim.put(success(10, 60));
    bench.sim.put(SimRun { job_id: 2, ..success(11, 90) });
    let settings = Settings { jobs: vec!["2".into(), "77".into()], ..bench.settings() };
    let listing = bench.open(&settings).list(day()).await.unwrap();
    assert_eq!(ids(&listing), BTreeSet::from(["11".to_string()]));
    assert!(listing.warnings[0].contains("job 77"), "{:?}", listing.warnings);
}

/// Of jobs with one name, only one knows the instance; that they cannot be told apart is said.
#[tokio::test]
async fn jobs_of_one_name_are_told_apart_by_their_instances() {
    let bench = Bench::with(|config| config.groups.push("second.group".into())).await;
    bench.sim.put_job_in("second.group", 2, "load");
    bench.sim.put(success(10, 60));
    bench.sim.put(SimRun { job_id: 2, ..failed(11, 90, "second") });
    let source = bench.source();
    let listing = source.list(day()).await.unwrap();
    assert_eq!(ids(&listing).len(), 2);
    assert!(listing.warnings[0].contains("1, 2 are all called \"load\""), "{:?}", listing.warnings);
    assert!(source.list(day()).await.unwrap().warnings.is_empty(), "it is not said at every poll");
    let detail = source.detail(&remembered("load", "11")).await.unwrap();
    assert_eq!(detail.instance.error.as_deref(), Some("second"));
}

#[tokio::test]
async fn names_are_found_for_new_and_for_removed_jobs() {
    let bench = Bench::start().await;
    let source = bench.source();
    source.list(day()).await.unwrap();
    bench.sim.put_job(2, "new_job");
    bench.sim.put(SimRun { job_id: 2, ..success(10, 60) });
    bench.sim.put(SimRun { job_id: 3, ..success(11, 60) });
    let names = |listing: &Listing| -> BTreeSet<String> {
        listing.instances.iter().map(|instance| instance.job.name.clone()).collect()
    };
    let expected = BTreeSet::from(["new_job".to_string(), "removed_job".to_string()]);
    assert_eq!(names(&source.list(day()).await.unwrap()), expected);
    let calls = bench.sim.calls("GetJobInstance");
    bench.sim.remove_job(2);
    bench.clock.set(now() + SignedDuration::from_mins(6));
    assert_eq!(names(&source.list(day()).await.unwrap()), expected, "a job that is removed keeps its name");
    assert_eq!(bench.sim.calls("GetJobInstance"), calls);
}

/// An instance that would be told under a makeshift name first would be told twice.
#[tokio::test]
async fn instances_wait_for_the_names_of_their_jobs() {
    let bench = Bench::start().await;
    (1..=25).for_each(|id| bench.sim.put(SimRun { job_id: 100 + id, ..success(id, 60) }));
    let source = bench.source();
    for known in [20, 25] {
        let listing = source.list(day()).await.unwrap();
        assert_eq!(listing.instances.len(), known);
        assert!(listing.instances.iter().all(|instance| instance.job.name == "removed_job"), "{listing:?}");
    }
    bench.sim.put(SimRun { job_id: 200, ..success(26, 60) });
    bench.sim.inject(Fault::answer(503, "").on(Operation::Action("GetJobInstance")).times(2));
    let listing = source.list(day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.warnings.len()), (25, 1), "{:?}", listing.warnings);
    let nameless = r#"{"Success":true,"Data":{"JobInstanceDetail":{"InstanceId":26,"JobId":200,"Status":4}}}"#;
    bench.sim.inject(Fault::answer(200, nameless).on(Operation::Action("GetJobInstance")));
    let names = source.list(day()).await.unwrap();
    assert!(names.instances.iter().any(|instance| instance.job.name == "job 200"), "{names:?}");
}

#[tokio::test]
async fn trouble_with_the_names_does_not_hold_up_the_list() {
    let bench = Bench::start().await;
    bench.sim.put(success(10, 60));
    let source = bench.source();
    source.list(day()).await.unwrap();
    bench.clock.set(now() + SignedDuration::from_mins(6));
    bench.sim.inject(Fault::answer(503, "").on(Operation::Action("ListJobs")).times(2));
    let listing = source.list(day()).await.unwrap();
    assert_eq!(listing.instances[0].job.name, "load");
    assert!(listing.warnings[0].contains("a while ago"), "{:?}", listing.warnings);
}

#[tokio::test]
async fn a_wrong_zone_is_warned_of() {
    let bench = Bench::with(|config| config.timezone = TimeZone::UTC).await;
    bench.sim.put(success(1, 1200));
    let source = bench.source();
    let hour = Window { from: ago(3600), to: now() };
    let warnings = source.list(hour).await.unwrap().warnings;
    assert!(
        warnings[0].contains("read as Asia/Shanghai all lie outside") && warnings[0].contains("\"timezone\""),
        "{warnings:?}"
    );
    let behind = Settings { timezone: TimeZone::get("America/New_York").unwrap(), ..bench.settings() };
    let warnings = bench.open(&behind).list(day()).await.unwrap().warnings;
    assert!(warnings[0].contains("read as America/New_York lie in the future"), "{warnings:?}");
    let right = Settings { timezone: TimeZone::UTC, ..bench.settings() };
    assert!(bench.open(&right).list(hour).await.unwrap().warnings.is_empty());
}

#[tokio::test]
async fn an_item_that_cannot_be_understood_is_set_aside() {
    let bench = Bench::start().await;
    bench.sim.put(success(1, 60));
    bench.sim.put_raw(r#"{"JobId":1,"Status":5,"Result":"password=ITEMCANARY"}"#);
    let listing = bench.source().list(day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.coverage.set_aside.len()), (1, 1));
    assert!(!format!("{listing:?}").contains("CANARY"), "{listing:?}");
}

#[tokio::test]
async fn a_service_that_refuses_large_pages_is_asked_for_smaller_ones() {
    for (page_size_max, refused) in [(50, 2), (20, 4), (10, 6)] {
        let bench = Bench::with(|config| config.page_size_max = page_size_max).await;
        (0..75).for_each(|id| bench.sim.put(success(id, 3600 + id as i64)));
        let source = bench.source();
        for _ in 0..2 {
            assert_eq!(source.list(day()).await.unwrap().instances.len(), 75, "{page_size_max}");
        }
        // Once for the names and once for the instances; what is accepted is remembered.
        assert_eq!(bench.sim.refused(), refused, "{page_size_max}");
    }
}

#[tokio::test]
async fn a_job_that_was_removed_is_asked_for_a_day_long_and_no_longer() {
    let bench = Bench::with(|config| config.lists_groups = GroupLists::Refused).await;
    bench.sim.put_job(2, "sync");
    bench.sim.put(success(1, 60));
    let source = bench.source();
    source.list(day()).await.unwrap();
    bench.sim.remove_job(2);
    for (minutes, calls) in [(6, 2), (24 * 60 + 5, 2), (24 * 60 + 12, 1)] {
        bench.clock.set(now() + SignedDuration::from_mins(minutes));
        let before = bench.sim.calls("GetJobInstanceList");
        source.list(Window { from: ago(0), to: now() + SignedDuration::from_mins(minutes) }).await.unwrap();
        let made = bench.sim.calls("GetJobInstanceList") - before;
        assert!(made <= calls * 2 && made >= calls, "{minutes}: {made}");
    }
}

/// A list of jobs that ends before its total is said to be short, and where jobs are asked one by one the listing is not whole.
#[tokio::test]
async fn a_list_of_jobs_that_ends_early_is_not_silent() {
    let bench = Bench::with(|config| config.lists_groups = GroupLists::Refused).await;
    bench.sim.put(success(1, 60));
    let page = |jobs: &str| {
        let body = format!(r#"{{"Success":true,"Data":{{"Total":3,"Jobs":[{jobs}]}}}}"#);
        Fault::answer(200, body).on(Operation::Action("ListJobs"))
    };
    bench.sim.inject(page(r#"{"JobId":1,"Name":"load","Status":1}"#));
    bench.sim.inject(page(""));
    let listing = bench.source().list(day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.coverage.is_whole()), (1, false));
    assert!(listing.warnings.iter().any(|warning| warning.contains("1 of 3")), "{:?}", listing.warnings);
}

/// A row of the list of jobs that is not understood may be any job, so no run is missed while it is there; where the jobs are
/// named that are listened to, it is none of them.
#[tokio::test]
async fn a_row_of_the_list_of_jobs_that_is_not_understood_leaves_open_what_ran() {
    for ways in [GroupLists::Refused, GroupLists::Whole] {
        let bench = Bench::with(|config| config.lists_groups = ways).await;
        bench.sim.put(success(1, 60));
        let body = r#"{"Success":true,"Data":{"Total":2,"Jobs":[{"JobId":1,"Name":"load","Status":1},{"JobId":2}]}}"#;
        bench.sim.inject(Fault::answer(200, body).on(Operation::Action("ListJobs")).times(100));
        let coverage = bench.source().list(day()).await.unwrap().coverage;
        assert!(coverage.is_whole() && coverage.may_miss("nightly", |_| true), "{coverage:?}");
        let of_one = Settings { jobs: vec!["1".into()], ..bench.settings() };
        let coverage = bench.open(&of_one).list(day()).await.unwrap().coverage;
        assert!(!coverage.may_miss("nightly", |_| true), "{coverage:?}");
    }
}

/// A list that takes more calls than one poll may make, or whose pages repeat themselves, is not whole, and says why.
#[tokio::test]
async fn a_list_that_ends_at_a_limit_is_not_silent() {
    let bench = Bench::with(|config| config.lists_groups = GroupLists::Refused).await;
    (1..=1700).for_each(|job| bench.sim.put_job(job, &format!("job_{job}")));
    bench.sim.put(success(1, 60));
    let listing = bench.source().list(day()).await.unwrap();
    assert!(!listing.coverage.is_whole(), "{:?}", listing.coverage.unread);
    assert!(listing.warnings.iter().any(|warning| warning.contains("takes too many calls")), "{:?}", listing.warnings);

    let bench = Bench::start().await;
    let page = |ids: std::ops::Range<u64>| {
        let rows: Vec<String> = ids.map(|id| format!(r#"{{"InstanceId":{id},"JobId":1,"Status":4}}"#)).collect();
        format!(r#"{{"Success":true,"Code":200,"Data":{{"JobInstanceDetails":[{}]}}}}"#, rows.join(","))
    };
    bench.sim.inject(Fault::answer(200, page(0..100)).on(LIST).times(100));
    let listing = bench.source().list(day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.coverage.is_whole()), (100, false));
    assert!(listing.warnings.iter().any(|warning| warning.contains("repeat themselves")), "{:?}", listing.warnings);
}
