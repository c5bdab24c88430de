//! The numbers of a digest against an independent count over the simulator's own truth: a day of 2,000 instances in all
//! states, read by the real program's parts over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::app::App;
use nightbell::clock::{Clock, ManualClock, SystemClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{DigestFacts, MessageKind};
use nightbell::sim::{SimConfig, SimInstance, SimWorkspace};
use nightbell::store::{Deliveries as _, Mode, SqlStore};

use crate::sample::Place;

const INSTANCES: u64 = 2_000;
/// The jobs that have a deadline, as a pattern and one by one.
const DUE_JOBS: (&str, [&str; 3]) = ("etl_0[5-7]", ["etl_05", "etl_06", "etl_07"]);

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
    /// Those that end well before the digest, and ten minutes after the deadline.
    to_come: Vec<SimInstance>,
    /// Runs that do not keep the deadline, by id: whether they have come in the end.
    late: BTreeMap<String, bool>,
}

/// A run as the truth knows it.
struct Planned {
    plan: Timestamp,
    id: u64,
    status: &'static str,
    comes_late: bool,
}

/// Fills a workspace with a day, and counts what it put in and what will have come of it some time after `deadline`.
async fn day(now: Timestamp, deadline: Timestamp) -> Truth {
    let config = SimConfig { token: Some("t".to_string()), ..SimConfig::default() };
    let workspace = SimWorkspace::start(config, Arc::new(SystemClock)).await.unwrap();
    let mut truth = Truth {
        workspace,
        ended: BTreeMap::new(),
        by_status: BTreeMap::new(),
        open: BTreeMap::new(),
        broken: Vec::new(),
        by_hour: BTreeMap::new(),
        to_come: Vec::new(),
        late: BTreeMap::new(),
    };
    let mut latest: BTreeMap<String, Vec<Planned>> = BTreeMap::new();
    for id in 0..INSTANCES {
        // A state that has nothing to do with the job's number, and a job that comes up every 90 instances or so.
        let (word, status, outcome) = STATES[(id * 7 + id / 13) as usize % STATES.len()];
        let job = format!("etl_{:02}", id % 89);
        let ago = |minutes: u64| now - SignedDuration::from_mins(i64::try_from(minutes).unwrap());
        // Planned over 23 hours, each at a minute of its own for its job.
        let plan = ago(1400 - id * 1380 / INSTANCES);
        let comes_late = status == "running" && id % 2 == 0;
        let (status, outcome) = if comes_late { ("success", "ok") } else { (status, outcome) };
        let ended = match comes_late {
            true => deadline + SignedDuration::from_mins(10),
            false => plan + SignedDuration::from_mins(3 + i64::try_from(id % 11).unwrap()),
        };
        let waiting = SimInstance::waiting(&job, 10_000 + id, plan);
        let instance = match outcome {
            _ if comes_late => {
                truth.to_come.push(waiting.clone().ended("success", ended));
                waiting.running()
            }
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
        latest.entry(job).or_default().push(Planned { plan, id: 10_000 + id, status, comes_late });
    }
    for (job, mut runs) in latest {
        runs.sort_by_key(|run| run.plan);
        let last_success = runs.iter().rposition(|run| run.status == "success");
        let after = &runs[last_success.map_or(0, |at| at + 1)..];
        if after.iter().any(|run| ["fail", "running-exception"].contains(&run.status)) {
            truth.broken.push(job.clone());
        }
        if DUE_JOBS.1.contains(&job.as_str()) {
            truth.late.extend(late(&runs));
        }
    }
    truth
}

/// Which runs of a job do not keep its deadline, by id: those that did not succeed, unless they are over and a later run
/// did their work; with them, whether they came after all, or a later run that did the work of one that is over.
fn late(runs: &[Planned]) -> impl Iterator<Item = (String, bool)> {
    let in_time = |run: &Planned| run.status == "success" && !run.comes_late;
    runs.iter().enumerate().filter_map(move |(place, run)| {
        let is_over = ["fail", "manual-stop", "skip"].contains(&run.status);
        let is_made_good = is_over && runs[place + 1..].iter().any(in_time);
        let has_come = run.comes_late || is_over && runs[place + 1..].iter().any(|later| later.comes_late);
        (!in_time(run) && !is_made_good).then(|| (run.id.to_string(), has_come))
    })
}

#[tokio::test]
async fn the_numbers_are_those_of_an_independent_count() {
    let now = SystemClock.now();
    let clock = ManualClock::at(now);
    // The full minute about half an hour from now, between the two cycles.
    let deadline = Timestamp::from_second((now.as_second() / 60 + 30) * 60).unwrap();
    let truth = day(now, deadline).await;
    let place = Place::new();
    let text = format!(
        "version: 1\nstore: {}\nsources:\n  warehouse:\n    type: dataarts\n    endpoint: {}\n    \
         project_id: {}\n    requests_per_second: 1000\n    auth: {{ token: t }}\nreceivers:\n  \
         hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\nrules:\n  \
         done: {{ match: {{ job: \"{}\" }}, when: {{ not_finished_by: \"{}\" }}, notify: [hook] }}\n  \
         there: {{ match: {{ source: warehouse, job: forgotten }}, when: {{ missing: {{ schedule: \"{} * * *\", \
         grace: 1m }} }}, notify: [hook] }}\ndigests:\n  day: {{ schedule: \"0 * * * *\", notify: [hook] }}\n",
        place.url(),
        truth.workspace.endpoint(),
        truth.workspace.config().project_id,
        DUE_JOBS.0,
        deadline.strftime("%H:%M"),
        deadline.strftime("%-M %-H"),
    );
    let config =
        Config::from_text(text, "rules.yaml", place.directory.path(), &LoadOptions { offline: true }).unwrap().config;
    // The first cycle begins the digest and reads the day; a second one, an hour on, makes it.
    for _ in 0..2 {
        place.hold_clock(clock.now());
        let app = App::open(&config, Arc::new(clock.clone())).await.unwrap();
        app.run_once().await.unwrap();
        clock.set(clock.now() + SignedDuration::from_hours(1));
        truth.workspace.put_all(truth.to_come.clone());
    }
    let store = SqlStore::open(&config.store, Mode::Read).await.unwrap();
    let deliveries = store.deliveries(1000).await.unwrap();
    let digests: Vec<_> = deliveries.iter().filter(|it| it.kind == MessageKind::Digest).collect();
    assert_eq!(digests.len(), 1);
    let body: serde_json::Value = serde_json::from_str(digests[0].content.part("body")).unwrap();
    let digest: DigestFacts = serde_json::from_value(body["data"].clone()).unwrap();
    compare(&digest, &truth);
    compare_breaches(&digest, &truth, deadline);
}

fn compare_breaches(digest: &DigestFacts, truth: &Truth, deadline: Timestamp) {
    let milliseconds =
        |from: Timestamp, until: Timestamp| u64::try_from(until.duration_since(from).as_millis()).unwrap();
    let so_far = milliseconds(deadline, digest.period.until);
    let mut expected: BTreeMap<String, (bool, u64)> = truth
        .late
        .iter()
        .map(|(id, has_come)| (id.clone(), if *has_come { (false, 10 * 60_000) } else { (true, so_far) }))
        .collect();
    // The job that was never there has no run.
    expected.insert(String::new(), (true, so_far));
    let told: BTreeMap<String, (bool, u64)> = digest
        .breaches
        .shown
        .iter()
        .map(|part| (part.instance.clone(), (part.is_running, part.over_ms.unwrap())))
        .collect();
    // A webhook body keeps to 20 kB: it shows the first of them, and counts all.
    assert!(told.len() >= 10 && told.iter().all(|(id, how)| expected.get(id) == Some(how)), "{told:?} of {expected:?}");
    assert_eq!(digest.breaches.total, expected.len() as u64);
    let have_come = truth.late.values().filter(|has_come| **has_come).count();
    assert!(have_come > 0 && have_come < truth.late.len(), "{have_come} of {}", truth.late.len());
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
