//! The numbers of a digest against an independent count over the simulator's own truth: a day of 2,000 instances in all
//! states, read by the real program's parts over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::app::App;
use nightbell::clock::{Clock, ManualClock, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::DigestFacts;
use nightbell::sim::{SimConfig, SimInstance, SimWorkspace};
use nightbell::store::{Mode, SqlStore, Store as _};

const INSTANCES: u64 = 2_000;

/// Words of the API, and which of Nightbell's it is counted as; what "ok" means here is written down once more, on
/// purpose.
const STATES: [(&str, &str, &str); 12] = [
    ("success", "success", "ok"),
    ("success", "success", "ok"),
    ("success", "success", "ok"),
    ("success", "success", "ok"),
    ("fail", "fail", "failed"),
    ("running", "running", "open"),
    ("waiting", "waiting", "open"),
    ("running-exception", "running-exception", "open"),
    ("pause", "pause", "open"),
    ("manual-stop", "manual-stop", "other"),
    ("freeze", "freeze", "open"),
    ("skip", "skip", "other"),
];

struct Truth {
    workspace: SimWorkspace,
    ended: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<&'static str, u64>,
    open: BTreeMap<&'static str, u64>,
    broken: Vec<String>,
    by_hour: BTreeMap<i64, u64>,
}

/// Fills a workspace with a day, and counts what it put in.
async fn day(now: Timestamp) -> Truth {
    let config = SimConfig { token: Some("t".to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let mut truth = Truth {
        workspace,
        ended: BTreeMap::new(),
        by_status: BTreeMap::new(),
        open: BTreeMap::new(),
        broken: Vec::new(),
        by_hour: BTreeMap::new(),
    };
    let mut latest: BTreeMap<String, Vec<(Timestamp, &'static str)>> = BTreeMap::new();
    for id in 0..INSTANCES {
        // A state that has nothing to do with the job's number, and a job that comes up every 90 instances or so.
        let (word, status, outcome) = STATES[(id * 7 + id / 13) as usize % STATES.len()];
        let job = format!("etl_{:02}", id % 89);
        let ago = |minutes: u64| now - SignedDuration::from_mins(i64::try_from(minutes).unwrap());
        // Planned over 23 hours, each at a minute of its own for its job.
        let plan = ago(1400 - id * 1380 / INSTANCES);
        let ended = plan + SignedDuration::from_mins(3 + i64::try_from(id % 11).unwrap());
        let waiting = SimInstance::waiting(&job, 10_000 + id, plan);
        let instance = match outcome {
            "open" if word == "waiting" || word == "freeze" => SimInstance { status: word.into(), ..waiting },
            "open" => SimInstance { status: word.into(), ..waiting.running() },
            _ => waiting.ended(word, ended),
        };
        truth.workspace.put(instance);
        if outcome == "open" {
            *truth.open.entry(status).or_default() += 1;
        } else {
            *truth.ended.entry(outcome).or_default() += 1;
            *truth.by_status.entry(status).or_default() += 1;
            *truth.by_hour.entry(ended.as_second().div_euclid(3600)).or_default() += 1;
        }
        latest.entry(job).or_default().push((plan, status));
    }
    for (job, mut runs) in latest {
        runs.sort();
        let last_success = runs.iter().rposition(|(_, status)| *status == "success");
        let after = &runs[last_success.map_or(0, |at| at + 1)..];
        if after.iter().any(|(_, status)| ["fail", "running-exception"].contains(status)) {
            truth.broken.push(job);
        }
    }
    truth
}

#[tokio::test]
async fn the_numbers_are_those_of_an_independent_count() {
    let now = SystemClock.now();
    let truth = day(now).await;
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "version: 1\nstore: sqlite://{}/n.db\nsources:\n  warehouse:\n    type: dataarts\n    endpoint: {}\n    \
         project_id: {}\n    requests_per_second: 1000\n    auth: {{ token: t }}\nreceivers:\n  \
         hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\nrules: {{}}\n\
         digests:\n  day: {{ schedule: \"0 * * * *\", notify: [hook] }}\n",
        directory.path().display(),
        truth.workspace.endpoint(),
        truth.workspace.config().project_id,
    );
    let config =
        Config::from_text(text, "rules.yaml", directory.path(), &LoadOptions { offline: true }).unwrap().config;
    // The first cycle begins the digest and reads the day; a second one, an hour on, makes it.
    let clock = ManualClock::at(now);
    for _ in 0..2 {
        let app = App::open(&config, Arc::new(clock.clone())).await.unwrap();
        app.run_once().await.unwrap();
        clock.set(clock.now() + SignedDuration::from_hours(1));
    }
    let store = SqlStore::open(&config.store, Mode::Read).await.unwrap();
    let deliveries = store.deliveries(10).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    let body: serde_json::Value = serde_json::from_str(deliveries[0].content.part("body")).unwrap();
    let digest: DigestFacts = serde_json::from_value(body["data"].clone()).unwrap();
    compare(&digest, &truth);
}

fn compare(digest: &DigestFacts, truth: &Truth) {
    let told = |counts: &[nightbell::model::StatusCount]| {
        counts.iter().map(|it| (it.status.as_str(), it.count)).collect::<BTreeMap<_, _>>()
    };
    let outcomes = digest.totals.outcomes;
    assert_eq!(outcomes.ended, truth.ended.values().sum::<u64>());
    assert_eq!([outcomes.ok, outcomes.failed, outcomes.other], ["ok", "failed", "other"].map(|word| truth.ended[word]));
    assert_eq!(told(&digest.totals.by_status), truth.by_status);
    assert_eq!(told(&digest.open), truth.open);
    assert_eq!(digest.completeness.sources[0].totals, outcomes);
    assert_eq!(digest.broken.total, truth.broken.len() as u64);
    let mut broken: Vec<_> = digest.broken.shown.iter().map(|part| part.job.clone()).collect();
    broken.sort();
    if digest.broken.total as usize == broken.len() {
        assert_eq!(broken, truth.broken);
    } else {
        assert!(broken.iter().all(|job| truth.broken.contains(job)));
    }
    // The bars hold everything; where the chart begins, what is older is in its first bar.
    let bars = &digest.chart.bars;
    assert_eq!(bars.iter().map(|bar| bar.outcomes.ended).sum::<u64>(), outcomes.ended);
    assert_eq!(digest.chart.unit, "hour");
    for bar in &bars[1..] {
        let hour = bar.starts_at.as_second().div_euclid(3600);
        assert_eq!(bar.outcomes.ended, truth.by_hour.get(&hour).copied().unwrap_or(0), "{}", bar.starts_at);
    }
    assert!(digest.completeness.complete, "{:?}", digest.completeness);
}
