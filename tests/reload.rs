//! Another configuration in force while the program runs: the real program in process, a simulated workspace before it and
//! a receiver on loopback behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nightbell::app::{App, Attempted, RuleWatch};
use nightbell::clock::{Clock, SystemClock};
use nightbell::config::{Config, LoadOptions, RuleFiles};
use nightbell::model::{Alert, DeliveryState};
use nightbell::sim::{SimConfig, SimInstance, SimWorkspace};
use nightbell::store::{Archive as _, Deliveries as _, Mode, SqlStore};
use nightbell::worker::turn::{Runner, Statuses, Turn as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::deliver::sink::{OK, Sink};
use crate::sample::{Database, is_on_server};

const RULES: &str = "rules:\n  failed: { when: { status: [fail] }, notify: [hook0] }\n";

/// The store that the program has.
const STORE: &str = "a.db";

/// A program that runs by the files of a directory.
struct Stage {
    directory: tempfile::TempDir,
    workspace: SimWorkspace,
    sink: Sink,
    /// Where the store is, if it is no file.
    database: Option<Database>,
}

/// The running program, and what has it read its files again.
struct Running {
    watch: RuleWatch,
    stop: CancellationToken,
    program: JoinHandle<()>,
    heard: Arc<Mutex<Vec<Attempted>>>,
}

impl Stage {
    async fn set() -> Stage {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let workspace = SimWorkspace::start(SimConfig::default(), clock).await.unwrap();
        let sink = Sink::new(|_, _| OK).await;
        Stage { directory: tempfile::tempdir().unwrap(), workspace, sink, database: Database::of_this_run() }
    }

    /// The address of a store. None but [`STORE`] is ever opened.
    fn store(&self, name: &str) -> String {
        match &self.database {
            None => format!("sqlite://{}", self.directory.path().join(name).display()),
            Some(database) if name == STORE => database.0.clone(),
            Some(database) => format!("{}_of_another", database.0),
        }
    }

    fn rules(&self) -> PathBuf {
        self.directory.path().join("rules.d")
    }

    /// Writes a rule file, with its version before `text`.
    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.rules()).unwrap();
        std::fs::write(self.rules().join(name), format!("version: 1\n{text}")).unwrap();
    }

    /// The file of what all teams share: store, source, and `receivers` of them, each with the header `x-round`.
    fn base(&self, store: &str, receivers: usize, round: usize) -> String {
        let sim = self.workspace.config();
        let mut text = format!(
            "store: {}\nsources:\n  warehouse:\n    type: dataarts\n    endpoint: {}\n    project_id: {}\n    \
             poll: \"* * * * * *\"\n    requests_per_second: 1000\n    auth: {{ access_key: {}, secret_key: {} }}\nreceivers:\n",
            self.store(store),
            self.workspace.endpoint(),
            sim.project_id,
            sim.access_key,
            sim.secret_key
        );
        for number in 0..receivers {
            let url = &self.sink.url;
            let headers = format!("{{ x-round: \"{round}\" }}");
            text.push_str(&format!("  hook{number}: {{ type: webhook, url: {url}, headers: {headers} }}\n"));
        }
        text
    }

    async fn start(&self) -> Running {
        let files = RuleFiles::read(&self.rules()).unwrap();
        let loaded = Config::from_files(&files.files, &LoadOptions::default()).unwrap_or_else(|it| panic!("{it}"));
        let app = App::open(&loaded.config, Arc::new(SystemClock)).await.unwrap();
        let heard: Arc<Mutex<Vec<Attempted>>> = Arc::default();
        let hears = Arc::clone(&heard);
        let on_reload = Arc::new(move |attempted: &Attempted| hears.lock().unwrap().push(attempted.clone()));
        let watch = RuleWatch::new(&self.rules(), files, app.reloader(), on_reload);
        let stop = CancellationToken::new();
        let run = app.run(stop.clone());
        let program = tokio::spawn(async move { run.await.unwrap() });
        Running { watch, stop, program, heard }
    }

    /// What the store holds, beside the running program.
    async fn alerts(&self) -> Vec<Alert> {
        let store = SqlStore::open(&self.store(STORE), Mode::Read).await.unwrap();
        store.alerts(usize::MAX).await.unwrap()
    }
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        self.program.await.unwrap();
    }
}

fn failed(job: &str, id: u64) -> SimInstance {
    let ago = |seconds| SystemClock.now() - jiff::SignedDuration::from_secs(seconds);
    SimInstance::waiting(job, id, ago(120)).ended("fail", ago(1))
}

/// Waits for something that the program brings about, for a time that only a broken one takes.
async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(600), "it did not come about: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How the files of round `number` are broken, and whether everything else is taken up all the same.
fn break_files(stage: &Stage, number: usize, round: usize) -> bool {
    let rules = |text: &str| stage.write("rules.yaml", text);
    match number % 4 {
        0 => rules("rules: [\n"),
        1 => rules("rules:\n  failed: { when: { status: [fail] }, notify: [nobody] }\n"),
        2 => std::fs::write(stage.rules().join("rules.yaml"), b"version: 1\n\xff\n").unwrap(),
        _ => {
            stage.write("base.yaml", &stage.base("another.db", 5, round));
            return false;
        }
    }
    true
}

/// Ten thousand deliveries to five receivers, and meanwhile a thousand reloads, every other one of broken files: each
/// message arrives once, and each alert is of one configuration as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_half_of_them_broken_during_a_delivery_of_10_000_lose_nothing_and_repeat_nothing() {
    const PHASES: usize = 20;
    const RELOADS: usize = 50;
    const FAILURES: usize = 100;
    const RECEIVERS: usize = 5;
    let notify = "[hook0, hook1, hook2, hook3, hook4]";
    let rules = |round: usize| {
        format!("rules:\n  failed: {{ when: {{ status: [fail] }}, labels: {{ round: r{round} }}, notify: {notify} }}\n")
    };
    let stage = Stage::set().await;
    stage.write("base.yaml", &stage.base(STORE, RECEIVERS, 0));
    stage.write("rules.yaml", &rules(0));
    let mut running = stage.start().await;
    // Which rules were in force under which generation.
    let mut in_force = BTreeMap::from([(1, 0)]);
    let (mut present, mut base, mut refused) = (0, 0, 0);
    let mut tasks = 0;
    for phase in 0..PHASES {
        let ids = (0..FAILURES).map(|number| (phase * FAILURES + number) as u64);
        stage.workspace.put_all(ids.map(|id| failed(&format!("job{}", id % 7), id + 1)));
        for reload in 0..RELOADS {
            let round = phase * RELOADS + reload + 1;
            if round % 2 == 1 {
                let others_count = break_files(&stage, round / 2, base);
                let attempted = running.watch.reload().await;
                assert!(!attempted.problems.is_empty(), "round {round}: {attempted:?}");
                assert_eq!(attempted.generation.is_some(), others_count, "round {round}: {attempted:?}");
                match attempted.generation {
                    Some(generation) => drop(in_force.insert(generation, present)),
                    None => refused += 1,
                }
                continue;
            }
            present = round;
            // Now and then the receivers change too, so that their lanes are replaced.
            base = if round.is_multiple_of(40) { round } else { base };
            stage.write("base.yaml", &stage.base(STORE, RECEIVERS, base));
            stage.write("rules.yaml", &rules(round));
            let attempted = running.watch.reload().await;
            assert_eq!((&attempted.problems, &attempted.kept), (&Vec::new(), &Vec::new()), "round {round}");
            in_force.insert(attempted.generation.unwrap(), round);
        }
        // What the phase before has brought about is told before this one ends, so that reloads meet deliveries.
        until("the deliveries of the phase before", || stage.sink.ids().len() >= phase * FAILURES * RECEIVERS).await;
        let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        tasks = if phase == 0 { alive } else { tasks };
        // Under way are at most as many attempts, each with a connection at either end.
        assert!(alive <= tasks + 3 * 32 * RECEIVERS, "{alive} tasks are alive after phase {phase}, and {tasks} before");
    }
    assert_eq!(refused, PHASES * RELOADS / 8, "every fourth of the broken ones");
    assert_eq!(in_force.len(), 1 + PHASES * RELOADS - refused, "one generation for each that was accepted");
    let numbers: Vec<i64> = in_force.keys().copied().collect();
    assert_eq!(numbers, (1..=in_force.len() as i64).collect::<Vec<_>>(), "the numbers grow by one");
    let all = PHASES * FAILURES * RECEIVERS;
    until("all deliveries", || stage.sink.ids().len() >= all).await;
    running.end().await;

    let counts = stage.sink.counts();
    assert_eq!((counts.len(), stage.sink.ids().len()), (all, all), "each message once");
    let alerts = stage.alerts().await;
    assert_eq!(alerts.len(), PHASES * FAILURES);
    let mut of_polls: BTreeMap<jiff::Timestamp, BTreeSet<i64>> = BTreeMap::new();
    for alert in &alerts {
        let generation = alert.generation.unwrap();
        assert_eq!(
            alert.facts.alert.labels["round"],
            format!("r{}", in_force[&generation]),
            "of generation {generation}"
        );
        assert_eq!(alert.receivers.len(), RECEIVERS);
        of_polls.entry(alert.created_at).or_default().insert(generation);
    }
    assert!(of_polls.values().all(|generations| generations.len() == 1), "one poll, one generation: {of_polls:?}");
    assert!(of_polls.len() > 1, "{of_polls:?}");
    let deliveries =
        SqlStore::open(&stage.store(STORE), Mode::Read).await.unwrap().deliveries(usize::MAX).await.unwrap();
    assert!(deliveries.iter().all(|it| it.state == DeliveryState::Delivered && it.attempts == 1));
}

async fn told(stage: &Stage, messages: usize) -> Vec<serde_json::Value> {
    until("the messages", || stage.sink.ids().len() >= messages).await;
    stage.sink.seen.lock().unwrap().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
}

/// One team's slip does not hold up another's change, and mends itself with the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_keeps_its_last_good_version_while_the_others_load() {
    let stage = Stage::set().await;
    let rule = |name: &str, job: &str, severity: &str| {
        format!(
            "rules:\n  {name}: {{ match: {{ job: {job} }}, when: {{ status: [fail] }}, severity: {severity}, notify: [hook0] }}\n"
        )
    };
    stage.write("base.yaml", &stage.base(STORE, 1, 0));
    stage.write("data.yaml", &rule("data", "data", "info"));
    stage.write("finance.yaml", &rule("finance", "finance", "info"));
    let mut running = stage.start().await;
    stage.write("data.yaml", &rule("data", "data", "critical"));
    stage.write("finance.yaml", &rule("finance", "finance", "high"));
    stage.write("new.yaml", &rule("data", "x", "info"));
    let attempted = running.watch.reload().await;
    assert_eq!(attempted.generation, Some(2));
    let kept: Vec<&str> = attempted.kept.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(kept, ["finance.yaml", "new.yaml"]);
    let problems = attempted.problems.join("\n");
    assert!(
        problems.contains("finance.yaml:3:") && problems.contains("\"high\" is not a valid severity"),
        "{problems}"
    );
    assert!(problems.contains("new.yaml:3:3: rules.data: the name \"data\" is defined twice"), "{problems}");
    stage.workspace.put(failed("data", 1));
    stage.workspace.put(failed("finance", 2));
    let mut severities: Vec<String> = told(&stage, 2)
        .await
        .iter()
        .map(|body| format!("{} {}", body["data"]["job"]["name"], body["data"]["alert"]["severity"]))
        .collect();
    severities.sort();
    assert_eq!(severities, ["\"data\" \"critical\"", "\"finance\" \"info\""]);
    // The same again: it is still broken, and still in force as it was.
    assert_eq!(running.watch.reload().await.kept.len(), 2);
    stage.write("finance.yaml", &rule("finance", "finance", "error"));
    std::fs::remove_file(stage.rules().join("new.yaml")).unwrap();
    let mended = running.watch.reload().await;
    assert_eq!((mended.generation, mended.problems.len(), mended.kept.len()), (generations()[2], 0, 0));
    let heard: Vec<Option<i64>> = running.heard.lock().unwrap().iter().map(|it| it.generation).collect();
    assert_eq!(heard, generations(), "who wants to know hears of each attempt");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_up_is_refused_as_a_whole() {
    let stage = Stage::set().await;
    stage.write("base.yaml", &format!("{}{RULES}", stage.base(STORE, 1, 0)));
    let mut running = stage.start().await;
    let refused = |attempted: Attempted, words: &str| {
        assert_eq!((attempted.generation, attempted.kept.len()), (None, 0), "{attempted:?}");
        let problems = attempted.problems.join("\n");
        assert!(problems.contains(words), "{problems}");
    };
    stage.write("base.yaml", &format!("{}{RULES}", stage.base("b.db", 1, 0)));
    refused(running.watch.reload().await, "the store cannot change while nightbell runs: restart it");
    // The page's address is held by the process: who moves it is told to restart, and goes on where the page was.
    let web = "web: { listen: \"127.0.0.1:8910\" }\n";
    stage.write("base.yaml", &format!("{}{RULES}{web}", stage.base(STORE, 1, 0)));
    refused(running.watch.reload().await, "restart it to go by another \"listen\"");
    // A template that cannot be used is found before anything changes.
    let template = stage.directory.path().join("body.json.hbs");
    std::fs::write(&template, "{{data.nothing}}").unwrap();
    let base = stage.base(STORE, 1, 0).replace("headers", &format!("template: {}, headers", template.display()));
    stage.write("base.yaml", &format!("{base}{RULES}"));
    let seconds = |seconds: i64| SystemClock.now() + jiff::SignedDuration::from_secs(seconds);
    let attempts = || running.heard.lock().unwrap().len();
    running.watch.turn(seconds(0)).await.unwrap();
    running.watch.turn(seconds(1)).await.unwrap();
    refused(running.heard.lock().unwrap().last().unwrap().clone(), "receiver hook0");
    // It is tried again though no rule file changes, not at every look, until it can be put in force.
    for (after, count) in [(2, 0), (50, 0), (62, 1), (63, 0), (110, 0)] {
        let before = attempts();
        running.watch.turn(seconds(after)).await.unwrap();
        assert_eq!(attempts() - before, count, "{after}");
    }
    std::fs::write(&template, "{}").unwrap();
    running.watch.turn(seconds(130)).await.unwrap();
    assert_eq!(running.heard.lock().unwrap().last().unwrap().generation, Some(2));
    let before = attempts();
    running.watch.turn(seconds(300)).await.unwrap();
    assert_eq!(attempts(), before, "it is in force");
    // What refers to a file that is gone is wrong, and no earlier version of it can help.
    stage.write("base.yaml", &stage.base(STORE, 1, 0));
    stage.write("rules.yaml", RULES);
    assert_eq!(running.watch.reload().await.generation, Some(3));
    std::fs::remove_file(stage.rules().join("base.yaml")).unwrap();
    refused(running.watch.reload().await, "there is no receiver \"hook0\"");
    std::fs::remove_file(stage.rules().join("rules.yaml")).unwrap();
    refused(running.watch.reload().await, "there is no *.yaml file");
    stage.workspace.put(failed("etl", 1));
    assert_eq!(told(&stage, 1).await[0]["data"]["job"]["name"], "etl", "what was in force still is");
    running.end().await;
}

/// The generations of three configurations, the second of which is as the first. Those who share a store would each put it in force
/// anew: there the same is the same.
fn generations() -> [Option<i64>; 3] {
    if is_on_server() { [Some(2), Some(2), Some(3)] } else { [Some(2), Some(3), Some(4)] }
}

/// A rule that is what it was does not look at the past as if for the first time, and a new one does.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_rule_tells_nothing_twice_and_sources_and_receivers_come_and_go() {
    let stage = Stage::set().await;
    stage.write("base.yaml", &stage.base(STORE, 2, 0));
    stage.write("rules.yaml", RULES);
    let mut running = stage.start().await;
    stage.workspace.put(failed("etl", 1));
    told(&stage, 1).await;
    let more = format!("{RULES}  second: {{ when: {{ status: [fail] }}, notify: [hook1] }}\n");
    stage.write("rules.yaml", &more);
    assert_eq!(running.watch.reload().await.generation, Some(2));
    let bodies = told(&stage, 2).await;
    assert_eq!(bodies[1]["data"]["alert"]["rule"], "second");
    // The receiver goes, and what fails is told to who is left; it comes back, and is told again.
    stage.write("base.yaml", &stage.base(STORE, 1, 0));
    stage.write("rules.yaml", RULES);
    assert_eq!(running.watch.reload().await.generation, Some(3));
    stage.workspace.put(failed("etl", 2));
    told(&stage, 3).await;
    stage.write("base.yaml", &stage.base(STORE, 2, 1));
    stage.write("rules.yaml", &RULES.replace("hook0", "hook1"));
    assert_eq!(running.watch.reload().await.generation, Some(4));
    stage.workspace.put(failed("etl", 3));
    let bodies = told(&stage, 4).await;
    let ids: Vec<_> = bodies.iter().map(|body| body["data"]["instance"]["id"].as_str().unwrap().to_string()).collect();
    assert_eq!(ids, ["1", "1", "2", "3"], "nothing of what was known is told anew");
    running.end().await;
    // A start with the same files goes on under the same number, one with others does not.
    for (text, generation) in [(RULES.replace("hook0", "hook1"), 4), (RULES.to_string(), 5), (RULES.to_string(), 5)] {
        stage.write("rules.yaml", &text);
        let running = stage.start().await;
        let id = 100 + generation as u64;
        stage.workspace.put(failed("again", id));
        until("the alert", || {
            stage.sink.seen.lock().unwrap().iter().any(|(_, body)| body.contains(&format!("\"{id}\"")))
        })
        .await;
        running.end().await;
        let alerts = stage.alerts().await;
        let alert = alerts.iter().find(|it| it.facts.job.name == "again" && it.facts.subject().id == id.to_string());
        assert_eq!(alert.unwrap().generation, Some(generation));
    }
}

/// By itself, with no word from anybody: an edit, and a link that leads elsewhere, as a ConfigMap is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_taken_up_by_itself() {
    let stage = Stage::set().await;
    let place = |name: &str| stage.rules().join(name);
    let write = |version: &str, severity: &str| {
        std::fs::create_dir_all(place(version)).unwrap();
        let rule =
            format!("rules:\n  failed: {{ when: {{ status: [fail] }}, severity: {severity}, notify: [hook0] }}\n");
        std::fs::write(place(version).join("rules.yaml"), format!("version: 1\n{}{rule}", stage.base(STORE, 1, 0)))
            .unwrap();
    };
    let swap = |version: &str| {
        std::os::unix::fs::symlink(version, place("..data_tmp")).unwrap();
        std::fs::rename(place("..data_tmp"), place("..data")).unwrap();
    };
    write("..1", "info");
    write("..2", "critical");
    write("..3", "worst");
    swap("..1");
    std::os::unix::fs::symlink("..data/rules.yaml", place("rules.yaml")).unwrap();
    let running = stage.start().await;
    let Running { watch, stop, program, heard } = running;
    let (watching, _) = watched(watch, &stop);
    let attempts = || heard.lock().unwrap().len();
    swap("..2");
    until("the new version", || attempts() == 1).await;
    assert_eq!(heard.lock().unwrap()[0].generation, Some(2));
    swap("..3");
    until("the broken version", || attempts() == 2).await;
    stage.workspace.put(failed("etl", 1));
    assert_eq!(told(&stage, 1).await[0]["data"]["alert"]["severity"], "critical");
    write("..3", "warning");
    until("the edit", || attempts() == 3).await;
    let heard: Vec<Option<i64>> = heard.lock().unwrap().iter().map(|it| it.generation).collect();
    // Under a name of its own the broken file had no other version to fall back to than the one in force.
    assert_eq!(heard, generations());
    stop.cancel();
    watching.await.unwrap();
    program.await.unwrap();
}

/// Watches the files until `stop`; with it, how that fares.
fn watched(watch: RuleWatch, stop: &CancellationToken) -> (JoinHandle<()>, Statuses) {
    let statuses = Statuses::default();
    let runner = Runner::new(Arc::new(SystemClock), statuses.clone());
    let stop = stop.clone();
    (tokio::spawn(async move { runner.run(watch, &stop).await }), statuses)
}

/// How the watching fares is known like that of every loop, and an attempt that breaks down is made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_breaks_down_is_tried_again() {
    let stage = Stage::set().await;
    stage.write("base.yaml", &stage.base("a.db", 1, 0));
    stage.write("rules.yaml", RULES);
    let files = RuleFiles::read(&stage.rules()).unwrap();
    let loaded = Config::from_files(&files.files, &LoadOptions::default()).unwrap_or_else(|it| panic!("{it}"));
    let app = App::open(&loaded.config, Arc::new(SystemClock)).await.unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let on_reload = Arc::new(move |_: &Attempted| {
        assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "it broke down (as this test wants)");
    });
    let watch = RuleWatch::new(&stage.rules(), files, app.reloader(), on_reload);
    let (stop, asked) = (CancellationToken::new(), watch.asked());
    let run = app.run(stop.clone());
    let program = tokio::spawn(async move { run.await.unwrap() });
    let (watching, statuses) = watched(watch, &stop);
    let is_well = || statuses.get("rules").is_some_and(|status| status.looked_at.is_some() && status.failing.is_none());
    until("a first look", is_well).await;
    stage.write("rules.yaml", &RULES.replace("status: [fail]", "status: [fail, rejected]"));
    until("the first attempt", || attempts.load(Ordering::SeqCst) == 1).await;
    until("the second", || attempts.load(Ordering::SeqCst) == 2).await;
    until("its end", is_well).await;
    asked.ask();
    until("one that somebody asked for", || attempts.load(Ordering::SeqCst) == 3).await;
    stop.cancel();
    watching.await.unwrap();
    program.await.unwrap();
    assert_eq!(statuses.get("rules"), None, "it is over");
}

/// The names of the files are in what is compared: the same text under another name is another file.
#[test]
fn a_fingerprint_is_of_names_and_texts() {
    let of = |file: &str, text: &str| {
        let text = format!(
            "version: 1\nsources:\n  s: {{ type: dataarts, region: r, project_id: p, auth: {{ token: {{ env: T }} }} }}\n{text}"
        );
        Config::from_text(text, file, Path::new(""), &LoadOptions { offline: true }).unwrap().config.fingerprint
    };
    assert_eq!(of("a", "rules: {}\n"), of("a", "rules: {}\n"));
    assert_ne!(of("a", "rules: {}\n"), of("b", "rules: {}\n"));
    assert_ne!(of("a", "rules: {}\n"), of("a", "rules: {}\n\n"));
}
