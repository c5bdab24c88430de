//! What a poll costs the store: 10,000 instances that are all new, all changed, and unchanged, and loading them again.
//!
//! `cargo bench --bench store` prints milliseconds, the best of five, each on a file of its own.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to say")]

use std::time::Instant;

use nightbell::model::{Instance, InstanceType, JobRef, PollOutcome, SourceId, Status};
use nightbell::store::{Mode, PollCommit, PollLedger as _, SqlStore};

const INSTANCES: i64 = 10_000;

fn instances(status: Status) -> Vec<Instance> {
    let at = |seconds| jiff::Timestamp::from_second(1_795_219_200 + seconds).ok();
    (0..INSTANCES)
        .map(|number| Instance {
            source: SourceId::new("warehouse"),
            id: format!("{}", 9_007_199_254_740_993 + number),
            job: JobRef {
                name: format!("etl_orders_{:03}", number % 500),
                id: Some(format!("{}", 608_000 + number % 500)),
            },
            name: Some(format!("etl_orders_{:03}_{number}", number % 500)),
            status,
            raw_status: status.as_str().into(),
            kind: InstanceType::Scheduled,
            plan_time: at(number),
            start_time: at(number + 1),
            end_time: at(number + 60).filter(|_| status.has_ended()),
            error: None,
        })
        .collect()
}

fn commit(generation: i64, instances: Vec<Instance>) -> PollCommit {
    PollCommit {
        source: SourceId::new("warehouse"),
        generation,
        now: jiff::Timestamp::UNIX_EPOCH,
        covered: Default::default(),
        outcome: PollOutcome::Whole,
        incomplete: None,
        known_rules: Some((0..200).map(|number| format!("rule-{number}")).collect()),
        instances,
        fired: Vec::new(),
        changed: Vec::new(),
        deliveries: Vec::new(),
    }
}

#[tokio::main]
async fn main() {
    let mut best = [f64::MAX; 4];
    for _ in 0..5 {
        let directory = tempfile::tempdir_in(".").unwrap();
        let url = format!("sqlite://{}/bench.db", directory.path().canonicalize().unwrap().display());
        let store = SqlStore::open(&url, Mode::Work).await.unwrap();
        let polls = [instances(Status::Running), instances(Status::Success), Vec::new()];
        for (generation, instances) in (0..).zip(polls) {
            let commit = commit(generation, instances);
            let began = Instant::now();
            store.commit_poll(&commit).await.unwrap();
            let index = usize::try_from(generation).unwrap();
            best[index] = best[index].min(began.elapsed().as_secs_f64() * 1000.0);
        }
        let listed = instances(Status::Success);
        let keys: Vec<_> = listed.iter().map(Instance::key).collect();
        let began = Instant::now();
        let source = SourceId::new("warehouse");
        let mut memory = store.load_source(&source).await.unwrap();
        memory.runs.learn(&store.snapshots(&source, &keys).await.unwrap(), []);
        assert_eq!(memory.runs.len(), 10_000);
        best[3] = best[3].min(began.elapsed().as_secs_f64() * 1000.0);
    }
    let [new, changed, unchanged, loaded] = best;
    println!(
        "{INSTANCES} instances: new {new:.1} ms, changed {changed:.1} ms, unchanged {unchanged:.1} ms, loaded {loaded:.1} ms"
    );
}
