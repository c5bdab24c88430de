//! Lanes on a real store and a real HTTP sink on loopback. Time is moved by hand; days of retries take milliseconds.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::http::{HttpClient, HttpError, HttpSettings};
use nightbell::limits::LANE_CLAIM_PER_ATTEMPT;
use nightbell::model::{Attempt, AttemptOutcome, Delivery, DeliveryState, ReceiverId};
use nightbell::notify::Notifier;
use nightbell::store::{Mode, PollCommit, SqlStore, Store as _};
use nightbell::worker::deliver::{Lane, Progress};
use nightbell::worker::housekeeping;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::sample::{Place, at, commit, delivery, resolution};

/// What the sink answers to a message.
#[derive(Clone)]
enum Reply {
    /// A status and perhaps a `Retry-After`, in seconds.
    Status(u16, Option<u64>),
    /// Not before the gate opens.
    Held(Arc<Semaphore>),
    /// Never.
    Silence,
}

const OK: Reply = Reply::Status(200, None);

/// A receiver on loopback: notes every message and answers as it is told.
struct Sink {
    url: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Sink {
    /// A sink that answers the `n`-th message (from 0) of `id` with `reply(n, id)`.
    async fn new(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Sink {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (log, counts) = (Arc::clone(&seen), Arc::new(Mutex::new(HashMap::<String, usize>::new())));
        let reply = Arc::new(reply);
        let take = move |headers: axum::http::HeaderMap, body: String| {
            let id = headers["webhook-id"].to_str().unwrap().to_string();
            let count = {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(id.clone()).or_default();
                *count += 1;
                *count - 1
            };
            let reply = reply(count, &id);
            log.lock().unwrap().push((id, body));
            async move {
                let (status, retry_after) = match reply {
                    Reply::Status(status, retry_after) => (status, retry_after),
                    Reply::Held(gate) => {
                        gate.acquire().await.unwrap().forget();
                        (200, None)
                    }
                    Reply::Silence => std::future::pending().await,
                };
                let mut headers = axum::http::HeaderMap::new();
                if let Some(seconds) = retry_after {
                    headers.insert("retry-after", seconds.into());
                }
                (axum::http::StatusCode::from_u16(status).unwrap(), headers)
            }
        };
        let app = axum::Router::new().route("/hook", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Sink { url, seen }
    }

    /// The ids that arrived, in order.
    fn ids(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    /// How often each id arrived.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for id in self.ids() {
            *counts.entry(id).or_default() += 1;
        }
        counts
    }

    async fn until(&self, messages: usize) {
        until(|| self.seen.lock().unwrap().len() >= messages).await;
    }
}

/// Waits for something that other tasks bring about; gives up after a time that only a broken program takes.
async fn until(mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not come about");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A webhook in a few lines.
struct Hook {
    client: HttpClient,
    url: String,
    concurrency: usize,
    under_way: Arc<AtomicUsize>,
}

impl Hook {
    fn new(sink: &Sink, concurrency: usize) -> Hook {
        let client = HttpClient::new(&HttpSettings::default()).unwrap();
        Hook { client, url: sink.url.clone(), concurrency, under_way: Arc::default() }
    }
}

impl Notifier for Hook {
    async fn send(&self, delivery: &Delivery, _now: Timestamp) -> Attempt {
        assert!(delivery.content.part("body") != "body of panic", "a notifier that breaks down");
        assert!(self.under_way.fetch_add(1, Ordering::SeqCst) < self.concurrency, "more at once than it said");
        let body = delivery.content.part("body").to_string();
        let request = self.client.inner().post(&self.url).header("webhook-id", delivery.id.as_str()).body(body);
        let answer = self.client.send(request.build().unwrap(), Duration::from_secs(600), 1024).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        match answer {
            Ok(answer) if answer.is_success() => Attempt::delivered(answer.status.to_string()),
            Ok(answer) => {
                let outcome = match answer.status {
                    429 => AttemptOutcome::Throttled,
                    401 => AttemptOutcome::Unauthorized,
                    400..=499 => AttemptOutcome::Rejected,
                    _ => AttemptOutcome::Retry,
                };
                let status = answer.status.to_string();
                let mut attempt = Attempt::failed(outcome, Some(status.clone()), format!("answered {status}"));
                let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
                attempt.retry_after = seconds.map(Duration::from_secs);
                attempt
            }
            Err(HttpError::Timeout(_)) => Attempt::failed(AttemptOutcome::Uncertain, None, "no answer"),
            Err(error) => Attempt::failed(AttemptOutcome::Retry, None, error.to_string()),
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

fn pager() -> ReceiverId {
    ReceiverId::new("pager")
}

fn lane_to(receiver: &str, store: &Arc<SqlStore>, hook: Hook, clock: &ManualClock) -> Lane<SqlStore, Hook> {
    Lane::new(ReceiverId::new(receiver), Arc::clone(store), Arc::new(hook), Arc::new(clock.clone()), Box::new(|| 0.5))
}

fn lane(store: &Arc<SqlStore>, sink: &Sink, concurrency: usize, clock: &ManualClock) -> Lane<SqlStore, Hook> {
    lane_to("pager", store, Hook::new(sink, concurrency), clock)
}

async fn owing(place: &Place, deliveries: Vec<Delivery>) -> Arc<SqlStore> {
    let store = place.open().await;
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    Arc::new(store)
}

async fn states(store: &SqlStore) -> BTreeMap<String, (DeliveryState, u32)> {
    let deliveries = store.deliveries(100_000).await.unwrap();
    deliveries.into_iter().map(|one| (one.id.to_string(), (one.state, one.attempts))).collect()
}

fn numbered(count: usize) -> Vec<Delivery> {
    (0..count).map(|number| delivery(&format!("d{number:05}"), "pager")).collect()
}

#[tokio::test]
async fn a_day_of_failures_keeps_to_the_schedule_and_ends() {
    let place = Place::new();
    let sink = Sink::new(|_, _| Reply::Status(503, None)).await;
    let store = owing(&place, vec![delivery("d1", "pager")]).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 4, &clock);
    let (mut seconds, mut now) = (Vec::new(), at(0));
    loop {
        clock.set(now);
        let progress = lane.attempt_due(now).await.unwrap();
        assert_eq!(progress.attempted, 1, "at {now}");
        seconds.push(now.duration_since(at(0)).as_secs());
        let Some(next) = store.next_due(&pager()).await.unwrap() else { break };
        let early = next - Duration::from_millis(1);
        clock.set(early);
        assert_eq!(lane.attempt_due(early).await.unwrap(), Progress::default(), "an attempt before its time");
        now = next;
    }
    let mut promised = vec![0, 5, 30, 120, 600, 1800];
    promised.extend((1..=23).map(|hour| 1800 + hour * 3600));
    assert_eq!(seconds, promised);
    let end = store.deliveries(1).await.unwrap().remove(0);
    assert_eq!((end.state, end.attempts), (DeliveryState::Dead, 29));
    assert_eq!(end.last_error.unwrap(), "given up after 29 attempts within 24 h; the last: answered 503");
    let seen = sink.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|message| *message == ("d1".to_string(), "body of d1".to_string())), "{seen:?}");
}

#[tokio::test]
async fn a_restart_goes_on_with_the_schedule() {
    let place = Place::new();
    let sink = Sink::new(|count, _| if count == 0 { Reply::Status(500, None) } else { OK }).await;
    let clock = ManualClock::at(at(0));
    let store = owing(&place, vec![delivery("d1", "pager")]).await;
    lane(&store, &sink, 1, &clock).attempt_due(at(0)).await.unwrap();
    drop(store);
    let store = Arc::new(place.open().await);
    let mut lane = lane(&store, &sink, 1, &clock);
    assert_eq!(lane.attempt_due(at(4)).await.unwrap().attempted, 0);
    assert_eq!(lane.attempt_due(at(5)).await.unwrap().delivered, 1);
    assert_eq!(states(&store).await["d1"], (DeliveryState::Delivered, 2));
}

#[tokio::test]
async fn one_pass_attempts_each_due_delivery_once_and_says_what_is_left() {
    let place = Place::new();
    let sink = Sink::new(|_, id| match id {
        "busy" => Reply::Status(503, None),
        "wrong" => Reply::Status(404, None),
        "locked" => Reply::Status(401, None),
        _ => OK,
    })
    .await;
    let mut later = delivery("later", "pager");
    later.next_attempt_at = Some(at(1));
    let mut deliveries =
        vec![later, resolution("busy-over", "pager", "busy"), resolution("fine-over", "pager", "fine")];
    deliveries.extend(["busy", "wrong", "locked", "fine"].map(|id| delivery(id, "pager")));
    let store = owing(&place, deliveries).await;
    let progress = lane(&store, &sink, 4, &ManualClock::at(at(0))).attempt_due(at(0)).await.unwrap();
    // Owed still: `busy` and `locked` again later, `busy-over` after `busy`.
    assert_eq!(progress, Progress { attempted: 5, delivered: 2, dead: 1, left_due: 3 });
    let next: BTreeMap<String, Option<Timestamp>> =
        store.deliveries(9).await.unwrap().into_iter().map(|one| (one.id.to_string(), one.next_attempt_at)).collect();
    assert_eq!((next["busy"], next["locked"], next["wrong"]), (Some(at(5)), Some(at(3600)), None));
    assert_eq!(sink.counts().len(), 5);
}

#[tokio::test]
async fn a_resolution_arrives_after_its_firing() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let mut deliveries = Vec::new();
    for number in 0..50 {
        // The ids sort the resolutions before their firings.
        deliveries.push(resolution(&format!("a-over-{number}"), "pager", &format!("b-firing-{number}")));
        deliveries.push(delivery(&format!("b-firing-{number}"), "pager"));
    }
    let store = owing(&place, deliveries).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane(&store, &sink, 8, &ManualClock::at(at(0))).run(stop.clone()));
    sink.until(100).await;
    stop.cancel();
    running.await.unwrap();
    let ids = sink.ids();
    let place_of = |id: String| ids.iter().position(|seen| *seen == id).unwrap();
    for number in 0..50 {
        assert!(place_of(format!("b-firing-{number}")) < place_of(format!("a-over-{number}")), "{ids:?}");
    }
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn a_channel_that_asks_for_a_pause_gets_it_for_the_whole_lane() {
    let place = Place::new();
    let sink = Sink::new(|count, id| match (id, count) {
        ("d00000", 0 | 1) => Reply::Status(429, Some(60)),
        _ => OK,
    })
    .await;
    let store = owing(&place, numbered(6)).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 1, &clock);
    let progress = lane.attempt_due(at(0)).await.unwrap();
    assert_eq!(progress, Progress { attempted: 1, delivered: 0, dead: 0, left_due: 6 });
    clock.set(at(59));
    assert_eq!(lane.attempt_due(at(59)).await.unwrap(), Progress { left_due: 5, ..Progress::default() });
    clock.set(at(60));
    // The one that was refused is due last now; the five others go first, and it is refused once more.
    assert_eq!(lane.attempt_due(at(60)).await.unwrap(), Progress { attempted: 6, delivered: 5, dead: 0, left_due: 1 });
    clock.set(at(120));
    assert_eq!(lane.attempt_due(at(120)).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn after_a_pause_a_busy_channel_is_asked_once() {
    let place = Place::new();
    let sink = Sink::new(|_, _| Reply::Status(429, Some(60))).await;
    let store = owing(&place, numbered(40)).await;
    let clock = ManualClock::at(at(0));
    let mut lane = lane(&store, &sink, 8, &clock);
    lane.attempt_due(at(0)).await.unwrap();
    assert!((1..=8).contains(&sink.ids().len()), "no more than were under way at once");
    for minute in 1..=5 {
        let before = sink.ids().len();
        clock.set(at(minute * 61));
        lane.attempt_due(at(minute * 61)).await.unwrap();
        assert_eq!(sink.ids().len() - before, 1, "minute {minute}");
    }
}

#[tokio::test]
async fn a_running_lane_pauses_and_goes_on() {
    let place = Place::new();
    let sink =
        Sink::new(|count, id| if id == "d00000" && count == 0 { Reply::Status(429, Some(600)) } else { OK }).await;
    let store = owing(&place, numbered(20)).await;
    let clock = ManualClock::at(at(0));
    let (lane, stop) = (lane(&store, &sink, 1, &clock), CancellationToken::new());
    let nudge = lane.nudge();
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(1).await;
    // What was claimed ahead is given back while the channel is left alone.
    let reader = SqlStore::open(&place.url(), Mode::Read).await.unwrap();
    let began = Instant::now();
    while reader.next_due(&pager()).await.unwrap() != Some(at(0)) {
        assert!(began.elapsed() < Duration::from_secs(60), "the claims were kept");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(sink.ids().len(), 1);
    clock.set(at(601));
    nudge.notify_one();
    sink.until(21).await;
    stop.cancel();
    running.await.unwrap();
    assert!(states(&store).await.values().all(|(state, _)| *state == DeliveryState::Delivered));
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_no_other() {
    let place = Place::new();
    let hanging = Sink::new(|_, _| Reply::Silence).await;
    let healthy = Sink::new(|_, _| OK).await;
    let mut deliveries = numbered(200);
    deliveries.extend((0..200).map(|number| delivery(&format!("t{number}"), "team")));
    let store = owing(&place, deliveries).await;
    let (clock, stop) = (ManualClock::at(at(0)), CancellationToken::new());
    let stuck = tokio::spawn(lane(&store, &hanging, 4, &clock).run(stop.clone()));
    hanging.until(4).await;
    let began = Instant::now();
    let fine = tokio::spawn(lane_to("team", &store, Hook::new(&healthy, 4), &clock).run(stop.clone()));
    healthy.until(200).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(hanging.ids().len(), 4, "no more than may be under way");
    stop.cancel();
    fine.await.unwrap();
    assert!(!stuck.is_finished(), "it waits for what is under way");
    stuck.abort();
    assert!(
        states(&store)
            .await
            .iter()
            .filter(|(id, _)| id.starts_with('t'))
            .all(|(_, state)| state.0 == DeliveryState::Delivered)
    );
}

#[tokio::test]
async fn a_notifier_that_breaks_down_does_not_kill_its_lane() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let mut deliveries = numbered(3);
    deliveries.push(delivery("panic", "pager"));
    let store = owing(&place, deliveries).await;
    let (lane, stop) = (lane(&store, &sink, 2, &ManualClock::at(at(0))), CancellationToken::new());
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(3).await;
    let began = Instant::now();
    while states(&store).await["panic"].1 == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the attempt was never settled");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(states(&store).await["panic"], (DeliveryState::Pending, 1));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_nudge_wakes_an_idle_lane() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = owing(&place, numbered(1)).await;
    let (lane, stop) = (lane(&store, &sink, 2, &ManualClock::at(at(0))), CancellationToken::new());
    let nudge = lane.nudge();
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(1).await;
    let deliveries = vec![delivery("news", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(1) }).await.unwrap();
    nudge.notify_one();
    sink.until(2).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(sink.ids(), ["d00000", "news"]);
}

#[tokio::test]
async fn a_stopping_lane_finishes_what_is_under_way_and_gives_back_the_rest() {
    let place = Place::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let sink = Sink::new(move |_, _| Reply::Held(Arc::clone(&held))).await;
    let store = owing(&place, numbered(100)).await;
    let (clock, stop) = (ManualClock::at(at(0)), CancellationToken::new());
    let running = tokio::spawn(lane(&store, &sink, 4, &clock).run(stop.clone()));
    sink.until(4).await;
    stop.cancel();
    gate.add_permits(1000);
    running.await.unwrap();
    let states = states(&store).await;
    assert_eq!(states.values().filter(|state| **state == (DeliveryState::Delivered, 1)).count(), 4);
    assert_eq!(states.values().filter(|state| **state == (DeliveryState::Pending, 0)).count(), 96);
    assert_eq!(store.reclaim(at(1)).await.unwrap(), 0, "no claim is left behind");
    lane(&store, &sink, 4, &clock).attempt_due(at(1)).await.unwrap();
    assert!(sink.counts().len() == 100 && sink.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn what_a_killed_process_had_begun_is_sent_again_under_the_same_id() {
    let place = Place::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let sink = Sink::new(move |count, _| if count == 0 { Reply::Held(Arc::clone(&held)) } else { OK }).await;
    let store = owing(&place, numbered(6)).await;
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
    let pool = sqlx::AnyPool::connect(&format!("{}?mode=rw", place.url())).await.unwrap();
    let statement = if fails {
        "CREATE TRIGGER trouble BEFORE INSERT ON attempt BEGIN SELECT RAISE(ABORT, 'trouble'); END"
    } else {
        "DROP TRIGGER trouble"
    };
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn an_outcome_that_could_not_be_stored_is_stored_later_and_not_sent_again() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = owing(&place, numbered(5)).await;
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
    let store = owing(&place, numbered(50)).await;
    settling_fails(&place, true).await;
    let (lane, stop) = (lane(&store, &sink, 2, &ManualClock::at(at(0))), CancellationToken::new());
    let running = tokio::spawn(lane.run(stop.clone()));
    sink.until(2).await;
    settling_fails(&place, false).await;
    sink.until(50).await;
    stop.cancel();
    running.await.unwrap();
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Delivered, 1)));
    assert!(sink.counts().values().all(|count| *count == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_deliveries_arrive_exactly_once() {
    let place = Place::new();
    let sink = Sink::new(|_, _| OK).await;
    let store = owing(&place, numbered(10_000)).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(lane(&store, &sink, 32, &ManualClock::at(at(0))).run(stop.clone()));
    sink.until(10_000).await;
    stop.cancel();
    running.await.unwrap();
    let counts = sink.counts();
    assert!(counts.len() == 10_000 && counts.values().all(|count| *count == 1));
    assert!(states(&store).await.values().all(|state| *state == (DeliveryState::Delivered, 1)));
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
    let more: Vec<Delivery> = (0..5000).map(|number| delivery(&format!("m{number}"), "pager")).collect();
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

#[tokio::test]
async fn housekeeping_purges_at_the_start() {
    let place = Place::new();
    let mut over = delivery("over", "pager");
    over.state = DeliveryState::Delivered;
    let store = owing(&place, vec![over, delivery("owed", "pager")]).await;
    let month = 31 * 24 * 3600;
    assert_eq!(housekeeping::purge(&*store, at(month - 2 * 24 * 3600)).await.unwrap(), 0);
    let stop = CancellationToken::new();
    let clock = Arc::new(ManualClock::at(at(month + 1)));
    let running = tokio::spawn(housekeeping::run(Arc::clone(&store), clock, stop.clone()));
    let began = Instant::now();
    while states(&store).await.len() > 1 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was purged");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert!(states(&store).await.contains_key("owed"));
}

/// The other half of `nothing_is_lost_to_kills`: a process that delivers what is owed, until it is done or killed.
#[tokio::test]
#[ignore = "is run as a process of its own by another test"]
async fn deliver_until_killed() {
    let (Ok(url), Ok(sink)) = (std::env::var("NIGHTBELL_TEST_STORE"), std::env::var("NIGHTBELL_TEST_SINK")) else {
        return;
    };
    let store = Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap());
    let clock = ManualClock::at(at(100));
    store.reclaim(at(100)).await.unwrap();
    println!("ready");
    let client = HttpClient::new(&HttpSettings::default()).unwrap();
    let hook = Hook { client, url: sink, concurrency: 4, under_way: Arc::default() };
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
    owing(&place, numbered(3000)).await.close().await;
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["deliver::deliver_until_killed", "--exact", "--ignored", "--nocapture"])
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
