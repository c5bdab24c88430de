//! Lanes under trouble: processes that are killed, stores that fail, disks that are full or read-only.

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::limits::LANE_CLAIM_PER_ATTEMPT;
use nightbell::model::{Attempt, Delivery, DeliveryState, Notification, Severity};
use nightbell::notify::Notifier;
use nightbell::store::{Deliveries as _, Mode, Outbox as _, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::deliver::{Lane, Progress};
use nightbell::worker::turn::Statuses;
use sqlx::Row as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::sample::{Place, at, commit, delivery, is_on_server};
use super::super::store::meddle;
use super::flood::{self, World};
use super::sink::{Hook, OK, Reply, Sink, until};
use super::{lane, lane_to, numbered, pager, states, with_pending};

#[tokio::test]
async fn what_a_killed_process_had_begun_is_sent_again_under_the_same_id() {
    let place = Place::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let sink = Sink::new(move |count, _| if count == 0 { Reply::Held(Arc::clone(&held)) } else { OK }).await;
    let store = with_pending(&place, numbered(6)).await;
    let clock = ManualClock::at(at(0));
    let running = tokio::spawn(lane(&store, &sink, 3, &clock).run(CancellationToken::new()));
    sink.until(3).await;
    running.abort();
    drop(running.await);
    drop(store);
    gate.add_permits(1000);

    // The file's lock goes with the last of its users; attempts under way held on to nothing of it.
    let store = Arc::new(place.open().await);
    assert_eq!(store.reclaim(at(9)).await.unwrap(), 6);
    clock.set(at(9));
    let progress = lane(&store, &sink, 3, &clock).attempt_due(at(9)).await.unwrap();
    assert_eq!(progress, Progress { attempted: 6, delivered: 6, dead: 0, left_due: 0 });
    let counts = sink.counts();
    assert_eq!(counts.values().sum::<usize>(), 9, "{counts:?}");
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Delivered, 2)));
}

/// Makes every settlement fail, or lets it work again: a database error like any other.
async fn settling_fails(place: &Place, fails: bool) {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&place.raw_url()).await.unwrap();
    let statement = match (fails, is_on_server()) {
        (true, false) => "CREATE TRIGGER trouble BEFORE INSERT ON attempt BEGIN SELECT RAISE(ABORT, 'trouble'); END",
        (false, false) => "DROP TRIGGER trouble",
        (true, true) => {
            "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trouble''; END'; \
             CREATE TRIGGER trouble BEFORE INSERT ON attempt FOR EACH ROW EXECUTE FUNCTION trouble()"
        }
        (false, true) => "DROP TRIGGER trouble ON attempt; DROP FUNCTION trouble()",
    };
    sqlx::raw_sql(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn an_outcome_that_could_not_be_stored_is_stored_later_and_not_sent_again() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = with_pending(&place, numbered(5)).await;
    let mut lane = lane(&store, &sink, 2, &ManualClock::at(at(0)));
    settling_fails(&place, true).await;
    let error = lane.attempt_due(at(0)).await.unwrap_err();
    assert!(error.to_string().contains("trouble"), "{error}");
    assert!(lane.attempt_due(at(0)).await.is_err());
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Pending, 0)));
    settling_fails(&place, false).await;
    assert_eq!(lane.attempt_due(at(0)).await.unwrap(), Progress::default());
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Delivered, 1)));
    assert_eq!(sink.ids().len(), 5);
}

#[tokio::test]
async fn a_running_lane_outlives_a_failing_store() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = with_pending(&place, numbered(50)).await;
    settling_fails(&place, true).await;
    let (statuses, stop) = (Statuses::default(), CancellationToken::new());
    let lane = lane(&store, &sink, 2, &ManualClock::at(at(0))).publishing(&statuses);
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(2).await;
    let failing = || statuses.get("deliver/pager").unwrap().failing;
    until(|| failing().is_some()).await;
    assert!(failing().unwrap().error.contains("trouble"), "{:?}", failing());
    settling_fails(&place, false).await;
    sink.until(50).await;
    until(|| failing().is_none()).await;
    stop.cancel();
    running.await.unwrap();
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Delivered, 1)));
    assert!(sink.counts().values().all(|count| *count == 1));
}

/// A file system of 12 MB in memory. None where this process may not mount, which the test says aloud.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=12m", "tmpfs"], directory.path());
        if !mounted {
            eprintln!("SKIPPED: mounting a small file system needs root");
        }
        mounted.then_some(SmallDisk(directory))
    }

    fn url(&self) -> String {
        format!("sqlite://{}/nightbell.db", self.0.path().display())
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.path().join("ballast")).unwrap();
        while std::io::Write::write_all(&mut ballast, &[0; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    Command::new("mount").args(arguments).arg(path).output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_sends_nothing_twice() {
    let Some(disk) = SmallDisk::new() else { return };
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let sink = Sink::new(move |_, _| Reply::Held(Arc::clone(&held))).await;
    let store = Arc::new(SqlStore::open(&disk.url(), Mode::Work).await.unwrap());
    store.commit_poll(&PollCommit { deliveries: numbered(500), ..commit(0) }).await.unwrap();
    let (lane, stop) = (lane(&store, &sink, 4, &ManualClock::at(at(0))), CancellationToken::new());
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(4).await;
    disk.fill();
    gate.add_permits(10_000);
    // Once an outcome could not be stored, nothing more goes out: what would else arrive within milliseconds.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sent = sink.ids().len();
    assert!((4..500).contains(&sent), "{sent} messages on a full disk");
    let more: Vec<Notification> = (0..5000).map(|number| delivery(&format!("m{number}"), "pager")).collect();
    let refused = store.commit_poll(&PollCommit { deliveries: more.clone(), ..commit(1) }).await.unwrap_err();
    assert!(refused.to_string().contains("full"), "{refused}");
    assert_eq!(store.generation(&commit(0).source).await.unwrap(), 1, "the cursor did not move");
    assert_eq!(sink.ids().len(), sent);
    std::fs::remove_file(disk.0.path().join("ballast")).unwrap();
    sink.until(500).await;
    store.commit_poll(&PollCommit { deliveries: more[..200].to_vec(), ..commit(1) }).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    assert!(sink.counts().values().all(|count| *count == 1));
    let delivered = states(&store).await.into_values().filter(|state| *state == (DeliveryState::Delivered, 1)).count();
    assert_eq!(delivered, sink.ids().len());
}

#[tokio::test]
async fn a_disk_that_turns_read_only_stops_the_work_until_it_is_writable() {
    let Some(disk) = SmallDisk::new() else { return };
    let sink = Sink::new(|_, _| OK).await;
    let store = Arc::new(SqlStore::open(&disk.url(), Mode::Work).await.unwrap());
    store.commit_poll(&PollCommit { deliveries: numbered(5), ..commit(0) }).await.unwrap();
    store.close().await;
    drop(store);
    assert!(mount(&["-o", "remount,ro"], disk.0.path()));
    let refused = SqlStore::open(&disk.url(), Mode::Work).await.unwrap_err().to_string();
    assert!(refused.contains(&disk.0.path().display().to_string()) && refused.contains("ead-only"), "{refused}");
    assert!(mount(&["-o", "remount,rw"], disk.0.path()));
    let store = Arc::new(SqlStore::open(&disk.url(), Mode::Work).await.unwrap());
    let progress = lane(&store, &sink, 2, &ManualClock::at(at(0))).attempt_due(at(0)).await.unwrap();
    assert_eq!(progress.delivered, 5);
}

/// The other half of `nothing_is_lost_to_kills`: a process that delivers what is pending, until it is done or killed. By
/// itself, without the variables that the other half sets, it has nothing to do.
#[tokio::test]
async fn deliver_until_killed() {
    let (Ok(url), Ok(sink)) = (std::env::var("NIGHTBELL_TEST_STORE"), std::env::var("NIGHTBELL_TEST_SINK")) else {
        return;
    };
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let clock = ManualClock::at(at(100));
    store.reclaim(at(100)).await.unwrap();
    println!("ready");
    let hook = Hook::new(&sink, 4);
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane_to("pager", &store, hook, &clock).run(stop.clone()));
    while store.count_due(&pager(), at(100)).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_to_kills() {
    let seed = match std::env::var("NIGHTBELL_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
    };
    println!("NIGHTBELL_TEST_SEED={seed}");
    let mut random: u64 = seed;
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    with_pending(&place, numbered(3000)).await.close().await;
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["deliver::faults::deliver_until_killed", "--exact", "--nocapture"])
            .env("NIGHTBELL_TEST_STORE", place.url())
            .env("NIGHTBELL_TEST_SINK", &sink.url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            output.any(|line| line.unwrap().contains("ready")),
            "after {kills} kills the store could not be opened"
        );
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if kills < 20 {
            tokio::time::sleep(Duration::from_millis((random >> 33) % 60)).await;
            child.kill().unwrap();
        }
        for _ in output {}
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
    }
    let store = place.open().await;
    assert!(states(&store).await.values().all(|(state, _)| *state == DeliveryState::Delivered));
    let counts = sink.counts();
    assert_eq!(counts.len(), 3000, "lost by {kills} kills");
    let twice = counts.values().sum::<usize>() - 3000;
    // Of what a kill interrupts, what was sent and not yet settled comes again.
    assert!(twice <= kills * 4 * LANE_CLAIM_PER_ATTEMPT, "{twice} repeats by {kills} kills");
    for (id, body) in sink.seen.lock().unwrap().iter() {
        assert_eq!(*body, format!("body of {id}"), "a repeat has the same bytes");
    }
    println!("{kills} kills, {twice} repeats");
}

/// Breaks down in a way that takes the attempt's task with it.
struct Exploding;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("what was thrown explodes");
        }
    }
}

impl Notifier for Exploding {
    async fn send(&self, _: &Delivery, _: Timestamp) -> Attempt {
        std::panic::panic_any(Bomb)
    }

    fn concurrency(&self) -> usize {
        1
    }
}

#[tokio::test]
async fn the_claim_of_an_attempt_that_was_lost_is_given_up() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = with_pending(&place, numbered(1)).await;
    let clock = ManualClock::at(at(0));
    let timer = Arc::new(clock.clone());
    let mut lost = Lane::new(pager(), Arc::clone(&store), Arc::new(Exploding), timer, Box::new(|| 0.5));
    assert_eq!(lost.attempt_due(at(0)).await.unwrap(), Progress { attempted: 1, left_due: 1, ..Progress::default() });
    let one = store.deliveries(1).await.unwrap().remove(0);
    assert_eq!((one.state, one.attempts, one.next_attempt_at), (DeliveryState::Pending, 1, Some(at(5))));
    // It may have arrived: it is sent again under the same id.
    clock.set(at(5));
    assert_eq!(lane(&store, &sink, 1, &clock).attempt_due(at(5)).await.unwrap().delivered, 1);
}

/// A lane to `slack` with one message of a kind that only a later version knows.
async fn with_an_unknown_kind() -> World {
    let mut world = World::new("slack", |_| (200, "ok")).await;
    world.fire(flood::numbered(0, 1, Severity::Error)).await;
    meddle(&world.place, "UPDATE delivery SET kind = 'from.the.future'").await;
    world
}

async fn is_dead(place: &Place) -> bool {
    let rows = meddle(place, "SELECT state, last_error FROM delivery").await;
    assert_eq!(rows.len(), 1);
    let (state, why): (String, Option<String>) = (rows[0].get(0), rows[0].get(1));
    assert_eq!(state == "dead", why.is_some(), "{state}: {why:?}");
    state == "dead"
}

#[tokio::test]
async fn a_message_of_an_unknown_kind_alone_in_a_limited_queue_dies() {
    let mut world = with_an_unknown_kind().await;
    assert_eq!(world.pass(0).await, Progress::default());
    assert!(is_dead(&world.place).await);
    assert!(world.store.next_due(&pager(), at(0)).await.unwrap().is_none(), "nothing is left to look at again");
}

/// The running lane does not spin on it, and goes on to what comes after.
#[tokio::test]
async fn a_running_lane_gets_over_a_message_of_an_unknown_kind() {
    let mut world = with_an_unknown_kind().await;
    let next = flood::numbered(1, 1, Severity::Error);
    let stop = CancellationToken::new();
    let fresh = flood::lane(&world.store, &world.settings, &world.renderer, &world.clock);
    let lane = std::mem::replace(&mut world.lane, fresh);
    let nudge = lane.nudge();
    let running = tokio::spawn(lane.run(stop.clone()));
    let began = std::time::Instant::now();
    while !is_dead(&world.place).await {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not die");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.fire(next).await;
    nudge.notify_one();
    super::sink::until(|| world.told.lock().unwrap().len() == 1).await;
    stop.cancel();
    running.await.unwrap();
}
