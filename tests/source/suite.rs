//! What can go wrong on the way to any scheduler, in one table, and every kind of source goes through it.
//!
//! A kind says how its simulated service is started and what its pages look like; the rows say what happens and what must
//! come of it. Whatever happens: an error is classed and says what can be done, holds neither an address nor a secret, is
//! never "nothing there", and once it is over the source reads on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nightbell::clock::{Clock, ManualClock};
use nightbell::model::{SourceId, Window};
use nightbell::sim::{Fault, FaultKind, Operation, SimConfig};
use nightbell::source::SourceErrorKind::{self, BadAnswer, Configuration, Credentials, Throttled, Transient};
use nightbell::source::dataarts::DataArts;
use nightbell::source::schedulerx::SchedulerX;
use nightbell::source::{KINDS, Listing, Patience, Source, SourceError};
use nightbell::source::{airflow, http};

use nightbell::yaml::{Diagnostics, Environment, Section, parse};

use super::gate::{Gate, Trick};
use super::plain::{self, Plain};
use super::{Bench, ago, hours, now, success};
use crate::schedulerx;

/// Opens a source of a kind.
type Open = Box<dyn Fn(Patience, Arc<dyn Clock>) -> Arc<dyn Source> + Send + Sync>;

/// A kind of source, with a service of its own that is well.
struct Stage {
    kind: &'static str,
    gate: Gate,
    /// Opens a source that goes through the gate.
    open: Open,
    inject: Box<dyn Fn(Fault) + Send + Sync>,
    clear: Box<dyn Fn() + Send + Sync>,
    /// Adds a successful run, planned so many seconds ago.
    put: Box<dyn Fn(u64, i64) + Send + Sync>,
    /// The requests for pages of runs.
    list: Operation,
    /// A page of these items, as its service writes one.
    page: fn(&[String]) -> String,
    /// An item with this raw id, and one that cannot be understood.
    item: fn(&str) -> String,
    broken: &'static [&'static str],
    /// What of the request is secret, as it goes over the wire.
    secrets: Vec<String>,
}

type Start = fn() -> BoxFuture<'static, Stage>;

/// One line for each kind.
const STAGES: [(&str, Start); 4] = [
    ("dataarts", || Box::pin(dataarts())),
    ("schedulerx", || Box::pin(schedulerx_stage())),
    ("airflow", || Box::pin(airflow())),
    ("http", || Box::pin(described())),
];

async fn dataarts() -> Stage {
    let bench = Bench::start(SimConfig::default()).await;
    let gate = Gate::before(bench.sim.endpoint()).await;
    let settings = super::Settings { endpoint: gate.endpoint.clone(), ..bench.settings() };
    let config = bench.sim.config();
    let secrets = vec![config.secret_key.clone(), config.access_key.clone()];
    let sim = Arc::new(bench.sim);
    let (injected, cleared, put) = (Arc::clone(&sim), Arc::clone(&sim), sim);
    Stage {
        kind: "dataarts",
        gate,
        open: Box::new(move |patience, clock| {
            let source = DataArts::open(SourceId::new("s"), &settings, clock).unwrap();
            Arc::new(source.with_patience(patience))
        }),
        inject: Box::new(move |fault| injected.inject(fault)),
        clear: Box::new(move || cleared.clear_faults()),
        put: Box::new(move |id, seconds| put.put(success(id, seconds))),
        list: Operation::List,
        page: |items| format!(r#"{{"total":{},"instances":[{}]}}"#, items.len(), items.join(",")),
        item: |id| format!(r#"{{"jobName":"load","instanceId":{id},"status":"success","planTime":1795219100000}}"#),
        broken: &[
            "null",
            "7",
            "[]",
            r#"{"jobName":null,"instanceId":null,"status":null,"planTime":null}"#,
            r#"{"jobName":{},"instanceId":[],"status":true,"planTime":"soon"}"#,
            r#"{"jobName":"a","instanceId":1.5,"status":"fail"}"#,
        ],
        secrets,
    }
}

async fn schedulerx_stage() -> Stage {
    let bench = schedulerx::Bench::start().await;
    let gate = Gate::before(bench.sim.endpoint()).await;
    let settings = nightbell::source::schedulerx::Settings { endpoint: gate.endpoint.clone(), ..bench.settings() };
    let config = bench.sim.config();
    let secrets = vec![config.secret_key.clone(), config.access_key.clone()];
    let sim = Arc::new(bench.sim);
    let (injected, cleared, put) = (Arc::clone(&sim), Arc::clone(&sim), sim);
    Stage {
        kind: "schedulerx",
        gate,
        open: Box::new(move |patience, clock| {
            let source = SchedulerX::open(SourceId::new("s"), &settings, clock).unwrap();
            Arc::new(source.with_patience(patience))
        }),
        inject: Box::new(move |fault| injected.inject(fault)),
        clear: Box::new(move || cleared.clear_faults()),
        put: Box::new(move |id, seconds| put.put(schedulerx::success(id, seconds))),
        list: schedulerx::LIST,
        page: |items| {
            let data = format!(r#"{{"JobInstanceDetails":[{}]}}"#, items.join(","));
            format!(r#"{{"Success":true,"Code":200,"Message":"","RequestId":"R","Data":{data}}}"#)
        },
        item: |id| format!(r#"{{"InstanceId":{id},"JobId":1,"Status":4,"ScheduleTime":"2026-11-21 07:59:00"}}"#),
        broken: &[
            "null",
            "7",
            "[]",
            r#"{"InstanceId":null,"JobId":null,"Status":null,"ScheduleTime":null}"#,
            r#"{"InstanceId":[],"JobId":{},"Status":true,"ScheduleTime":7}"#,
            r#"{"InstanceId":1.5,"JobId":1,"Status":4}"#,
        ],
        secrets,
    }
}

/// A stage whose service is a plain one.
async fn plain(
    kind: &'static str,
    plain: Plain,
    page: fn(&[String]) -> String,
    item: fn(&str) -> String,
    broken: &'static [&'static str],
    open: impl Fn(&str, Patience, Arc<dyn Clock>) -> Arc<dyn Source> + Send + Sync + 'static,
) -> Stage {
    let gate = Gate::before(&plain.endpoint).await;
    let endpoint = gate.endpoint.clone();
    let service = Arc::new(plain);
    let (injected, cleared, put) = (Arc::clone(&service), Arc::clone(&service), service);
    Stage {
        kind,
        gate,
        open: Box::new(move |patience, clock| open(&endpoint, patience, clock)),
        inject: Box::new(move |fault| injected.faults.lock().unwrap().push(fault)),
        clear: Box::new(move || cleared.faults.lock().unwrap().clear()),
        put: Box::new(move |id, seconds| put.put(id, seconds)),
        list: Operation::List,
        page,
        item,
        broken,
        secrets: vec!["CANARY-token-of-a-user".to_string(), "CANARY-password".to_string()],
    }
}

async fn airflow() -> Stage {
    let open = |endpoint: &str, patience: Patience, clock: Arc<dyn Clock>| -> Arc<dyn Source> {
        let settings = airflow::Settings {
            url: endpoint.to_string(),
            auth: airflow::Auth::Password { user: super::inline("night"), password: super::inline("CANARY-password") },
            headers: Vec::new(),
            dags: Vec::new(),
            ca_file: None,
            requests_per_second: 10_000.0,
        };
        Arc::new(airflow::Airflow::open(SourceId::new("s"), &settings, clock).unwrap().with_patience(patience))
    };
    plain(
        "airflow",
        Plain::start(plain::airflow).await,
        |items| format!(r#"{{"dag_runs":[{}],"next_cursor":null}}"#, items.join(",")),
        |id| format!(r#"{{"dag_id":"load","dag_run_id":{id},"state":"success","run_after":"2026-11-20T23:59:00Z"}}"#),
        &[
            "null",
            "7",
            "[]",
            r#"{"dag_id":null,"dag_run_id":null,"state":null,"run_after":null}"#,
            r#"{"dag_id":{},"dag_run_id":[],"state":true,"run_after":"soon"}"#,
            r#"{"dag_id":"a","dag_run_id":1.5,"state":"failed"}"#,
        ],
        open,
    )
    .await
}

async fn described() -> Stage {
    let open = |endpoint: &str, patience: Patience, clock: Arc<dyn Clock>| -> Arc<dyn Source> {
        let findings = Diagnostics::new("/");
        let environment = Environment { lookup: &|_| None, required: false };
        let node = parse(&plain::DESCRIPTION.replace("ENDPOINT", endpoint), &environment, &findings).unwrap();
        let section = Section::of(&http::KEYS, &node, "s", &findings).unwrap();
        let settings = http::Settings::read(&section).unwrap();
        Arc::new(http::HttpSource::open(SourceId::new("s"), &settings, clock).unwrap().with_patience(patience))
    };
    plain(
        "http",
        Plain::start(plain::described).await,
        |items| format!(r#"{{"runs":[{}]}}"#, items.join(",")),
        |id| format!(r#"{{"id":{id},"job":"load","state":"success","due":1795219140}}"#),
        &[
            "null",
            "7",
            "[]",
            r#"{"id":null,"job":null,"state":null,"due":null}"#,
            r#"{"id":[],"job":{},"state":true,"due":"soon"}"#,
            r#"{"id":1.5,"job":"a","state":"success"}"#,
        ],
        open,
    )
    .await
}

impl Stage {
    fn source(&self) -> Arc<dyn Source> {
        (self.open)(Patience::without_pauses(Duration::from_secs(20)), Arc::new(ManualClock::at(now())))
    }

    /// A fault of every page of runs until it is cleared.
    fn lasting(&self, fault: Fault) {
        (self.inject)(fault.on(self.list).times(100_000));
    }

    /// The error is fit to be shown: short, on one line, without a secret.
    fn check(&self, row: &str, error: &SourceError) {
        let printed = format!("{error} {error:?}");
        let name = format!("{}, {row}", self.kind);
        assert!(self.secrets.iter().all(|secret| !printed.contains(secret)), "{name}: {printed}");
        assert!(error.message.len() < 1000 && !error.message.contains(['\n', '\r']), "{name}: {printed}");
    }

    /// It does not even hold the address, which nobody has quoted.
    fn check_address(&self, row: &str, error: &SourceError) {
        self.check(row, error);
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("127.0.0.1"), "{}, {row}: {printed}", self.kind);
    }
}

fn ids(listing: &Listing) -> BTreeSet<String> {
    listing.instances.iter().map(|instance| instance.id.clone()).collect()
}

/// Every kind of source there is has a stage here.
#[test]
fn every_kind_goes_through_the_suite() {
    let staged: Vec<&str> = STAGES.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(staged, KINDS.each_ref().map(|kind| kind.word));
}

/// Answers that are none, over and over: the class, and words of the message.
fn lasting_faults() -> Vec<(&'static str, Fault, SourceErrorKind, &'static str)> {
    let html = "<html><title>Sign in</title></html>";
    let bomb = include_bytes!("../data/dataarts/bomb.json.gz").as_slice();
    fn answer(status: u16, body: impl Into<axum::body::Bytes>) -> Fault {
        Fault::answer(status, body)
    }
    vec![
        ("HTML with 200", answer(200, html), BadAnswer, "HTML page?): <html>"),
        ("nothing with 200", answer(200, ""), BadAnswer, "empty"),
        ("204", answer(204, ""), BadAnswer, ""),
        ("an empty object", answer(200, "{}"), BadAnswer, ""),
        ("a list", answer(200, "[]"), BadAnswer, ""),
        ("a number", answer(200, "7"), BadAnswer, ""),
        ("null", answer(200, "null"), BadAnswer, ""),
        ("half a page", Fault::once(FaultKind::CutShort(30)), BadAnswer, "breaks off"),
        ("no JSON", answer(200, "{'total': 1}"), BadAnswer, "not JSON"),
        ("nested deep", answer(200, "[".repeat(100_000)), BadAnswer, "nested deeper than 64"),
        ("endless", Fault::once(FaultKind::Endless), BadAnswer, "larger than 16 MiB"),
        ("a gzip bomb", answer(200, bomb).header("content-encoding", "gzip"), BadAnswer, "larger than 16 MiB"),
        ("gzip that is none", answer(200, "{}").header("content-encoding", "gzip"), Transient, "broke off"),
        ("broken off", Fault::once(FaultKind::BreakOff(20)), Transient, "broke off"),
        ("broken off at once", Fault::once(FaultKind::BreakOff(0)), Transient, "broke off"),
        ("401", answer(401, ""), Credentials, "HTTP 401"),
        ("403", answer(403, html), Credentials, "HTTP 403"),
        ("404", answer(404, html), Configuration, "HTTP 404"),
        ("a redirect", answer(302, "").header("location", "http://127.0.0.1:1/"), Configuration, "HTTP 302"),
        ("400", answer(400, ""), Configuration, "HTTP 400"),
        ("429", answer(429, ""), Throttled, "HTTP 429"),
        ("500", answer(500, "oh"), Transient, "HTTP 500"),
        ("502", answer(502, "<h1>Bad\r\nGateway</h1>"), Transient, "Bad Gateway"),
    ]
}

#[tokio::test]
async fn what_is_no_answer_is_classed_and_told_and_never_nothing_there() {
    for (_, start) in STAGES {
        let stage = start().await;
        (stage.put)(1, 60);
        for (row, fault, kind, words) in lasting_faults() {
            let source = stage.source();
            stage.lasting(fault);
            let error = source.list(hours(1)).await.map(|listing| ids(&listing)).unwrap_err();
            assert_eq!(error.kind, kind, "{}, {row}: {error}", stage.kind);
            assert!(error.message.contains(words), "{}, {row}: {error}", stage.kind);
            assert!(error.help.is_some(), "{}, {row}: {error}", stage.kind);
            stage.check_address(row, &error);
            (stage.clear)();
            assert_eq!(ids(&source.list(hours(1)).await.unwrap()).len(), 1, "{}, after {row}", stage.kind);
        }
    }
}

#[tokio::test]
async fn a_passing_fault_is_borne_within_the_poll() {
    let table = [
        ("500", Fault::answer(500, "")),
        ("503", Fault::answer(503, "")),
        ("429", Fault::answer(429, "")),
        ("429 and no pause", Fault::answer(429, "").header("retry-after", "0")),
        ("429 and a pause that is none", Fault::answer(429, "").header("retry-after", "soon")),
        ("broken off", Fault::once(FaultKind::BreakOff(20))),
    ];
    for (_, start) in STAGES {
        let stage = start().await;
        (stage.put)(1, 60);
        let source = stage.source();
        for (row, fault) in &table {
            (stage.inject)(fault.clone().on(stage.list));
            let listing = source.list(hours(1)).await;
            let listing = listing.unwrap_or_else(|error| panic!("{}, {row}: {error}", stage.kind));
            assert!(ids(&listing).len() == 1 && listing.coverage.is_whole(), "{}, {row}", stage.kind);
        }
        // Who asks for two minutes is not asked again at once, and the error says for how long.
        (stage.inject)(Fault::answer(429, "").header("retry-after", "120").on(stage.list));
        let error = source.list(hours(1)).await.unwrap_err();
        assert_eq!((error.kind, error.retry_after), (Throttled, Some(Duration::from_secs(120))), "{}", stage.kind);
    }
}

#[tokio::test]
async fn connections_that_break_before_an_answer() {
    for (_, start) in STAGES {
        let stage = start().await;
        (stage.put)(1, 60);
        for trick in [Trick::Reset, Trick::Noise] {
            // Once is borne; for ever is an error that says so.
            stage.gate.play(trick, 1);
            let listing = stage.source().list(hours(1)).await;
            let listing = listing.unwrap_or_else(|error| panic!("{}, {trick:?}: {error}", stage.kind));
            assert_eq!(ids(&listing).len(), 1, "{}, {trick:?}", stage.kind);
            stage.gate.play(trick, 2);
            let error = stage.source().list(hours(1)).await.unwrap_err();
            assert_eq!(error.kind, Transient, "{}, {trick:?}: {error}", stage.kind);
            stage.check_address(&format!("{trick:?}"), &error);
        }
    }
}

/// Gateways and debug pages quote what they were sent.
#[tokio::test]
async fn an_answer_that_quotes_the_request_tells_no_secret() {
    for (_, start) in STAGES {
        let stage = start().await;
        for status in [200, 400, 401, 403, 500] {
            stage.gate.play(Trick::Echo(status), 2);
            let error = stage.source().list(hours(1)).await.unwrap_err();
            stage.check(&format!("echo with {status}"), &error);
        }
    }
}

#[tokio::test]
async fn a_service_that_hangs_or_drips_is_given_up_at_the_deadline() {
    let patience = Patience::without_pauses(Duration::from_millis(300));
    let faults =
        [FaultKind::Hang, FaultKind::Drip(Duration::from_millis(40)), FaultKind::Delay(Duration::from_secs(5))];
    for (_, start) in STAGES {
        let stage = start().await;
        (stage.put)(1, 60);
        let source = (stage.open)(patience, Arc::new(ManualClock::at(now())));
        for kind in &faults {
            (stage.inject)(Fault::once(kind.clone()).on(stage.list));
            let error = source.list(hours(1)).await.unwrap_err();
            assert_eq!(error.kind, Transient, "{}, {kind:?}: {error}", stage.kind);
            assert!(error.message.contains("no answer within"), "{}, {kind:?}: {error}", stage.kind);
            stage.check_address("too late", &error);
            // It took all of its time: it is not tried again within the poll, and the next poll reads on.
            assert_eq!(ids(&source.list(hours(1)).await.unwrap()).len(), 1, "{}, after {kind:?}", stage.kind);
        }
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_understood_is_set_aside_with_its_place() {
    for (_, start) in STAGES {
        let stage = start().await;
        let source = stage.source();
        for broken in stage.broken {
            let items = [(stage.item)("1"), broken.to_string(), (stage.item)("\"9007199254740993\"")];
            (stage.inject)(Fault::answer(200, (stage.page)(&items)).on(stage.list));
            let listing = source.list(hours(1)).await;
            let listing = listing.unwrap_or_else(|error| panic!("{}, {broken}: {error}", stage.kind));
            let expected = BTreeSet::from(["1".to_string(), "9007199254740993".to_string()]);
            assert_eq!(ids(&listing), expected, "{}, {broken}", stage.kind);
            let aside = &listing.coverage.set_aside;
            assert!(aside.len() == 1 && aside[0].at.ends_with("/1"), "{}, {broken}: {aside:?}", stage.kind);
            assert!(!aside[0].reason.is_empty() && aside[0].snippet == *broken, "{}: {aside:?}", stage.kind);
        }
    }
}

#[tokio::test]
async fn the_same_run_twice_is_one_and_an_id_stays_the_text_that_was_sent() {
    for (_, start) in STAGES {
        let stage = start().await;
        let raw = ["1", "1", "\"1\"", "123456789012345678901234567890", "\"007\""];
        let items: Vec<String> = raw.iter().map(|id| (stage.item)(id)).collect();
        let page = Fault::answer(200, format!("\u{feff}{}", (stage.page)(&items)));
        // By page numbers the list ends with an empty page; one that repeats the page before is an error.
        if stage.kind == "http" {
            (stage.inject)(page.on(stage.list))
        } else {
            stage.lasting(page)
        }
        let listing = stage.source().list(hours(1)).await.unwrap();
        let expected = ["1", "123456789012345678901234567890", "007"].map(str::to_string);
        assert_eq!(listing.instances.len(), 3, "{}", stage.kind);
        assert_eq!(ids(&listing), BTreeSet::from(expected), "{}", stage.kind);
    }
}

/// The second page is cut in its middle: what the first one held is no whole list.
#[tokio::test]
async fn a_page_that_is_cut_in_its_middle_never_makes_a_shorter_list() {
    for (_, start) in STAGES {
        let stage = start().await;
        (0..1500).for_each(|id| (stage.put)(id + 1, 60));
        for fault in [FaultKind::CutShort(2000), FaultKind::BreakOff(2000)] {
            let source = stage.source();
            (stage.inject)(Fault::once(FaultKind::Delay(Duration::ZERO)).on(stage.list));
            stage.lasting(Fault::once(fault.clone()));
            let error = source.list(hours(1)).await.map(|listing| listing.instances.len()).unwrap_err();
            assert!(matches!(error.kind, BadAnswer | Transient), "{}, {fault:?}: {error}", stage.kind);
            (stage.clear)();
            assert_eq!(ids(&source.list(hours(1)).await.unwrap()).len(), 1500, "{}", stage.kind);
        }
    }
}

/// Runs come while the pages are read: what was there from beginning to end is listed, or the listing says that it is not
/// whole.
#[tokio::test]
async fn pages_that_shift_lose_nothing_in_silence() {
    for (_, start) in STAGES {
        let stage = start().await;
        (0..2300).for_each(|id| (stage.put)(id + 1, 120));
        let source = stage.source();
        (stage.inject)(Fault::once(FaultKind::Delay(Duration::from_millis(5))).on(stage.list).times(100_000));
        let coming = async {
            for id in 0..40 {
                // Newer runs stand before the others, and move them.
                (stage.put)(100_000 + id, 60);
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
        };
        let (listing, ()) = tokio::join!(source.list(hours(1)), coming);
        let listing = listing.unwrap_or_else(|error| panic!("{}: {error}", stage.kind));
        let found = ids(&listing);
        let missing = (1..=2300).filter(|id: &u64| !found.contains(&id.to_string())).count();
        assert!(missing == 0 || !listing.coverage.is_whole(), "{}: {missing} are missing", stage.kind);
        (stage.clear)();
        assert_eq!(ids(&source.list(hours(1)).await.unwrap()).len(), 2340, "{}", stage.kind);
    }
}

/// A clock that is wrong by an hour either does no harm, or is named with the difference.
#[tokio::test]
async fn a_clock_that_is_off_is_named_where_it_matters() {
    for (_, start) in STAGES {
        let stage = start().await;
        for (seconds, words) in [(3720, "1h 2m behind"), (-3720, "1h 2m ahead of")] {
            let patience = Patience::without_pauses(Duration::from_secs(20));
            let source = (stage.open)(patience, Arc::new(ManualClock::at(ago(seconds))));
            let window = Window { from: ago(3600), to: now() };
            if let Err(error) = source.list(window).await {
                assert_eq!(error.kind, Credentials, "{}: {error}", stage.kind);
                assert!(error.message.contains(words), "{}: {error}", stage.kind);
                assert!(error.help.as_deref().unwrap().contains("clock"), "{}: {error}", stage.kind);
            }
        }
    }
}

/// `doctor` of a service that is out of order says so, and neither panics nor finds that all is well.
#[tokio::test]
async fn an_examination_of_a_service_in_trouble_finds_trouble() {
    for (_, start) in STAGES {
        let stage = start().await;
        let findings = stage.source().examine().await;
        assert!(!findings.is_empty(), "{}", stage.kind);
        for (row, fault, ..) in lasting_faults() {
            (stage.inject)(fault.times(100_000));
            let findings = stage.source().examine().await;
            (stage.clear)();
            let is_told = |finding: &nightbell::source::Finding| finding.grade != nightbell::source::Grade::Good;
            assert!(findings.iter().any(is_told), "{}, {row}: {findings:?}", stage.kind);
            let printed = format!("{findings:?}");
            assert!(stage.secrets.iter().all(|secret| !printed.contains(secret)), "{}, {row}", stage.kind);
        }
    }
}
