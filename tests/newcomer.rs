//! What the documents tell people to type is typed: the first five minutes of a newcomer, from an empty directory to a message on
//! a channel, and every other command that a document names.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::program::sink::Sink;
use crate::program::{Running, Stage, TELL_FAILURES, failed, nightbell, pause, text};
use crate::readme::{README, blocks, commands, documents, quoted, shell_words};
use crate::sample::is_on_server;

/// The commands of the README's five minutes, in its order.
fn first_steps() -> Vec<String> {
    let section = README.split("## Five minutes").nth(1).unwrap().split("\n## ").next().unwrap();
    // Blocks are no prose.
    let prose: String = section.split("```").step_by(2).collect();
    quoted(&prose).filter(|it| it.starts_with("nightbell ")).map(str::to_string).collect()
}

/// The five minutes, command by command, with the README's own configuration: the region gives way to the simulated
/// workspace, and the values that it takes from the environment are those of that workspace and of a sink.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_told_of_a_failure_within_six_commands() {
    let stage = Stage::set("").await;
    std::fs::remove_file(stage.path("rules.yaml")).unwrap();
    stage.workspace.put(failed("etl_orders", 34765));
    let sim = stage.workspace.config();
    let variables = [
        ("DATAARTS_PROJECT_ID", sim.project_id.clone()),
        ("HW_AK", sim.access_key.clone()),
        ("HW_SK", sim.secret_key.clone()),
        ("SLACK_WEBHOOK_URL", stage.sink.url("slack")),
    ];
    let command = |words: &str| {
        let words = shell_words(words);
        let mut command = nightbell(&words.iter().skip(1).map(String::as_str).collect::<Vec<_>>());
        command.current_dir(stage.directory.path()).envs(variables.clone());
        command
    };
    let done = async |words: &str| -> Output {
        let mut command = command(words);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{words}: {}{}", text(&output.stdout), text(&output.stderr));
        output
    };
    let steps = first_steps();
    assert_eq!(
        steps,
        ["init", "check", "doctor", "send-test oncall", "run --once", "run", "status"]
            .map(|it| format!("nightbell {it}"))
    );
    done(&steps[0]).await;
    let begun = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    assert!(begun.contains("sources:") && begun.contains('#'), "{begun}");
    done("nightbell check --offline").await;
    let shown = blocks("yaml")[0];
    let own = shown.replace("region: ap-southeast-3", &format!("endpoint: {}", stage.workspace.endpoint()));
    assert_ne!(own, shown);
    std::fs::write(stage.path("rules.yaml"), own).unwrap();

    for step in &steps[1..4] {
        done(step).await;
    }
    assert_eq!(stage.sink.hits_at("slack").len(), 1, "one message marked TEST");
    assert!(stage.sink.hits()[0].body.contains("TEST"), "{}", stage.sink.hits()[0].body);
    done(&steps[4]).await;
    let told = stage.sink.hits_at("slack");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(read(&told[1].body).contains("etl_orders failed after"), "{}", told[1].body);
    // It polls when it starts, and then each minute.
    stage.workspace.put(failed("etl_customers", 34766));
    let _running = Running(command(&steps[5]).stderr(std::process::Stdio::null()).spawn().unwrap());
    let hits = stage.sink.wait("the running program to tell", |hits| hits.len() == 3).await;
    assert!(read(&hits[2].body).contains("etl_customers"), "{}", hits[2].body);
    done(&steps[6]).await;
}

/// A message to Slack as it reads, without its marks.
fn read(body: &str) -> String {
    body.replace(['*', '`', '\u{200b}'], "")
}

/// What stands for something in a command, replaced by what is there.
struct Ground {
    alert: String,
    dead: String,
    token: String,
}

impl Ground {
    fn put_into(&self, command: &str) -> Vec<String> {
        let command = command.split(['>', ';']).next().unwrap();
        let mut words: Vec<String> = shell_words(command).into_iter().skip(1).filter(|word| word != "…").collect();
        let about = words[0].clone();
        for word in &mut words {
            let is = match (about.as_str(), word.as_str()) {
                (_, "46030c65") => &self.alert,
                ("deliveries", "ID" | "ID…") => &self.dead,
                ("token", "ID") => &self.token,
                (_, "ID") => "1",
                (_, "JOB") => "etl_orders",
                ("send-test", "NAME") => "team",
                (_, "NAME") => "li",
                _ => continue,
            };
            *word = is.to_string();
        }
        // Who does it, where that is asked for: a process of a test may have no name.
        // A name alone stands for the command with all that it needs.
        if words.len() == 1 {
            return words;
        }
        let says_who = matches!(about.as_str(), "ack" | "unack" | "close")
            || matches!((about.as_str(), words.get(1).map(String::as_str)), ("silence", Some("add" | "expire")));
        if says_who {
            words.extend(["--by".to_string(), "li".to_string()]);
        }
        // The document leaves open for how long and why.
        if words.contains(&"self/*".to_string()) {
            words.extend(["--for", "1h", "--reason", "known"].map(str::to_string));
        }
        words
    }
}

/// A stage on which everything that the documents name is there: receivers, a digest, tests, the page, an alert that fires,
/// and a delivery that was given up.
async fn furnished() -> (Stage, Ground) {
    let broken = Sink::open().await;
    broken.answer(410);
    let stage = Stage::set("").await;
    // `healthcheck` goes by the configuration's address: a port that is free now.
    let page = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stage.write_config(&format!(
        "  oncall: {{ type: webhook, url: {there} }}\n  team: {{ type: webhook, url: {there} }}\n  \
         gone: {{ type: webhook, url: {gone} }}\nrules:\n  etl-failed: {{ match: {{ job: \"etl_*\" }}, when: {{ status: [fail] }}, \
         notify: [oncall, team, gone] }}\n\
         digests:\n  daily: {{ schedule: \"0 8 * * *\", match: {{ source: warehouse }}, notify: [team] }}\n\
         web: {{ listen: \"{page}\" }}\n\
         tests:\n  told:\n    at: \"2026-11-23 03:00\"\n    instances: [{{ source: warehouse, job: etl_orders, plan: \"02:00\", \
         end: \"03:10\", status: fail }}]\n    expect: [{{ rule: etl-failed }}]\n",
        gone = broken.url("gone"),
        there = stage.sink.url("team"),
    ));
    stage.workspace.put(failed("etl_orders", 34765));
    stage.workspace.put(failed("etl_items", 34766));
    stage.once(0).await;
    let alert = stage.listed("alerts").await;
    let alert = alert.iter().find(|it| it["job"]["name"] == "etl_orders").unwrap();
    let dead = stage.listed("deliveries").await;
    let dead = dead.iter().find(|it| it["state"] == "dead").expect("a delivery that was given up");
    assert!(stage.output(&["token", "create", "--name", "maria"]).await.status.success());
    let tokens = text(&stage.output(&["token", "list"]).await.stdout);
    let token = tokens.lines().find(|line| line.contains("maria")).unwrap().split_whitespace().next().unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let alert = word(&alert["alert"]["id"])[..8].to_string();
    let ground = Ground { alert, dead: word(&dead["id"]), token: token.to_string() };
    (stage, ground)
}

/// The backup that the documents name is taken while the program works, and goes on where the store was, as they say how. It costs
/// repeats under the same ids, and loses nothing that the scheduler still lists.
#[tokio::test(flavor = "multi_thread")]
async fn the_backup_in_the_documents_goes_on_in_the_place_of_the_store() {
    if is_on_server() {
        // Nothing of it is about a database on a server.
        return;
    }
    let named: BTreeSet<String> = documents().iter().flat_map(|document| commands(&document.text)).collect();
    let backups: Vec<&String> = named.iter().filter(|command| command.starts_with("sqlite3 ")).collect();
    assert_eq!(backups.len(), 1, "{backups:?}");
    let words = shell_words(backups[0]);
    let stage = Stage::set(TELL_FAILURES).await;
    let mut running = stage.start();
    stage.workspace.put(failed("etl_before", 1));
    stage.sink.wait("the first message", |hits| hits.len() == 1).await;
    // It has arrived before its outcome is stored.
    while stage.listed("deliveries").await[0]["state"] != "delivered" {
        pause(20).await;
    }
    let mut backup = Command::new(&words[0]);
    backup.args(&words[1..]).current_dir(stage.directory.path());
    let output = tokio::task::spawn_blocking(move || backup.output().expect("tests/setup.sh installs sqlite3"));
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    stage.workspace.put(failed("etl_after", 2));
    stage.sink.wait("the second message", |hits| hits.len() == 2).await;
    running.kill();

    // What the killed program left beside the store belongs to that one, and would spoil the copy.
    for document in ["docs/operate.md", "docs/zh/operate.md"] {
        let page = documents().into_iter().find(|it| it.path.ends_with(document)).unwrap();
        for file in ["`nightbell.db-wal`", "`nightbell.db-shm`"] {
            assert!(page.text.contains(file), "{document} does not say what becomes of {file}");
        }
    }
    for file in ["nightbell.db-wal", "nightbell.db-shm"] {
        std::fs::remove_file(stage.path(file)).unwrap();
    }
    std::fs::rename(stage.path("copy.db"), stage.path("nightbell.db")).unwrap();
    let _running = stage.start();
    let hits = stage.sink.wait("the repeat", |hits| hits.len() == 3).await;
    let jobs: Vec<bool> = hits.iter().map(|hit| hit.body.contains("etl_after")).collect();
    assert_eq!(jobs, [false, true, true], "what the copy knows of is not sent again");
    assert_eq!(hits[1].id(), hits[2].id());
}

/// Each command that a document for users names does what it is said to do, beside a running program. Their order is the
/// alphabet's: an alert is acknowledged before it is closed.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_the_documents_runs() {
    let (stage, ground) = furnished().await;
    std::fs::write(stage.path("answer.json"), "{\"data\": []}").unwrap();
    let _running = stage.start();
    stage.workspace.put(failed("etl_late", 34767));
    stage.sink.wait("the program to work", |hits| hits.iter().any(|hit| hit.body.contains("etl_late"))).await;
    let named: BTreeSet<String> = documents().iter().flat_map(|document| commands(&document.text)).collect();
    let mut ran = 0;
    for command in named.iter().filter(|command| command.starts_with("nightbell ")) {
        let words = ground.put_into(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // What goes on until it is stopped has tests of its own; an answer of a scheduler is tried with the kind that reads it.
        if matches!(words[..], ["run" | "demo"]) || words.contains(&"--sample") {
            continue;
        }
        // `run --once` and `init` are for a place where nothing runs yet; `store copy` and `replicas` need a database
        // server, and are tried with a real one elsewhere.
        if matches!(words[..], ["run", "--once"] | ["init"] | ["replicas", ..] | ["store", "copy", ..]) {
            continue;
        }
        let output = stage.output(&words).await;
        // A name alone stands for the command with all that it needs.
        let is_name = words.len() <= 2 && output.status.code() == Some(2) && text(&output.stderr).contains("Usage:");
        assert!(
            output.status.success() || is_name,
            "{command} ({words:?}): {:?}\n{}{}",
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr)
        );
        ran += usize::from(!is_name);
    }
    assert!(ran > 30, "{ran}");
}
