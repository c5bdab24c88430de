//! The DataArts source against the simulated workspace: the real client, over real HTTP on loopback.

mod dialects;
mod doctor;
mod faults;
mod gate;
mod jobs;
mod logs;
mod plain;
mod sign_in;
mod sub_jobs;
mod suite;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::model::{Instance, InstanceType, SourceId, Status, Window};
use nightbell::secret::{Secret, SecretRef};
use nightbell::sim::{Fault, FaultKind, OffsetMeaning, Operation, SimConfig, SimInstance, SimNode, SimWorkspace};
use nightbell::source::Patience;
use nightbell::source::dataarts::{Auth, DataArts, Settings};
use nightbell::source::{Listing, Source, SourceError, SourceErrorKind, TellsJobs};

const NOW: &str = "2026-11-21T00:00:00Z";

/// A workspace and the clock that it and its clients share.
struct Bench {
    sim: SimWorkspace,
    clock: Arc<dyn Clock>,
}

impl Bench {
    async fn start(config: SimConfig) -> Bench {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
        Bench { sim: SimWorkspace::start(config, Arc::clone(&clock)).await.unwrap(), clock }
    }

    /// The right settings for the workspace.
    fn settings(&self) -> Settings {
        let config = self.sim.config();
        Settings {
            endpoint: self.sim.endpoint().to_string(),
            project_id: inline(&config.project_id),
            workspace: Some(config.workspace.clone()),
            jobs: Vec::new(),
            auth: Auth::Key {
                access_key: inline(&config.access_key),
                secret_key: inline(&config.secret_key),
                security_token: config.security_token.as_deref().map(inline),
            },
            requests_per_second: 10_000.0,
            ca_file: None,
            logs: None,
        }
    }

    fn source(&self) -> DataArts {
        self.open(&self.settings())
    }

    fn open(&self, settings: &Settings) -> DataArts {
        open_with(settings, Arc::clone(&self.clock))
    }
}

fn open_with(settings: &Settings, clock: Arc<dyn Clock>) -> DataArts {
    let patience = Patience::without_pauses(Duration::from_secs(20));
    DataArts::open(SourceId::new("warehouse"), settings, clock).unwrap().with_patience(patience)
}

fn inline(text: &str) -> SecretRef {
    SecretRef::Inline(Secret::new(text))
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn hours(hours: i64) -> Window {
    Window { from: ago(hours * 3600), to: now() }
}

fn success(id: u64, seconds_ago: i64) -> SimInstance {
    SimInstance::waiting("etl_orders", id, ago(seconds_ago)).ended("success", ago(seconds_ago - 18))
}

fn ids(listing: &Listing) -> BTreeSet<String> {
    listing.instances.iter().map(|instance| instance.id.clone()).collect()
}

fn an_instance(id: &str) -> Instance {
    Instance {
        source: SourceId::new("warehouse"),
        id: id.to_string(),
        job: nightbell::model::JobRef { name: "etl_orders".to_string(), id: Some("7".to_string()) },
        name: None,
        status: Status::Running,
        raw_status: "running".to_string(),
        kind: InstanceType::Scheduled,
        plan_time: None,
        start_time: None,
        end_time: None,
        error: None,
    }
}

#[tokio::test]
async fn an_instance_comes_over_as_it_is() {
    let bench = Bench::start(SimConfig::default()).await;
    bench.sim.put(success(1, 60));
    bench.sim.put(SimInstance { kind: 5, ..SimInstance::waiting("月结_v1.0", 2, ago(30)).running() });
    let listing = bench.source().list(hours(24)).await.unwrap();
    assert_eq!((listing.instances.len(), listing.requests, listing.coverage.is_whole()), (2, 1, true));
    let first = listing.instances.iter().find(|instance| instance.id == "1").unwrap();
    assert_eq!((first.job.name.as_str(), first.job.id.as_deref()), ("etl_orders", Some("600000")));
    assert_eq!((first.status, first.kind), (Status::Success, InstanceType::Scheduled));
    assert_eq!(first.duration(now()), Some(Duration::from_secs(18)));
    let second = listing.instances.iter().find(|instance| instance.id == "2").unwrap();
    assert_eq!((second.job.name.as_str(), second.kind), ("月结_v1.0", InstanceType::Backfill));
    assert_eq!(second.duration(now()), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn the_ends_of_the_window_belong_to_it() {
    let bench = Bench::start(SimConfig::default()).await;
    for (id, seconds) in [(1, 3600), (2, 0), (3, 1800)] {
        bench.sim.put(SimInstance::waiting("etl_orders", id, ago(seconds)));
    }
    assert_eq!(ids(&bench.source().list(hours(1)).await.unwrap()).len(), 3);
}

#[tokio::test]
async fn all_of_2500_instances_are_read_under_both_meanings_of_offset() {
    for offset in [OffsetMeaning::Records, OffsetMeaning::Pages] {
        let bench = Bench::start(SimConfig { offset, ..SimConfig::default() }).await;
        bench.sim.put_all((0..2500).map(|n| success(n, 3600 + n as i64)));
        let source = bench.source();
        for poll in 0..2 {
            let listing = source.list(hours(24)).await.unwrap();
            assert_eq!((listing.instances.len(), ids(&listing).len()), (2500, 2500), "{offset:?}");
            assert_eq!((listing.coverage.is_whole(), listing.coverage.set_aside.len()), (true, 0), "{offset:?}");
            assert!(listing.requests <= 4 - poll.min(usize::from(offset == OffsetMeaning::Records)), "{listing:?}");
        }
    }
}

#[tokio::test]
async fn three_thousand_instances_planned_at_one_moment_are_all_read() {
    for offset in [OffsetMeaning::Records, OffsetMeaning::Pages] {
        let bench = Bench::start(SimConfig { offset, ..SimConfig::default() }).await;
        bench.sim.put_all((0..3000).map(|n| success(n, 3600)));
        let listing = bench.source().list(hours(24)).await.unwrap();
        assert_eq!((ids(&listing).len(), listing.coverage.is_whole()), (3000, true), "{offset:?}");
    }
}

#[tokio::test]
async fn a_window_of_seven_days_and_more_is_asked_for_in_allowed_parts() {
    let bench = Bench::start(SimConfig::default()).await;
    bench.sim.put_all((0..20).map(|day| success(day, day as i64 * 86_400 + 60)));
    for (days, count) in [(7, 7), (14, 14), (20, 20)] {
        let listing = bench.source().list(hours(days * 24)).await.unwrap();
        assert_eq!((ids(&listing).len(), listing.coverage.is_whole()), (count, true), "{days} days");
    }
}

#[tokio::test]
async fn a_service_that_accepts_shorter_spans_only_is_found_out_by_the_poll_itself() {
    for (span_days, parts) in [(3, 2), (1, 5)] {
        let bench = Bench::start(SimConfig { span_days, ..SimConfig::default() }).await;
        bench.sim.put_all((0..5).map(|day| success(day, day as i64 * 86_400 + 60)));
        let source = bench.source();
        // A window that fits costs one request as ever, and teaches nothing.
        source.list(hours(20)).await.unwrap();
        assert_eq!((bench.sim.requests().list, source.learnt().get("span_days")), (1, None));
        assert_eq!(ids(&source.list(hours(5 * 24)).await.unwrap()).len(), 5, "{span_days} days");
        assert_eq!(source.learnt().get("span_days"), Some(&span_days.to_string()));
        let before = bench.sim.requests();
        assert_eq!(ids(&source.list(hours(5 * 24)).await.unwrap()).len(), 5);
        let after = bench.sim.requests();
        assert!(after.list - before.list <= parts + 1 && after.refused == before.refused, "{before:?} {after:?}");
    }
    // What is refused however short it is was refused for another reason, which is told.
    let bench = Bench::start(SimConfig::default()).await;
    let error = bench.open(&Settings { workspace: Some("x".into()), ..bench.settings() }).list(hours(5 * 24)).await;
    assert!(error.as_ref().is_err_and(|error| error.message.contains("DLF.0819")), "{error:?}");
    assert!(bench.sim.requests().list <= 3);
}

#[tokio::test]
async fn a_temporary_key_s_token_is_sent_and_signed() {
    let token = Some("temporary/token==".to_string());
    let bench = Bench::start(SimConfig { security_token: token, ..SimConfig::default() }).await;
    bench.source().list(hours(1)).await.unwrap();
    let mut settings = bench.settings();
    for wrong in [None, Some(inline("another"))] {
        let Auth::Key { security_token, .. } = &mut settings.auth else { unreachable!() };
        *security_token = wrong;
        let error = bench.open(&settings).list(hours(1)).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Credentials, "{error}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_told_without_it() {
    let bench = Bench::start(SimConfig::default()).await;
    for (access, secret) in
        [("SIMULATEDACCESSKEY00", "wrong-secret-canary"), ("UNKNOWNACCESSKEY", "wrong-secret-canary")]
    {
        let mut settings = bench.settings();
        settings.auth = Auth::Key { access_key: inline(access), secret_key: inline(secret), security_token: None };
        let error = bench.open(&settings).list(hours(1)).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Credentials);
        assert!(error.message.contains("HTTP 401 APIGW.0301"), "{error}");
        assert!(error.help.as_deref().unwrap().contains("secret key"), "{error}");
        let printed = format!("{error} {error:?} {settings:?}");
        assert!(!printed.contains("canary") && !printed.contains(access), "{printed}");
    }
    assert_eq!(bench.sim.requests().refused, 2, "a refusal is not tried again");
}

#[tokio::test]
async fn a_clock_that_is_off_is_named() {
    let bench = Bench::start(SimConfig::default()).await;
    let wrong: Arc<dyn Clock> = Arc::new(ManualClock::at(ago(3600 + 120)));
    let error = open_with(&bench.settings(), wrong).list(hours(1)).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(error.message.ends_with("this machine's clock is 1h 2m behind the service's"), "{error}");
    assert!(error.help.as_deref().unwrap().contains("clock"), "{error}");
}

#[tokio::test]
async fn a_token_file_is_read_again_when_it_changes() {
    let bench = Bench::start(SimConfig { token: Some("token-two".to_string()), ..SimConfig::default() }).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "token-one\n").unwrap();
    let source = bench.open(&Settings { auth: Auth::Token(SecretRef::File(path.clone())), ..bench.settings() });
    let error = source.list(hours(1)).await.unwrap_err();
    assert!(error.message.contains("0307") && error.help.as_deref().unwrap().contains("token"), "{error}");
    std::fs::write(&path, "token-two\n").unwrap();
    source.list(hours(1)).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = source.list(hours(1)).await.unwrap_err();
    assert!(error.message.contains("auth.token: secret file"), "{error}");
}

#[tokio::test]
async fn project_and_workspace_must_be_right() {
    let bench = Bench::start(SimConfig { workspace_required: true, ..SimConfig::default() }).await;
    let right = bench.settings();
    bench.open(&right).list(hours(1)).await.unwrap();
    for (settings, kind, code) in [
        (Settings { workspace: None, ..right.clone() }, SourceErrorKind::Configuration, "APIGW.0106"),
        (Settings { workspace: Some("x".into()), ..right.clone() }, SourceErrorKind::Configuration, "DLF.0819"),
        (Settings { project_id: inline("x/../y"), ..right.clone() }, SourceErrorKind::Credentials, "APIGW.0802"),
        (
            Settings { endpoint: format!("{}/other", right.endpoint), ..right.clone() },
            SourceErrorKind::Configuration,
            "APIGW.0101",
        ),
    ] {
        let error = bench.open(&settings).list(hours(1)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(code) && error.help.is_some(), "{error}");
    }
}

#[tokio::test]
async fn a_detail_tells_nodes_and_the_present_status() {
    let bench = Bench::start(SimConfig::default()).await;
    let log_path = "obs://dlf-log/月结 a+b/2026-11-20 23_59_00.000/error/error.job";
    for (id, job) in [(1, "月结 a+b/c%d_v1.0"), (2, "plain"), (3, "a?b#c&d=e"), (4, "...")] {
        let failed = SimInstance::waiting(job, id, ago(60))
            .ended("fail", ago(0))
            .node(SimNode::ended("load", "CDMJob", "success", ago(60), ago(40)))
            .node(SimNode::ended("error", "DWS SQL", "fail", ago(40), ago(0)).log_path(log_path));
        bench.sim.put(failed);
        let mut asked = an_instance(&id.to_string());
        asked.job.name = job.to_string();
        let detail = bench.source().detail(&asked).await.unwrap();
        assert_eq!((detail.instance.status, detail.instance.end_time), (Status::Fail, Some(now())), "{job}");
        assert_eq!(detail.instance.job, asked.job);
        assert_eq!(detail.nodes.len(), 2, "{job}");
        assert_eq!(detail.nodes[1].log_path.as_deref(), Some(log_path));
        assert_eq!((detail.nodes[1].status, detail.nodes[1].kind.as_deref()), (Status::Fail, Some("DWS SQL")));
    }
}

#[tokio::test]
async fn an_instance_that_is_no_more_is_not_found() {
    let bench = Bench::start(SimConfig::default()).await;
    let source = bench.source();
    let error = source.detail(&an_instance("34765")).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::NotFound, "{error}");
    assert!(error.message.contains("DLF.0137"), "{error}");
    let document = include_str!("../data/dataarts/detail-not-found.json");
    bench.sim.inject(Fault::answer(400, document).on(Operation::Detail));
    let error = source.detail(&an_instance("34765")).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (SourceErrorKind::NotFound, "HTTP 400 DLF.0137: Job instance does not exist.")
    );
    // Such a segment would climb out of the path: it is not sent at all.
    let before = bench.sim.requests();
    let mut climbing = an_instance("1");
    climbing.job.name = "..".to_string();
    assert_eq!(source.detail(&climbing).await.unwrap_err().kind, SourceErrorKind::NotFound);
    assert_eq!(bench.sim.requests(), before);
}

#[tokio::test]
async fn faults_are_classed_and_told() {
    use SourceErrorKind::*;
    let bench = Bench::start(SimConfig::default()).await;
    bench.sim.put(success(1, 60));
    let deep = "[".repeat(100_000);
    let bomb = include_bytes!("../data/dataarts/bomb.json.gz");
    let html = "<html><title>Sign in</title></html>";
    let kind = |kind| Fault::once(kind).times(2);
    let table: Vec<(&str, Fault, SourceErrorKind, &str)> = vec![
        (
            "401",
            Fault::answer(401, r#"{"error_code":"APIG.0301","error_msg":"no"}"#),
            Credentials,
            "HTTP 401 APIG.0301: no",
        ),
        ("403", Fault::answer(403, ""), Credentials, "HTTP 403"),
        ("404", Fault::answer(404, html), Configuration, "HTTP 404: <html>"),
        ("302", Fault::answer(302, "").header("location", "http://127.0.0.1:1/"), Configuration, "HTTP 302"),
        ("429", Fault::answer(429, "{}").times(2), Throttled, "HTTP 429"),
        ("500", Fault::answer(500, "oh").times(2), Transient, "HTTP 500: oh"),
        ("HTML 200", Fault::answer(200, html), BadAnswer, "HTML page?): <html><title>Sign in</title></html>"),
        ("empty 200", Fault::answer(200, ""), BadAnswer, "the answer is empty"),
        ("204", Fault::answer(204, ""), BadAnswer, "HTTP 204"),
        ("error 200", Fault::answer(200, r#"{"error_code":"DLF.0819","error_msg":"w"}"#), Configuration, "DLF.0819: w"),
        ("cut short", Fault::once(FaultKind::CutShort(100)), BadAnswer, "breaks off after 100 bytes"),
        ("broken off", kind(FaultKind::BreakOff(100)), Transient, "broke off"),
        ("deep", Fault::answer(200, deep), BadAnswer, "nested deeper than 64"),
        ("endless", Fault::once(FaultKind::Endless), BadAnswer, "larger than 16 MiB"),
        (
            "gzip bomb",
            Fault::answer(200, bomb.as_slice()).header("content-encoding", "gzip"),
            BadAnswer,
            "larger than 16 MiB",
        ),
        ("no gzip", Fault::answer(200, "{}").header("content-encoding", "gzip").times(2), Transient, "broke off"),
    ];
    let source = bench.source();
    for (name, fault, kind, words) in table {
        bench.sim.inject(fault);
        let error: SourceError = source.list(hours(1)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.message.contains(words), "{name}: {error}");
        assert!(error.help.is_some(), "{name}: {error}");
        let printed = error.to_string();
        assert!(
            !printed.contains("127.0.0.1") && !printed.contains(&bench.sim.config().secret_key),
            "{name}: {printed}"
        );
        bench.sim.clear_faults();
        assert_eq!(source.list(hours(1)).await.unwrap().instances.len(), 1, "after {name}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let bench = Bench::start(SimConfig::default()).await;
    let patience = Patience::without_pauses(Duration::from_millis(200));
    let source = bench.source().with_patience(patience);
    bench.sim.inject(Fault::once(FaultKind::Hang));
    let error = source.list(hours(1)).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Transient);
    assert!(error.message.contains("no answer within"), "{error}");
    assert_eq!(bench.sim.requests().list, 1, "a timeout is not tried again within the poll");
}

#[tokio::test]
async fn a_passing_fault_is_tried_once_more() {
    let bench = Bench::start(SimConfig::default()).await;
    bench.sim.put(success(1, 60));
    let source = bench.source();
    for (fault, requests) in [
        (Fault::answer(503, ""), 2),
        (Fault::answer(429, "").header("retry-after", "0"), 2),
        (Fault::once(FaultKind::BreakOff(10)), 2),
    ] {
        let before = bench.sim.requests().list;
        bench.sim.inject(fault.clone());
        assert_eq!(source.list(hours(1)).await.unwrap().instances.len(), 1, "{fault:?}");
        assert_eq!(bench.sim.requests().list - before, requests, "{fault:?}");
    }
    let before = bench.sim.requests().list;
    bench.sim.inject(Fault::answer(429, "").header("retry-after", "120"));
    let error = source.list(hours(1)).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (SourceErrorKind::Throttled, Some(Duration::from_secs(120))));
    assert_eq!(bench.sim.requests().list - before, 1, "who asks for two minutes is not asked again at once");
}

#[tokio::test]
async fn nobody_listening_is_told_without_the_address() {
    let bench = Bench::start(SimConfig::default()).await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = bench.open(&Settings { endpoint: format!("http://{gone}"), ..bench.settings() }).list(hours(1)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Transient);
    assert!(error.message.contains("cannot connect") && !error.to_string().contains(&gone.to_string()), "{error}");
}

#[tokio::test]
async fn a_bad_item_is_set_aside_and_exact_ids_pass() {
    let bench = Bench::start(SimConfig::default()).await;
    bench.sim.put(success(1, 60));
    for item in [
        r#"{"jobName":"a","instanceId":9007199254740993,"status":"fail"}"#,
        r#"{"jobName":"b","instanceId":"9007199254740993","status":"exploded"}"#,
        r#"{"jobName":"c","status":"fail"}"#,
    ] {
        bench.sim.put_raw(ago(30), item);
    }
    let listing = bench.source().list(hours(1)).await.unwrap();
    let mut found: Vec<_> =
        listing.instances.iter().map(|one| (one.job.name.as_str(), one.id.as_str(), one.raw_status.as_str())).collect();
    found.sort_unstable();
    let expected =
        [("a", "9007199254740993", "fail"), ("b", "9007199254740993", "exploded"), ("etl_orders", "1", "success")];
    assert_eq!(found, expected);
    assert_eq!(listing.coverage.set_aside.len(), 1);
    assert!(listing.coverage.set_aside[0].snippet.contains("\"jobName\":\"c\""));
    assert!(listing.coverage.is_whole());
}

#[tokio::test]
async fn a_list_that_loses_rows_on_the_way_is_reported() {
    // The server says that there are more than it gives, whatever it is asked.
    let bench = Bench::start(SimConfig::default()).await;
    let body = r#"{"total":3,"instances":[{"jobName":"a","instanceId":1,"status":"fail"}]}"#;
    bench.sim.inject(Fault::answer(200, body).times(1000));
    let listing = bench.source().list(hours(1)).await.unwrap();
    assert_eq!(listing.coverage.reasons(), ["1 of 3 instances could be read"]);
    assert_eq!((listing.instances.len(), listing.coverage.is_whole()), (1, false));
    assert!(listing.requests < 60, "{}", listing.requests);
}

#[tokio::test]
async fn jobs_that_are_named_are_listed_one_by_one_and_no_other() {
    let bench = Bench::start(SimConfig::default()).await;
    for (id, job) in [(1, "etl_orders"), (2, "etl_orders_2"), (3, "settlement"), (4, "other")] {
        bench.sim.put(SimInstance { job: job.to_string(), ..success(id, 60) });
    }
    let jobs = vec!["etl_orders".to_string(), "settlement".to_string(), "absent".to_string()];
    let listing = bench.open(&Settings { jobs, ..bench.settings() }).list(hours(1)).await.unwrap();
    assert_eq!(ids(&listing), BTreeSet::from(["1".to_string(), "3".to_string()]));
    assert_eq!((listing.requests, bench.sim.requests().list, listing.coverage.is_whole()), (3, 3, true));
}
