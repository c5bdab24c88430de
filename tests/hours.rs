//! Routing by hours, by the wired program: who is told when, what is held back over a night on which the clocks change, and
//! what `explain` and `check` say of it. Each cycle is another process on the same store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use nightbell::app::{App, OnceReport};
use nightbell::clock::{Clock, ManualClock};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{ReceiverId, Status};
use nightbell::sim::{Inbox, Received, SimConfig, SimInstance, SimWorkspace};
use nightbell::store::Groups as _;
use serde_json::Value;

use super::poll::world::{Scene as PollScene, run};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A workspace, an inbox, a clock by hand, and the file that ties them together.
struct Scene {
    directory: tempfile::TempDir,
    clock: ManualClock,
    sim: SimWorkspace,
    inbox: Inbox,
}

impl Scene {
    async fn open(now: &str) -> Scene {
        let scene = Scene::empty(now).await;
        std::fs::write(scene.file(), scene.text()).unwrap();
        scene
    }

    /// One without a file.
    async fn empty(now: &str) -> Scene {
        let clock = ManualClock::at(at(now));
        let config = SimConfig { token: Some("t".to_string()), ..SimConfig::default() };
        let sim = SimWorkspace::start(config, Arc::new(clock.clone())).await.unwrap();
        let (directory, inbox) = (tempfile::tempdir().unwrap(), Inbox::open().await.unwrap());
        Scene { directory, clock, sim, inbox }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("rules.yaml")
    }

    /// What every file begins with.
    fn head(&self) -> String {
        format!(
            r#"version: 1
timezone: Europe/Berlin
store: sqlite://{store}
sources:
  warehouse: {{ type: dataarts, endpoint: "{endpoint}", project_id: {project}, auth: {{ token: t }} }}
receivers:
  chat: {{ type: webhook, url: "http://{inbox}/webhook" }}
  phone: {{ type: slack, webhook_url: "http://{inbox}/slack" }}
self: {{ notify: [chat], source_incomplete: false }}
"#,
            store = self.directory.path().join("nightbell.db").display(),
            endpoint = self.sim.endpoint(),
            project = self.sim.config().project_id,
            inbox = self.inbox.http,
        )
    }

    fn text(&self) -> String {
        let rules = r#"rules:
  report: { match: { job: "report_*" }, when: { status: fail }, severity: warning, notify: [{ to: chat, hold: until work }] }
  load:
    match: { job: "load_*" }
    when: { status: fail }
    severity: critical
    notify:
      - { to: chat, during: work }
      - { to: phone, during: nights }
      - { to: phone, during: weekend }
windows:
  work: { days: [mon-fri], from: "09:00", to: "18:00" }
  nights: { from: "18:00", to: "09:00" }
  weekend: { days: [sat, sun] }
"#;
        self.head() + rules
    }

    fn put(&self, job: &str, id: u64, status: &str) {
        let now = self.clock.now();
        let ago = |minutes| now - jiff::SignedDuration::from_mins(minutes);
        self.sim.put(SimInstance::waiting(job, id, ago(10)).ended(status, ago(1)));
    }

    /// One cycle at that instant, by a process of its own; and what arrived.
    async fn cycle(&mut self, now: &str) -> (OnceReport, Vec<(&'static str, Value)>) {
        self.clock.set(at(now));
        let loaded = Config::load(&self.file(), &LoadOptions { offline: true }).unwrap();
        let app = App::open(&loaded.config, Arc::new(self.clock.clone())).await.unwrap();
        let report = app.run_once().await.unwrap();
        let mut arrived = Vec::new();
        while let Ok(one) = self.inbox.received.try_recv() {
            arrived.push(match one {
                Received::Slack(body) => ("phone", serde_json::from_str(&body).unwrap()),
                Received::Webhook { body, .. } => ("chat", serde_json::from_str(&body).unwrap()),
                Received::Mail(mail) => panic!("a mail: {mail:?}"),
            });
        }
        (report, arrived)
    }

    fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_nightbell"))
            .args(arguments)
            .args([Path::new("-c"), &self.file()])
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
    }
}

#[tokio::test]
async fn a_night_is_held_back_and_told_in_one_message_when_work_begins() {
    // In the night to that Sunday the clocks went back.
    let mut scene = Scene::open("2026-10-25T20:00:00Z").await;
    scene.cycle("2026-10-25T20:00:00Z").await;
    scene.clock.set(at("2026-10-25T22:00:00Z"));
    for (id, job) in ["report_a", "report_b", "report_c"].into_iter().enumerate() {
        scene.put(job, 10 + id as u64, "fail");
    }
    scene.put("load_orders", 20, "fail");
    let (report, arrived) = scene.cycle("2026-10-25T22:00:00Z").await;
    // It is a night of a weekend: two steps name the phone, which is told once.
    let [("phone", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert!(body["text"].as_str().unwrap().contains("load_orders failed"), "{body}");
    assert!(report.is_clean(), "what is held back is not due: {report}");
    assert!(report.to_string().contains("pending to chat: 3, 3 of them held back until a window opens"), "{report}");
    let status = scene.command(&["status"]);
    assert!(status.contains("pending   0\n") && status.contains("held      3 until 2026-10-26 09:00"), "{status}");
    let explained = scene.command(&["explain", "report_a"]);
    assert!(explained.contains("held back until the window work opens, 2026-10-26 09:00"), "{explained}");

    // One is made again and succeeds, and the rest of the night is quiet.
    scene.clock.set(at("2026-10-26T06:00:00Z"));
    let done = scene.clock.now();
    assert!(scene.sim.update("report_b", 11, |run| (run.status, run.end_time) = ("success".to_string(), Some(done))));
    for now in ["2026-10-26T06:00:00Z", "2026-10-26T07:59:59Z"] {
        let (report, arrived) = scene.cycle(now).await;
        assert!(arrived.is_empty() && report.is_clean(), "{now}: {arrived:?}\n{report}");
    }
    let (report, arrived) = scene.cycle("2026-10-26T08:00:00Z").await;
    let [("chat", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert_eq!((body["type"].as_str(), body["data"]["held_for"].as_str()), (Some("alert.group"), Some("work")));
    let counts = &body["data"]["counts"];
    assert_eq!((counts["warning"].as_u64(), counts["resolved"].as_u64()), (Some(2), Some(1)), "{body}");
    assert!(report.is_clean() && report.pending.is_empty(), "{report}");

    // During work it is told at once, and what is critical goes to the chat.
    scene.clock.set(at("2026-10-26T08:30:00Z"));
    scene.put("report_d", 30, "fail");
    scene.put("load_stock", 31, "fail");
    let (_, arrived) = scene.cycle("2026-10-26T08:30:00Z").await;
    let mut told: Vec<(&str, &str)> =
        arrived.iter().map(|(to, body)| (*to, body["data"]["job"]["name"].as_str().unwrap_or("-"))).collect();
    told.sort_unstable();
    assert_eq!(told, [("chat", "load_stock"), ("chat", "report_d")]);
    // Who heard of the beginning hears of the end, whatever the hour.
    scene.clock.set(at("2026-10-26T19:00:00Z"));
    let done = scene.clock.now();
    assert!(scene.sim.update("load_stock", 31, |run| (run.status, run.end_time) = ("success".to_string(), Some(done))));
    let (_, arrived) = scene.cycle("2026-10-26T19:00:00Z").await;
    let [("chat", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert_eq!(
        (body["type"].as_str(), body["data"]["job"]["name"].as_str()),
        (Some("alert.resolved"), Some("load_stock"))
    );
}

/// The same by routes, whatever a rule says: what is critical goes to whoever has the night, and what may wait is held back over
/// the night on which the clocks go back and told in one message, an hour later by the world's clock than the day before.
#[tokio::test]
async fn routes_go_by_hours_too_and_hold_back_over_the_night_on_which_the_clocks_change() {
    let mut scene = Scene::empty("2026-10-24T18:00:00Z").await;
    let rules = r#"rules:
  report: { match: { job: "report_*" }, when: { status: fail }, severity: warning }
  load: { match: { job: "load_*" }, when: { status: fail }, severity: critical }
routes:
  nights: { match: { severity: critical }, notify: chat, during: nights }
  later: { match: { severity: warning }, notify: phone, hold: until work }
windows:
  work: { from: "09:00", to: "18:00" }
  nights: { from: "18:00", to: "09:00" }
"#;
    std::fs::write(scene.file(), scene.head() + rules).unwrap();
    scene.cycle("2026-10-24T18:00:00Z").await;
    scene.clock.set(at("2026-10-24T20:00:00Z"));
    for (id, job) in ["report_a", "report_b", "report_c"].into_iter().enumerate() {
        scene.put(job, 10 + id as u64, "fail");
    }
    scene.put("load_orders", 20, "fail");
    let (report, arrived) = scene.cycle("2026-10-24T20:00:00Z").await;
    let [("chat", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert_eq!(body["data"]["job"]["name"], "load_orders");
    assert!(report.is_clean() && report.to_string().contains("pending to phone: 3, 3 of them held back"), "{report}");
    let explained = scene.command(&["explain", "report_a"]);
    assert!(explained.contains("held back until the window work opens, 2026-10-25 09:00"), "{explained}");

    scene.clock.set(at("2026-10-25T06:00:00Z"));
    let done = scene.clock.now();
    assert!(scene.sim.update("report_b", 11, |run| (run.status, run.end_time) = ("success".to_string(), Some(done))));
    for now in ["2026-10-25T06:00:00Z", "2026-10-25T07:00:00Z", "2026-10-25T07:59:59Z"] {
        let (_, arrived) = scene.cycle(now).await;
        assert!(arrived.is_empty(), "{now}: {arrived:?}");
    }
    let (report, arrived) = scene.cycle("2026-10-25T08:00:00Z").await;
    let [("phone", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert!(report.is_clean() && report.pending.is_empty(), "{report}");
    let said = body["attachments"].to_string() + &body["blocks"].to_string();
    let counts = |words: &str| said.matches(words).count();
    assert!(body["text"].as_str().unwrap().contains("work"), "it says for which window it waited: {body}");
    assert!(counts("report_a failed") == 1 && counts("report_c failed") == 1, "{body}");
    assert!(counts("report_b failed") == 0 && counts("recovered meanwhile") == 1 && counts("report_b") == 1, "{body}");

    // By day the route of the nights tells nobody, and the other one at once.
    scene.clock.set(at("2026-10-25T08:30:00Z"));
    scene.put("load_stock", 30, "fail");
    scene.put("report_d", 31, "fail");
    let (_, arrived) = scene.cycle("2026-10-25T08:30:00Z").await;
    let [("phone", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert!(body["text"].as_str().unwrap().contains("report_d failed"), "{body}");
    scene.clock.set(at("2026-10-25T17:00:00Z"));
    scene.put("load_prices", 40, "fail");
    let (_, arrived) = scene.cycle("2026-10-25T17:00:00Z").await;
    let [("chat", body)] = &arrived[..] else { panic!("{arrived:?}") };
    assert_eq!(body["data"]["job"]["name"], "load_prices");
}

#[tokio::test]
async fn a_time_that_no_step_and_no_route_covers_is_found_by_check() {
    let scene = Scene::open("2026-11-23T00:00:00Z").await;
    let said = scene.command(&["check", "--offline"]);
    assert!(!said.contains("nobody is notified from"), "{said}");
    let text = scene.text();
    for (from, to) in [
        // Saturday and Sunday from nine to six, and half an hour of every working day.
        ("      - { to: phone, during: weekend }\n", ""),
        ("from: \"18:00\", to: \"09:00\"", "from: \"18:00\", to: \"08:30\""),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(scene.file(), text.replace(from, to)).unwrap();
        let said = scene.command(&["check", "--offline"]);
        let says = |words: &str| said.contains(words);
        assert!(says("rules.load: nobody is notified from ") && says("are closed then"), "{said}");
    }
    // A route for everything covers that, too.
    let without = text.replace("      - { to: phone, during: weekend }\n", "");
    std::fs::write(scene.file(), without + "routes:\n  all: { match: { severity: critical }, notify: phone }\n")
        .unwrap();
    let said = scene.command(&["check", "--offline"]);
    assert!(!said.contains("nobody is notified from"), "{said}");
}

/// A later step may wait for its window, too; one that an alert comes to outside its hours is passed by.
#[tokio::test]
async fn a_later_step_is_held_back_or_passed_by() {
    let rules = "  failed: { when: { status: fail }, notify: [{ to: hook }, { after: 30m, to: lead, hold: until work }, \
                 { after: 40m, to: boss, during: work }] }\nwindows:\n  work: { from: \"09:00\", to: \"18:00\" }\n";
    let minutes = jiff::SignedDuration::from_mins;
    // It is midnight.
    let mut scene = PollScene::open(rules).await;
    scene.poll().await;
    let lead = ReceiverId::new("lead");
    let opens = scene.now() + minutes(9 * 60);
    // The store has been asked, and knows of nothing that waits.
    assert!(scene.store.due_groups(&lead, opens, scene.now()).await.unwrap().is_empty());
    let ended = scene.now() - minutes(1);
    scene.show([run("etl", "1", Status::Fail, ended - minutes(4), Some(ended))]);
    scene.poll().await;
    scene.pass(minutes(31));
    assert_eq!(scene.escalate().await, 1);
    scene.pass(minutes(10));
    assert_eq!(scene.escalate().await, 0, "nobody has the duty of that step");
    let waiting = async |by| scene.store.due_groups(&lead, by, scene.now()).await.unwrap();
    assert!(waiting(opens - minutes(1)).await.is_empty());
    let groups = waiting(opens).await;
    assert_eq!(groups.iter().map(|group| group.place.window()).collect::<Vec<_>>(), [Some("work")]);
    scene.pass(minutes(9 * 60));
    assert_eq!(scene.escalate().await, 0, "what passed a step by does not come to it later");
}
