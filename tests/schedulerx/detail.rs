//! One instance: times, status, failure text.

use std::time::Duration;

use jiff::SignedDuration;
use nightbell::model::{InstanceType, Status};
use nightbell::sim::{Fault, Operation, SimRun};
use nightbell::source::{Source, SourceErrorKind};

use super::{Bench, ago, day, failed, now, remembered, success};

#[tokio::test]
async fn an_instance_comes_over_as_it_is() {
    let bench = Bench::start().await;
    bench.sim.put(failed(9_007_199_254_740_993, 3600, "code=500, orders table is locked"));
    bench.sim.put(SimRun { trigger: 3, ..SimRun::waiting(1, 2, ago(30)) });
    let listing = bench.source().list(day()).await.unwrap();
    assert_eq!(
        (listing.instances.len(), listing.coverage.is_whole(), listing.warnings.len()),
        (2, true, 0),
        "{listing:?}"
    );
    let first = listing.instances.iter().find(|instance| instance.id == "9007199254740993").unwrap();
    assert_eq!((first.job.name.as_str(), first.job.id.as_deref()), ("load", Some("1")));
    assert_eq!(
        (first.status, first.raw_status.as_str(), first.kind),
        (Status::Fail, "5 failed", InstanceType::Scheduled)
    );
    assert_eq!((first.plan_time, first.start_time), (Some(ago(3600)), Some(ago(3600))));
    assert_eq!(first.duration(now()), Some(Duration::from_secs(60)));
    assert_eq!(first.error.as_deref(), Some("code=500, orders table is locked"));
    let second = listing.instances.iter().find(|instance| instance.id == "2").unwrap();
    assert_eq!((second.status, second.kind, second.start_time), (Status::Waiting, InstanceType::Manual, None));
    assert_eq!(second.error, None);
}

#[tokio::test]
async fn a_detail_tells_result_and_the_end_of_the_log_without_secrets() {
    let bench = Bench::start().await;
    let log = ["\u{1b}[31mconnecting with password=LOGCANARY\u{1b}[0m", "java.sql.SQLException: table is locked"];
    bench.sim.put(SimRun {
        log: log.map(str::to_string).to_vec(),
        ..failed(7, 3 * 3600, "exit code 1, token: RESULTCANARY")
    });
    let source = bench.source();
    let listed = source.list(day()).await.unwrap().instances.remove(0);
    let detail = source.detail(&listed).await.unwrap();
    assert_eq!((detail.instance.status, detail.instance.key()), (Status::Fail, listed.key()));
    assert_eq!(
        detail.instance.error.as_deref(),
        Some(
            "exit code 1, token: <redacted>\nconnecting with password=<redacted>\njava.sql.SQLException: table is locked"
        )
    );
    assert!(detail.nodes.is_empty());
    // An instance that an earlier run of the program remembers has no job id.
    let again = source.detail(&remembered("load", "7")).await.unwrap();
    assert_eq!((again.instance.job.id.as_deref(), again.instance.plan_time), (Some("1"), Some(ago(3 * 3600))));
}

#[tokio::test]
async fn without_logs_the_result_is_told_and_logs_are_not_asked_for_again() {
    let bench = Bench::with(|config| config.has_logs = false).await;
    bench.sim.put(failed(7, 600, "exit code 1"));
    let source = bench.source();
    let listed = source.list(day()).await.unwrap().instances.remove(0);
    for _ in 0..3 {
        let detail = source.detail(&listed).await.unwrap();
        assert_eq!(detail.instance.error.as_deref(), Some("exit code 1"));
    }
    assert_eq!(bench.sim.calls("GetLog"), 1);
    bench.clock.set(now() + SignedDuration::from_hours(2));
    source.detail(&listed).await.unwrap();
    assert_eq!(bench.sim.calls("GetLog"), 2);
}

#[tokio::test]
async fn an_instance_that_is_no_more_is_not_found() {
    let bench = Bench::start().await;
    bench.sim.put(success(1, 60));
    let source = bench.source();
    source.list(day()).await.unwrap();
    for asked in [remembered("load", "99"), remembered("never_there", "1"), remembered("load", "x y&z")] {
        let error = source.detail(&asked).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::NotFound, "{error}");
    }
    bench.sim.inject(Fault::answer(200, r#"{"Success":true,"Data":{}}"#).on(Operation::Action("GetJobInstance")));
    assert_eq!(source.detail(&remembered("load", "1")).await.unwrap_err().kind, SourceErrorKind::NotFound);
}
