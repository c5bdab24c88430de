//! What a digest costs against the number of instances in the store: 10,000, 100,000 and a million, all of one period.
//!
//! `cargo bench --bench digest` prints milliseconds for one digest and for a thousand instances, and, of a process of its
//! own that does nothing else, the computing time, how that grows, and the most memory. A step is meant to take ten times
//! the computing time of the one before; how long it lasts depends on whatever else the machine does.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to say")]

use std::process::Command;
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nightbell::digest::Tally;
use nightbell::model::{
    Covered, DigestPart, Instance, InstanceType, JobRef, PeriodPart, PollOutcome, SourceId, Status,
};
use nightbell::store::{Digests as _, Mode, PollCommit, PollLedger as _, Since, SqlStore};

const SIZES: [i64; 3] = [10_000, 100_000, 1_000_000];
const BATCH: i64 = 10_000;
/// The argument by which the bench starts itself to measure one digest's memory.
const ONLY_READ: &str = "--only-read";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_219_200 + seconds).unwrap()
}

fn instance(number: i64) -> Instance {
    let status = match number % 50 {
        0 => Status::Fail,
        1 => Status::Running,
        _ => Status::Success,
    };
    let (start, duration) = (number % 86_400, 30 + number % 977);
    Instance {
        source: SourceId::new("warehouse"),
        id: format!("{}", 9_007_199_254_740_993 + number),
        job: JobRef { name: format!("etl_orders_{:04}", number % 2000), id: Some("608627".into()) },
        name: None,
        status,
        raw_status: status.as_str().into(),
        kind: InstanceType::Scheduled,
        plan_time: Some(at(start)),
        start_time: Some(at(start)),
        end_time: status.has_ended().then(|| at(start + duration)),
        error: None,
    }
}

async fn filled(url: &str, instances: i64) {
    let store = SqlStore::open(url, Mode::Work).await.unwrap();
    for batch in 0..instances / BATCH {
        let commit = PollCommit {
            source: SourceId::new("warehouse"),
            generation: batch,
            now: at(86_400 + batch),
            covered: Covered { until: Some(at(86_400 + batch)), ..Covered::default() },
            outcome: PollOutcome::Whole,
            incomplete: None,
            known_rules: None,
            instances: (batch * BATCH..(batch + 1) * BATCH).map(instance).collect(),
            fired: Vec::new(),
            changed: Vec::new(),
            deliveries: Vec::new(),
        };
        store.commit_poll(&commit).await.unwrap();
    }
    store.close().await;
}

/// Makes one digest of everything; returns how many instances it counted.
async fn read(url: &str) -> u64 {
    let store = SqlStore::open(url, Mode::Read).await.unwrap();
    let selects = Box::new(|_: &SourceId, _: &str, _| true);
    let mut tally = Tally::new([SourceId::new("warehouse")], selects, Default::default(), TimeZone::UTC, at(90_000));
    store.tally(Since::Sequence(i64::MIN), &mut tally).await.unwrap();
    let digest = DigestPart {
        name: "daily".into(),
        due_at: at(90_000),
        missed: 0,
        first_missed_at: None,
        preview: true,
        timezone: "UTC".into(),
    };
    let facts = tally.finish(digest, PeriodPart { from: at(0), until: at(90_000) });
    store.close().await;
    facts.totals.outcomes.ended
}

/// The most memory this process has taken so far, in MiB.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The computing time this process has taken so far, in milliseconds, to ten of them.
fn computed_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name stands in brackets and may hold anything; the 14th and 15th word count hundredths of a second.
    let words: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    words.iter().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>() * 10
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == ONLY_READ) {
        runtime.block_on(read(&arguments[place + 1]));
        println!("{} {}", computed_ms(), memory_mib());
        return;
    }
    let mut before = None;
    for size in SIZES {
        let directory = tempfile::tempdir_in(".").unwrap();
        let url = format!("sqlite://{}/bench.db", directory.path().canonicalize().unwrap().display());
        runtime.block_on(filled(&url, size));
        let mut best = f64::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            let ended = runtime.block_on(read(&url));
            assert_eq!(ended, u64::try_from(size - size / 50).unwrap());
            best = best.min(began.elapsed().as_secs_f64() * 1000.0);
        }
        let output = Command::new(std::env::current_exe().unwrap()).args([ONLY_READ, &url]).output().unwrap();
        let output = String::from_utf8_lossy(&output.stdout).trim().to_string();
        let (computed, memory) = output.split_once(' ').unwrap();
        let computed = computed.parse::<f64>().unwrap().max(10.0);
        let growth = before.map_or(String::new(), |before| format!(", {:.1} times the step before", computed / before));
        println!(
            "{size} instances: {best:.0} ms, {:.2} ms for 1,000; {computed:.0} ms of computing{growth}; {memory} MiB",
            best / size as f64 * 1000.0
        );
        before = Some(computed);
    }
}
