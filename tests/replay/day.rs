//! A random day of the simulated workspace, polled as it goes by, and then played again from what was recorded.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::alert::identity::escalation_step;
use nightbell::app::recorded;
use nightbell::clock::{Clock as _, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Ack, Alert, AlertState, Concerns, Notification};
use nightbell::notify::Renderer;
use nightbell::sim::{Fault, SimConfig, SimInstance, SimWorkspace};
use nightbell::source::Source;
use nightbell::store::{Archive as _, Deliveries as _, Desk as _, NewSilence, SqlStore};
use nightbell::worker::escalation::Escalations;
use nightbell::worker::pending::{Receiver, Receivers};
use nightbell::worker::poll::{PollError, Poller};
use nightbell::worker::replay::Theatre;

use crate::sample::{Place, at};

const RULES: &str = r#"
  failed: { match: { job: "etl_*" }, when: { status: [fail, running-exception] }, severity: critical, notify: [{ to: hook }, { after: 38m, unless: acked, to: mail }, { after: 3h, to: hook }] }
  backfill: { match: { instance_type: backfill }, when: { status: fail }, severity: info, notify: [mail] }
  slow: { match: { job: ["etl_*", "load_*"] }, when: { status: running, duration: 45m }, severity: warning, notify: [hook] }
  waiting: { when: { status: waiting, duration: 30m }, notify: [hook] }
  row: { when: { consecutive: 3 }, notify: [hook] }
  rate: { match: { job: "load_*" }, when: { failure_rate: { over: 6, above: 40% } }, severity: warning, notify: [mail] }
  usual: { match: { job: "load_*" }, when: { slower_than_usual: { factor: 2, over: 7d, min_runs: 5 } }, notify: [hook] }
  late: { match: { source: warehouse, job: "etl_*" }, when: { not_finished_by: "06:30", warn_at: "06:00" }, notify: [hook, mail] }
  unstarted: { match: { source: warehouse, job: [etl_0, quiet] }, when: { not_started_by: "14:00" }, notify: [hook] }
  missing: { match: { source: warehouse, job: [nightly, "etl_*"] }, when: { missing: { schedule: "0 */4 * * *", grace: 15m } }, notify: [hook] }
mute_windows:
  noon: { match: { severity: [warning, info] }, from: "11:00", to: "13:00" }
  hourly: { match: { job: [etl_2, "load_*"] }, schedule: "0 */3 * * *", for: 45m }
inhibit:
  upstream: { by: { rule: failed, job: [etl_0, etl_1] }, match: { job: ["load_*", other] } }
"#;

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The running program's parts for one source, with time by hand.
pub(super) struct Day {
    place: Place,
    pub(super) store: Arc<SqlStore>,
    pub(super) clock: ManualClock,
    pub(super) workspace: SimWorkspace,
    pub(super) config: Config,
    pub(super) receivers: Arc<Receivers>,
    /// Runs that are there: job and id.
    runs: Vec<(String, u64)>,
    numbers: Numbers,
    /// When somebody takes on an alert.
    acking: Numbers,
}

impl Day {
    async fn begin(seed: u64) -> Day {
        Day::begin_with(seed, "", RULES).await
    }

    /// A day under these rules, with further receivers.
    pub(super) async fn begin_with(seed: u64, receivers: &str, rules: &str) -> Day {
        let (place, clock) = (Place::new(), ManualClock::at(at(0)));
        let sim = SimConfig { token: Some("t".to_string()), ..SimConfig::default() };
        let workspace = SimWorkspace::start(sim, Arc::new(clock.clone())).await.unwrap();
        let config = configuration(&workspace, receivers, rules);
        let receivers =
            config.receivers.iter().map(|settings| Receiver::new(settings, Renderer::open(settings).unwrap()));
        let store = Arc::new(place.open().await);
        let receivers = Arc::new(receivers.collect());
        let (numbers, acking) = (Numbers(seed), Numbers(!seed));
        Day { place, store, clock, workspace, config, receivers, runs: Vec::new(), numbers, acking }
    }

    /// When it began.
    pub(super) fn start(&self) -> Timestamp {
        at(0)
    }

    pub(super) fn poller(&self) -> Poller<Arc<dyn Source>, SqlStore> {
        let settings = self.config.sources[0].clone();
        let source = settings.open(Arc::new(self.clock.clone())).unwrap();
        let (store, clock) = (Arc::clone(&self.store), Arc::new(self.clock.clone()));
        let decider = self.config.decider(&settings, None);
        Poller::new(settings, source, store, decider, Arc::clone(&self.receivers), clock)
    }

    pub(super) fn escalations(&self) -> Escalations<SqlStore> {
        let (store, rules) = (Arc::clone(&self.store), self.config.rules.clone());
        Escalations::new(store, Arc::clone(&self.receivers), rules, self.config.muting())
    }

    /// Has alerts go further, each when its step is due, until that instant.
    async fn go_further(&self, escalations: &mut Escalations<SqlStore>, until: Timestamp) {
        while let Some(due) = escalations.next_due(self.clock.now()).await.unwrap().filter(|due| *due < until) {
            self.clock.set(due);
            escalations.pass(due).await.unwrap();
        }
        self.clock.set(until);
    }

    /// What happens in the workspace between two polls.
    pub(super) fn go_on(&mut self) {
        let now = self.clock.now();
        if self.numbers.one_in(2) {
            let job = ["etl_0", "etl_1", "etl_2", "load_a", "load_b", "other"][self.numbers.below(6) as usize];
            let id = 1000 + self.runs.len() as u64;
            let kind = if self.numbers.one_in(9) { 5 } else { 0 };
            self.workspace.put(SimInstance { kind, ..SimInstance::waiting(job, id, now) });
            self.runs.push((job.to_string(), id));
        }
        for place in 0..self.runs.len() {
            let dice = self.numbers.below(100);
            let (job, id) = &self.runs[place];
            if dice == 0 && place + 40 < self.runs.len() {
                self.workspace.remove(job, *id);
                continue;
            }
            self.workspace.update(job, *id, |run| match (run.status.as_str(), dice) {
                ("waiting", 0..45) => {
                    run.status = "running".to_string();
                    run.start_time = Some(now);
                }
                ("running" | "running-exception", 0..20) => {
                    let end = ["success", "success", "fail", "manual-stop"][dice as usize % 4];
                    run.status = end.to_string();
                    run.end_time = Some(now);
                }
                ("running", 20..22) => run.status = "running-exception".to_string(),
                // It is made again.
                ("fail", 0..3) => {
                    (run.status, run.start_time, run.end_time) = ("running".to_string(), Some(now), None);
                }
                _ => {}
            });
        }
    }

    /// Silences come and go, and somebody takes on what fires.
    pub(super) async fn hush(&mut self) {
        let now = self.clock.now();
        if self.acking.one_in(6) {
            let alerts = self.store.alerts(usize::MAX).await.unwrap();
            // Of one that was taken over only the last acknowledgement is known afterwards.
            let acks = self.store.acks().await.unwrap();
            let is_told = |alert: &&Alert| {
                let is_free = !acks.contains_key(&alert.id);
                is_free && alert.state() == AlertState::Firing && alert.suppressed_by.is_none()
            };
            let ack = Ack { by: "ada".into(), reason: None, at: now };
            if let Some(alert) = alerts.iter().find(is_told) {
                self.store.ack(std::slice::from_ref(&alert.id), &ack).await.unwrap();
            }
        }
        if self.numbers.one_in(25) {
            let jobs = vec![["etl_*", "load_a", "/etl_[12]/"][self.numbers.below(3) as usize].to_string()];
            let span = SignedDuration::from_mins(20 + self.numbers.below(200) as i64);
            let concerns = Concerns { jobs, ..Concerns::default() };
            let new = NewSilence { concerns, reason: "deploy".into(), by: "ops".into(), ends_at: now + span };
            self.store.add_silence(&new, now).await.unwrap();
        }
        if self.numbers.one_in(60)
            && let Some(silence) = self.store.active_silences(now).await.unwrap().pop()
        {
            self.store.expire_silence(silence.id, "ops", now).await.unwrap();
        }
    }

    /// Polls every few minutes for so many hours.
    async fn pass(&mut self, hours: i64) {
        let end = self.clock.now() + SignedDuration::from_hours(hours);
        let (mut poller, mut escalations) = (self.poller(), self.escalations());
        let mut due = self.clock.now();
        while due < end {
            due += SignedDuration::from_mins(5);
            // A poll is never there on time to the millisecond.
            let delay = SignedDuration::from_millis(self.numbers.below(900) as i64);
            self.go_on();
            self.go_further(&mut escalations, due - SignedDuration::from_secs(30)).await;
            self.hush().await;
            self.go_further(&mut escalations, due + delay).await;
            match self.numbers.below(40) {
                0 => (poller, escalations) = (self.poller(), self.escalations()),
                1 => self.workspace.inject(Fault::answer(403, r#"{"error_code":"DLF.0403","error_msg":"no"}"#)),
                _ => {}
            }
            match poller.poll().await {
                Ok(_) | Err(PollError::Source { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            escalations.pass(self.clock.now()).await.unwrap();
        }
    }
}

fn configuration(workspace: &SimWorkspace, receivers: &str, rules: &str) -> Config {
    let text = format!(
        "version: 1\nsources:\n  warehouse: {{ type: dataarts, endpoint: \"{}\", project_id: {}, poll: \"*/5 * * * *\", \
         lookback: 6h, requests_per_second: 1000, auth: {{ token: t }} }}\nreceivers:\n  \
         hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\n  \
         mail: {{ type: email, smtp_url: \"smtp+plain://127.0.0.1:9\", from: a@example.com, to: [b@example.com] }}\n\
         {receivers}rules:{rules}",
        workspace.endpoint(),
        workspace.config().project_id,
    );
    Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true }).unwrap().config
}

/// What was decided about alerts: which, when, and what held them back; when they ended.
fn decisions(alerts: &[Alert], since: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> = alerts
        .iter()
        .filter(|alert| alert.created_at >= since)
        .map(|alert| {
            let (facts, by) = (&alert.facts.alert, alert.suppressed_by.as_ref().map(ToString::to_string));
            format!(
                "{} {} {} {} {by:?} {:?} {:?}",
                alert.created_at, alert.id, alert.rule, alert.facts.job.name, facts.ends_at, facts.measures
            )
        })
        .collect();
    lines.sort();
    lines
}

/// Who was told what when.
fn tellings<'a>(all: impl IntoIterator<Item = &'a Notification>, since: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> = all
        .into_iter()
        .filter(|delivery| delivery.created_at >= since)
        .map(|one| format!("{} {} {} {:?}", one.created_at, one.id, one.receiver, one.follows))
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_day_that_is_played_again_comes_to_the_same_decisions() {
    let seed = 0x6e69_6768_7462_656c;
    println!("seed {seed:#x}");
    let mut day = Day::begin(seed).await;
    day.pass(26).await;
    let until = day.clock.now();
    let (alerts, deliveries) =
        (day.store.alerts(usize::MAX).await.unwrap(), day.store.deliveries(usize::MAX).await.unwrap());
    let theatre = Theatre::open(&day.config).unwrap();

    let all = recorded(&*day.store, &day.config.sources, Timestamp::UNIX_EPOCH, until).await.unwrap();
    let played = theatre.play(&day.config, all.script).unwrap();
    let since = Timestamp::UNIX_EPOCH;
    assert_eq!(decisions(&played.alerts, since), decisions(&alerts, since));
    assert_eq!(tellings(&played.deliveries, since), tellings(deliveries.iter().map(|one| &one.notification), since));

    // The day is worth something: each rule has told, and something was held back by each kind of muting.
    for rule in day.config.rules.rules() {
        assert!(alerts.iter().any(|alert| alert.rule == rule.id), "{} never fired", rule.id);
    }
    for by in ["silence:", "mute-window:noon", "mute-window:hourly", "inhibited:upstream"] {
        let held = |alert: &&Alert| alert.suppressed_by.as_ref().is_some_and(|it| it.to_string().starts_with(by));
        assert!(alerts.iter().any(|alert| held(&alert)), "nothing was held back by {by}");
    }
    let steps: Vec<u32> = deliveries.iter().filter_map(|one| escalation_step(one)).collect();
    for step in [2, 3] {
        assert!(steps.contains(&step), "nothing went to step {step}: {steps:?}");
    }
    let acks = day.store.acks().await.unwrap();
    let is_spared = |alert: &&Alert| alert.rule.as_str() == "failed" && acks.contains_key(&alert.id);
    assert!(alerts.iter().any(|alert| is_spared(&alert)), "nobody took on a failure");
    assert!(all.sources[0].unread > 0, "the source was never out");
    drop(day.place);
}

/// A replay that begins in the middle of what was recorded knows what was going on then, and tells nothing of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_begins_later_tells_of_what_is_new_and_of_nothing_else() {
    let seed = 0x0007_1d15_0a7e;
    println!("seed {seed:#x}");
    let mut day = Day::begin(seed).await;
    day.pass(10).await;
    let middle = day.clock.now();
    // Longer than a replay reaches back.
    day.clock.set(middle + SignedDuration::from_hours(24 * 9));
    let since = day.clock.now();
    day.pass(6).await;
    let (until, store) = (day.clock.now(), &day.store);
    let recorded = recorded(&**store, &day.config.sources, since, until).await.unwrap();
    let [reel] = recorded.script.reels.as_slice() else { panic!("one source") };
    let before = reel.before.clone().unwrap();
    assert!(before.read_until <= middle && reel.polls.iter().all(|poll| poll.polled_at > before.read_until));
    assert!(before.instances.len() > 40, "{} runs are known", before.instances.len());

    let played = Theatre::open(&day.config).unwrap().play(&day.config, recorded.script).unwrap();
    // What fired before is told by neither; a rule about one run by itself rests on nothing else.
    let failed = |alerts: &[Alert]| -> Vec<String> {
        let of_rule = alerts.iter().filter(|it| it.rule.as_str() == "failed" && it.created_at > since);
        let mut lines: Vec<String> = of_rule.map(|it| format!("{} {}", it.created_at, it.id)).collect();
        lines.sort();
        lines
    };
    let told = failed(&store.alerts(usize::MAX).await.unwrap());
    assert!(told.len() > 2, "{told:?}");
    assert_eq!(failed(&played.alerts), told);
}
