//! Several machines on one database, each a process with a rules file of its own: what is typed on one counts for what runs on
//! another, what one finds another tells at once, and who takes over keeps to what the one before had spent, heard and learnt.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nightbell::sim::{SimConfig, SimUser};
use serde_json::Value;

use super::scene::signal;
use crate::cluster;
use crate::program::sink::Sink;
use crate::program::{Running, Stage, failed, nightbell, pause, text};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Another machine, which has the same rules.
struct Machine(tempfile::TempDir);

impl Machine {
    fn beside(stage: &Stage) -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        std::fs::copy(stage.path("rules.yaml"), machine.0.path().join("rules.yaml")).unwrap();
        machine
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = nightbell(arguments);
        command.current_dir(self.0.path());
        command
    }

    /// What a command prints there.
    async fn said(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    async fn listed(&self, what: &str) -> Vec<Value> {
        self.said(&[what, "--json"]).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn start(&self) -> Running {
        let log = std::fs::File::create(self.0.path().join("log")).unwrap();
        Running(self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

/// Which process runs by each lease.
async fn holders(stage: &Stage) -> Vec<(String, Option<u64>)> {
    let shown = stage.output(&["replicas", "--json"]).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", text(&shown.stderr)));
    let replicas = shown["replicas"].as_array().unwrap();
    let process = |id: &Value| replicas.iter().find(|one| one["id"] == *id).and_then(|one| one["process"].as_u64());
    let loops = shown["loops"].as_array().unwrap().iter();
    loops.map(|one| (one["name"].as_str().unwrap().to_string(), process(&one["replica"]))).collect()
}

/// Waits until the process runs by all leases whose names begin so.
async fn holds(stage: &Stage, running: &Running, prefix: &str) {
    let (began, pid) = (Instant::now(), Some(u64::from(running.0.id())));
    loop {
        let holders = holders(stage).await;
        let mut own = holders.iter().filter(|(name, _)| name.starts_with(prefix)).peekable();
        if own.peek().is_some() && own.all(|(_, process)| *process == pid) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{pid:?} does not run {prefix}: {holders:?}");
        pause(100).await;
    }
}

/// Stops one in order, and waits until another one runs everything.
async fn hand_over(stage: &Stage, mut from: Running, to: &Running) {
    signal(from.0.id(), "-TERM");
    holds(stage, to, "").await;
    tokio::task::spawn_blocking(move || drop(from.0.wait())).await.unwrap();
}

async fn on_server(rules: &str) -> Stage {
    Stage::set_on_server(SimConfig::default(), rules).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_on_another_machine_counts_for_the_one_that_runs() {
    let (stage, picky) = (on_server("").await, Sink::open().await);
    picky.answer(410);
    stage.write_config(&format!(
        "  lead: {{ type: webhook, url: {} }}\n  picky: {{ type: webhook, url: {} }}\nrules:\n  failed: {{ match: {{ job: \"etl_*\" }}, \
         when: {{ status: [fail] }}, notify: [{{ to: hook }}, {{ after: 15s, unless: acked, to: lead }}] }}\n  doomed: {{ match: \
         {{ job: doomed }}, when: {{ status: [fail] }}, notify: [picky] }}\ndigests:\n  daily: {{ schedule: \"0 8 * * *\", \
         notify: [hook] }}\n",
        stage.sink.url("lead"),
        picky.url("picky")
    ));
    let _running = stage.start();
    let elsewhere = Machine::beside(&stage);
    stage.workspace.put(failed("etl_a", 1));
    stage.workspace.put(failed("etl_b", 2));
    stage.workspace.put(failed("doomed", 3));
    stage.sink.wait("both failures", |hits| hits.len() == 2).await;

    let alerts = elsewhere.listed("alerts").await;
    let id = |job: &str| alerts.iter().find(|one| one["job"]["name"] == job).unwrap()["alert"]["id"].clone();
    elsewhere.said(&["ack", id("etl_a").as_str().unwrap(), "--by", "li"]).await;
    let explained = elsewhere.said(&["explain", "etl_a"]).await;
    assert!(explained.contains("hook: delivered"), "{explained}");
    let digest = elsewhere.said(&["digest", "daily"]).await;
    assert!(digest.contains("etl_a") && digest.contains("etl_b"), "{digest}");

    let quiet = ["silence", "add", "--job", "etl_quiet", "--for", "1h", "--reason", "deploy", "--by", "li"];
    elsewhere.said(&quiet).await;
    stage.workspace.put(failed("etl_quiet", 4));
    stage.workspace.put(failed("etl_loud", 5));
    let named = |hits: &[crate::program::sink::Hit], path: &str| -> Vec<String> {
        let at = hits.iter().filter(|hit| hit.path == path);
        let mut jobs: Vec<_> = at.map(|hit| hit.json()["data"]["job"]["name"].as_str().unwrap().to_string()).collect();
        jobs.sort();
        jobs
    };
    stage.sink.wait("the loud one", |hits| named(hits, "/hook").contains(&"etl_loud".to_string())).await;
    let alerts = elsewhere.listed("alerts").await;
    let held = alerts.iter().find(|one| one["job"]["name"] == "etl_quiet").unwrap();
    assert_eq!(held["suppressed_by"], "silence:1");

    let began = Instant::now();
    let dead = loop {
        let deliveries = elsewhere.listed("deliveries").await;
        if let Some(dead) = deliveries.iter().find(|one| one["state"] == "dead") {
            break dead["id"].as_str().unwrap().to_string();
        }
        assert!(began.elapsed() < PATIENCE, "{deliveries:?}");
        pause(100).await;
    };
    picky.answer(200);
    let asked = Instant::now();
    elsewhere.said(&["deliveries", "retry", &dead]).await;
    picky.wait("the dead letter", |hits| hits.len() == 2).await;
    println!("sent again {:?} after that was asked for elsewhere", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(20), "sent again only after {:?}", asked.elapsed());

    // The one that nobody is on goes further, and by then the other one would have.
    let hits = stage.sink.wait("the step", |hits| named(hits, "/lead").contains(&"etl_loud".to_string())).await;
    assert_eq!(named(&hits, "/lead"), ["etl_b", "etl_loud"]);
    assert_eq!(named(&hits, "/hook"), ["etl_a", "etl_b", "etl_loud"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_finds_another_tells_at_once() {
    let stage = on_server("").await;
    let hooks = ["one", "two", "three"];
    let receivers: String =
        hooks.iter().map(|name| format!("  {name}: {{ type: webhook, url: {} }}\n", stage.sink.url(name))).collect();
    stage.write_config(&format!(
        "{receivers}rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [{{ to: [one, two] }}, {{ after: 2s, to: three }}] }}\n"
    ));
    let finds = stage.start();
    holds(&stage, &finds, "").await;
    let machine = Machine::beside(&stage);
    let tells = machine.start();
    let began = Instant::now();
    while !text(&stage.output(&["replicas"]).await.stdout).contains(&tells.0.id().to_string()) {
        assert!(began.elapsed() < PATIENCE, "the second one does not come");
        pause(100).await;
    }
    // All but the poll is given up for the first one, while it cannot object.
    signal(finds.0.id(), "-STOP");
    let url = stage.store();
    let free = "UPDATE lease SET holder = NULL, until = 0 WHERE name NOT LIKE 'poll/%'";
    tokio::task::spawn_blocking(move || cluster::run(&url, free)).await.unwrap();
    for prefix in ["deliver/", "escalat"] {
        holds(&stage, &tells, prefix).await;
    }
    signal(finds.0.id(), "-CONT");
    holds(&stage, &finds, "poll/").await;
    for round in 0..3_usize {
        stage.workspace.put(failed("etl", u64::try_from(round + 1).unwrap()));
        let began = Instant::now();
        let all = (round + 1) * hooks.len();
        stage.sink.wait("every hook", |hits| hits.len() >= all).await;
        println!("told everybody after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(15), "told only after {:?}", began.elapsed());
    }
    // Lanes may have been handed back since: they are spread evenly.
    holds(&stage, &finds, "poll/").await;
    assert_eq!(stage.sink.hits().len(), 3 * hooks.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_heir_keeps_to_what_was_spent_and_to_a_pause_that_was_asked_for() {
    let (stage, full) = (on_server("").await, Sink::open().await);
    stage.write_config(&format!(
        "  slow: {{ type: webhook, url: {}, rate: {{ per_minute: 2, burst: 2 }} }}\n  full: {{ type: webhook, url: {} }}\n\
         rules:\n  failed: {{ when: {{ status: [fail] }}, severity: critical, notify: [hook, slow, full] }}\n",
        stage.sink.url("slow"),
        full.url("full")
    ));
    full.answer_after(429, 3600);
    let first = stage.start();
    let at = |path: &str| stage.sink.hits_at(path).len();
    let began = Instant::now();
    for number in 1..=2 {
        stage.workspace.put(failed("etl", number));
        let count = usize::try_from(number).unwrap();
        stage.sink.wait("it", |hits| hits.iter().filter(|hit| hit.path == "/slow").count() == count).await;
    }
    full.wait("the one that is refused", |hits| hits.len() == 1).await;
    let machine = Machine::beside(&stage);
    let second = machine.start();
    // It is noted each second.
    pause(3000).await;
    hand_over(&stage, first, &second).await;
    stage.workspace.put(failed("etl", 3));
    stage.sink.wait("the heir", |hits| hits.iter().filter(|hit| hit.path == "/hook").count() == 3).await;
    pause(3000).await;
    assert_eq!(full.hits().len(), 1, "it was asked to wait for an hour");
    let (spent, took) = (at("slow"), began.elapsed());
    println!("{spent} messages of 2 a minute within {took:?}");
    assert!(spent == 2 || took > Duration::from_secs(58), "{spent} messages of 2 a minute within {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_heir_does_not_try_a_password_again_that_was_refused() {
    let user = SimUser::new("bell", "right", "acme");
    let stage = Stage::set_on_server(SimConfig { user: Some(user), ..SimConfig::default() }, "rules: {}\n").await;
    let (sim, secret) = (stage.workspace.config(), stage.path("password"));
    std::fs::write(&secret, "right").unwrap();
    let key = format!("auth: {{ access_key: {}, secret_key: {} }}", sim.access_key, sim.secret_key);
    let auth = format!(
        "auth: {{ user: bell, password: {{ file: {} }}, domain: acme, iam_endpoint: \"{}\" }}",
        secret.display(),
        stage.workspace.endpoint()
    );
    let rules = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    assert!(rules.contains(&key), "{rules}");
    std::fs::write(stage.path("rules.yaml"), rules.replace(&key, &auth)).unwrap();

    let first = stage.start();
    let second = Machine::beside(&stage);
    let log = second.0.path().join("log");
    let second = (second.start(), second);
    let wait = async |what: &str, done: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            pause(50).await;
        }
    };
    let requests = || stage.workspace.requests();
    wait("a poll", &|| requests().list > 2).await;
    wait("the second one", &|| std::fs::read_to_string(&log).unwrap().contains("nightbell runs")).await;
    // Whoever polls now: the other one has read what was learnt before there was anything.
    std::fs::write(&secret, "wrong").unwrap();
    let before = requests().sign_in;
    stage.workspace.revoke_tokens();
    wait("the refusal", &|| requests().sign_in > before).await;
    pause(2500).await;
    let refused = requests().sign_in;
    hand_over(&stage, first, &second.0).await;
    pause(3000).await;
    assert_eq!(requests().sign_in, refused, "the password was tried again: {}", std::fs::read_to_string(&log).unwrap());
}

/// One round of everything needs all leases, which others hold.
#[tokio::test(flavor = "multi_thread")]
async fn run_once_beside_a_replica_that_works_says_who_does_it() {
    let stage = on_server(crate::program::TELL_FAILURES).await;
    let running = stage.start();
    holds(&stage, &running, "").await;
    let machine = Machine::beside(&stage);
    let mut command = machine.command(&["run", "--once"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("other replicas hold ") && said.contains("they do what \"run --once\" would do"), "{said}");
    holds(&stage, &running, "").await;
}

/// What is under way in one round of everything is cut when a lease is lost, and nothing more is begun.
#[tokio::test(flavor = "multi_thread")]
async fn run_once_ends_when_a_lease_is_lost() {
    let stage = on_server(crate::program::TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.hang_at("hook", true);
    let mut command = stage.command(&["run", "--once"]);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    stage.sink.wait("the message that hangs", |hits| hits.len() == 1).await;
    let (url, began) = (stage.store(), Instant::now());
    let another = "UPDATE lease SET token = token + 1, holder = 'another', \
        until = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) + 60000 WHERE name = 'deliver/hook'";
    tokio::task::spawn_blocking(move || cluster::run(&url, another)).await.unwrap();
    let output = ended.await.unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the lease deliver/hook was lost: another replica may have it"), "{said}");
    // It hears of it when it renews the lease.
    assert!(began.elapsed() < Duration::from_secs(13), "cut only after {:?}", began.elapsed());
    let held = holders(&stage).await;
    let left: Vec<_> = held.iter().filter(|(_, process)| process.is_some()).collect();
    assert!(left.is_empty(), "the others were not given up: {left:?}");
}
