//! A store, one digest, and time by hand.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::digest::{Limits, Tally};
use nightbell::model::{Alert, DigestFacts, DigestPart, Instance, PeriodPart, SourceId, Status, TroublePart};
use nightbell::notify::Renderer;
use nightbell::store::{Deliveries as _, PollCommit, PollLedger as _, SqlStore};
use nightbell::worker::digest::{Digester, Grounds};
use nightbell::worker::pending::{Receiver, Receivers};

use crate::sample::{Place, at, commit, covered, instance, resolved};

/// The digest `daily` for two webhooks, over a store that is written as a poller would.
pub(super) struct World {
    pub(super) store: Arc<SqlStore>,
    pub(super) digester: Digester<SqlStore>,
    clock: ManualClock,
    generation: i64,
    _place: Place,
}

impl World {
    /// A world in which the digest has begun; `keys` are its keys.
    pub(super) async fn open(keys: &str) -> World {
        let place = Place::new();
        let store = Arc::new(place.open().await);
        // On a full hour, so that schedules are easy to read.
        let clock = ManualClock::at(at(0));
        let config = configuration(keys);
        let receivers: Receivers = config
            .receivers
            .iter()
            .map(|settings| Receiver::new(settings, Renderer::open(settings).unwrap()))
            .collect();
        let digester = Digester {
            digests: config.digests.clone(),
            grounds: Grounds::of(&config),
            store: Arc::clone(&store),
            receivers: Arc::new(receivers),
            began: clock.now(),
            started: std::time::Instant::now(),
        };
        digester.begin(clock.now()).await.unwrap();
        assert_eq!(digester.make_due(clock.now(), true).await.unwrap(), 0, "nothing is due when it begins");
        World { store, digester, clock, generation: 0, _place: place }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock by so many seconds.
    pub(super) fn pass(&mut self, seconds: i64) {
        self.clock.set(self.now() + SignedDuration::from_secs(seconds));
    }

    /// A poll that sees these.
    pub(super) async fn show(&mut self, instances: impl IntoIterator<Item = Instance>) {
        self.commit(instances.into_iter().collect(), Vec::new()).await;
    }

    pub(super) async fn commit(&mut self, instances: Vec<Instance>, fired: Vec<Alert>) {
        self.write(PollCommit { instances, fired, ..commit(0) }).await;
    }

    /// A poll that sees an alert's end.
    pub(super) async fn end(&mut self, alert: Alert) {
        let changed = vec![resolved(alert, self.now())];
        self.write(PollCommit { changed, ..commit(0) }).await;
    }

    async fn write(&mut self, poll: PollCommit) {
        let (now, generation) = (self.now(), self.generation);
        let poll = PollCommit { now, generation, covered: covered(now), ..poll };
        self.store.commit_poll(&poll).await.unwrap();
        self.generation += 1;
    }

    /// The digest, if one is due: as the first receiver gets it.
    pub(super) async fn made(&self) -> Option<DigestFacts> {
        let known: Vec<_> =
            self.store.deliveries(1000).await.unwrap().into_iter().map(|it| it.notification.id).collect();
        if self.digester.make_due(self.now(), true).await.unwrap() == 0 {
            return None;
        }
        let all = self.store.deliveries(1000).await.unwrap();
        let fresh: Vec<_> = all.iter().filter(|it| !known.contains(&it.id)).collect();
        assert_eq!(fresh.len(), 2, "one for each receiver");
        let body: serde_json::Value = serde_json::from_str(fresh[0].content.part("body")).unwrap();
        assert_eq!(body["type"], "digest");
        Some(serde_json::from_value(body["data"].clone()).unwrap())
    }

    /// The same run, planned and begun so many seconds later.
    pub(super) fn later(run: Instance, seconds: i64) -> Instance {
        let span = SignedDuration::from_secs(seconds);
        let [plan_time, start_time] = [run.plan_time, run.start_time].map(|time| time.map(|time| time + span));
        Instance { plan_time, start_time, ..run }
    }

    /// A successful run that lasted so many minutes, planned `place` seconds after the samples' own.
    pub(super) fn lasting(job: &str, id: &str, place: i64, minutes: i64) -> Instance {
        let run = World::later(instance(job, id, Status::Success), place);
        let end_time = run.start_time.map(|start| start + SignedDuration::from_mins(minutes));
        Instance { end_time, ..run }
    }
}

pub(super) fn configuration(keys: &str) -> Config {
    let text = format!(
        "version: 1\nsources:\n  warehouse: {{ type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, \
         poll: \"0 0 1 1 *\", auth: {{ token: t }} }}\nreceivers:\n  hook: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\n  \
         other: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\n\
         rules:\n  slow: {{ when: {{ duration: 45m }}, notify: [hook] }}\n\
         digests:\n  daily:\n    notify: [hook, other]\n    {keys}\n"
    );
    Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true }).unwrap().config
}

/// What is broken, as "job instance new" or "job instance old".
pub(super) fn broken(digest: &DigestFacts) -> Vec<String> {
    jobs(&digest.broken.shown)
}

pub(super) fn jobs(parts: &[TroublePart]) -> Vec<String> {
    let word = |part: &TroublePart| if part.is_new { "new" } else { "old" };
    parts.iter().map(|part| format!("{} {} {}", part.job, part.instance, word(part))).collect()
}

/// A tally of everything in the source of the samples.
pub(crate) fn empty_tally(now: Timestamp) -> Tally {
    let selects = Box::new(|_: &SourceId, _: &str, _| true);
    let limits: Limits = HashMap::new();
    Tally::new([SourceId::new("warehouse")], selects, limits, TimeZone::UTC, now)
}

pub(crate) fn finished(tally: Tally) -> DigestFacts {
    let digest = DigestPart {
        name: "daily".into(),
        due_at: at(0),
        missed: 0,
        first_missed_at: None,
        preview: false,
        timezone: "UTC".into(),
    };
    tally.finish(digest, PeriodPart { from: at(0), until: at(3600) })
}
