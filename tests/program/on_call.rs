//! What the person on call holds in hand, from the real binary: commands that need the store alone, and how they answer.

use std::process::Output;

use nightbell::sim::{Fault, Operation, SimInstance};
use serde_json::Value;

use super::{Stage, TELL_FAILURES, ago, exists, failed, nightbell, pause, text};

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A stage with an alert about `etl_orders` that was told, and the alert's id.
async fn alerted() -> (Stage, String) {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl_orders", 1));
    stage.once(0).await;
    let id = stage.listed("alerts").await[0]["alert"]["id"].as_str().unwrap().to_string();
    (stage, id)
}

/// A rule that was saved half-written at night took away the commands by which people look and say that they are on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rules_file_takes_no_command_away() {
    let (stage, id) = alerted().await;
    let whole = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let broken = [
        ("a wrong key in a rule", whole.replace("severity: critical", "severty: critical")),
        ("no YAML", format!("{whole}  half: {{ match: [\n")),
        ("a receiver of no kind", whole.replace("type: webhook", "type: webhok")),
    ];
    for (what, rules) in broken {
        std::fs::write(stage.path("rules.yaml"), rules).unwrap();
        let commands: [&[&str]; 11] = [
            &["alerts"],
            &["deliveries"],
            &["jobs"],
            &["instances"],
            &["explain", "etl_orders"],
            &["digest", "daily"],
            &["ack", &id, "--by", "li"],
            &["unack", &id],
            &["silence", "add", "--job", "etl_*", "--for", "1h", "--reason", "at work", "--by", "li"],
            &["silence", "list"],
            &["silence", "expire", "1", "--by", "li"],
        ];
        for arguments in commands {
            let output = stage.output(arguments).await;
            let said = text(&output.stderr);
            assert_eq!(code(&output), Some(0), "{what}: {arguments:?}: {said}");
            assert!(said.contains("rules.yaml:") && said.contains("the configuration is broken"), "{what}: {said}");
        }
        let explained = text(&stage.output(&["explain", "etl_orders"]).await.stdout);
        assert!(explained.contains("alert ") && explained.contains("hook: delivered "), "{what}: {explained}");
        for arguments in [["run", "--once"], ["check", "--offline"]] {
            assert_eq!(code(&stage.output(&arguments).await), Some(78), "{what}: {arguments:?}");
        }
    }
    // Without any file, the store may be named.
    let store = stage.store();
    let elsewhere = tempfile::tempdir().unwrap();
    let bare = |arguments: &[&str]| nightbell(arguments).current_dir(elsewhere.path()).output().unwrap();
    assert_eq!(code(&bare(&["alerts"])), Some(78));
    for arguments in [["alerts", "--store", &store], ["deliveries", "--store", &store]] {
        let output = bare(&arguments);
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("etl_orders"), "{arguments:?}: {}", text(&output.stdout));
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    }
    let shown = bare(&["deliveries", "--store", &store, "--json"]);
    let delivery = serde_json::from_str::<Value>(text(&shown.stdout).lines().next().unwrap()).unwrap();
    let shown = bare(&["deliveries", "show", delivery["id"].as_str().unwrap(), "--store", &store]);
    assert!(text(&shown.stdout).contains("etl_orders"), "{}", text(&shown.stderr));
}

/// An address that is not known here is no reason to look into another store.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_address_is_not_known_is_not_guessed() {
    let (stage, _) = alerted().await;
    let whole = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let place = stage.path("nightbell.db").display().to_string();
    std::fs::write(stage.path("rules.yaml"), whole.replace(&place, "${NO_SUCH_VARIABLE}")).unwrap();
    // The default store is there, and is not the one that is meant.
    let output = stage.output(&["alerts"]).await;
    assert_eq!(code(&output), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("--store"), "{}", text(&output.stderr));
    // Broken as text, two files that name two stores.
    std::fs::write(stage.path("rules.yaml"), format!("{whole}store: sqlite://other.db\nx: [\n")).unwrap();
    assert_eq!(code(&stage.output(&["alerts"]).await), Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_closed_beside_a_broken_receiver_and_its_end_is_sent_by_who_runs() {
    let (stage, id) = alerted().await;
    let whole = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    std::fs::write(stage.path("rules.yaml"), whole.replace("type: webhook", "type: webhok")).unwrap();
    let output = stage.output(&["close", &id, "--by", "li", "--reason", "planned"]).await;
    let said = text(&output.stderr);
    assert_eq!(code(&output), Some(0), "{said}");
    assert!(said.contains("hook cannot be opened here: a running nightbell notifies it"), "{said}");
    // Whoever runs next with a sound file makes good on it: once.
    std::fs::write(stage.path("rules.yaml"), whole).unwrap();
    let before = stage.sink.hits().len();
    stage.once(0).await;
    stage.once(0).await;
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), before + 1, "the end is sent once");
    assert_eq!(hits[before].json()["type"], "alert.resolved");
    assert_eq!(hits[before].json()["data"]["alert"]["ended"]["reason"], "closed");
}

async fn status(stage: &Stage) -> (Option<i32>, Value, String) {
    let output = stage.output(&["status", "--json"]).await;
    let said = text(&output.stdout);
    let object = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}{}", text(&output.stderr)));
    let shown = stage.output(&["status"]).await;
    (code(&output), object, text(&shown.stdout) + &text(&shown.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_whether_it_runs_and_sees() {
    let (stage, _) = alerted().await;
    stage.sink.answer(500);
    stage.workspace.put(failed("etl_stock", 2));
    let (exit, stopped, said) = status(&stage).await;
    assert_eq!((exit, &stopped["running"]), (Some(1), &false.into()), "{said}");
    assert!(said.contains("nightbell is not running") && said.contains("blind: nightbell is not running"), "{said}");

    let running = stage.start();
    let mut seen = status(&stage).await;
    for _ in 0..400 {
        if seen.0 == Some(0) && seen.1["pending"] == 1 {
            break;
        }
        pause(50).await;
        seen = status(&stage).await;
    }
    let (exit, object, said) = seen;
    assert_eq!((exit, &object["running"], &object["pid"]), (Some(0), &true.into(), &running.0.id().into()), "{said}");
    assert_eq!((&object["pending"], &object["firing"], &object["dead"]), (&1.into(), &2.into(), &0.into()), "{said}");
    assert_eq!(object["receivers"][0]["receiver"], "hook");
    assert!(object["since"].is_string() && object["oldest_pending"].is_string(), "{object}");
    assert_eq!((&object["sources"][0]["source"], &object["sources"][0]["error"]), (&"warehouse".into(), &Value::Null));
    for part in
        ["nightbell has been running since ", "warehouse ", "pending   1, the oldest from ", "(hook 1)", "firing    2"]
    {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }

    stage.workspace.inject(Fault::answer(401, "{}").on(Operation::List).times(1_000_000));
    let mut seen = status(&stage).await;
    for _ in 0..400 {
        if seen.0 == Some(1) {
            break;
        }
        pause(50).await;
        seen = status(&stage).await;
    }
    let (exit, object, said) = seen;
    assert_eq!((exit, &object["running"]), (Some(1), &true.into()), "{said}");
    let source = &object["sources"][0];
    assert!(source["error"].as_str().unwrap().contains("401"), "{source}");
    assert!(source["last_good_poll"].is_string() && source["unreadable_since"].is_string(), "{source}");
    assert!(said.contains("unreadable since ") && said.contains("blind: warehouse cannot be read"), "{said}");
    // Looking at it keeps nobody from working on it.
    drop(running);
    let mut again = stage.start();
    for _ in 0..20 {
        status(&stage).await;
    }
    assert!(again.0.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(stage.path("log")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_says_how_much_it_leaves_out_and_what_deliveries_are_about() {
    let (stage, _) = alerted().await;
    for id in 2..=4 {
        stage.workspace.put(failed(&format!("etl_{id}"), id));
    }
    stage.once(0).await;
    let table: [(&[&str], &str); 5] = [
        (&["alerts", "--limit", "1"], "the newest 1 of 4 alerts"),
        (&["alerts", "--limit", "2", "--job", "etl_[2-4]", "--json"], "the newest 2 of 3 alerts"),
        (&["deliveries", "--limit", "3"], "the newest 3 of 4 deliveries"),
        (&["instances", "--limit", "1", "--status", "fail"], "the latest 1 of 4 instances"),
        (&["jobs", "--limit", "2"], "the first 2 of 4 jobs"),
    ];
    for (arguments, words) in table {
        let output = stage.output(arguments).await;
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
    for arguments in [&["alerts", "--limit", "4"][..], &["alerts"], &["jobs"]] {
        assert!(stage.output(arguments).await.stderr.is_empty(), "{arguments:?}");
    }
    let deliveries = text(&stage.output(&["deliveries"]).await.stdout);
    assert!(deliveries.contains("etl_orders") && deliveries.contains("etl_4"), "{deliveries}");
}

/// The newest by when they began, which the table shows; an old failure that was recorded last stood above the newest.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_stand_in_the_order_of_the_time_that_is_shown() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.once(0).await;
    let at = |job: &str, id: u64, ended: i64| SimInstance::waiting(job, id, ago(ended + 60)).ended("fail", ago(ended));
    stage.workspace.put(at("new", 1, 30));
    stage.once(0).await;
    stage.workspace.put(at("old", 2, 1200));
    stage.once(0).await;
    let jobs: Vec<Value> = stage.listed("alerts").await.iter().map(|line| line["job"]["name"].clone()).collect();
    assert_eq!(jobs, ["new", "old"]);
    let newest = text(&stage.output(&["alerts", "--limit", "1"]).await.stdout);
    assert!(newest.contains("new #1") && !newest.contains("old #2"), "{newest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_known_are_refused_with_what_was_meant() {
    let (stage, _) = alerted().await;
    let table: [(&[&str], &str); 9] = [
        (&["alerts", "--rule", "faild"], "there is no rule \"faild\"; did you mean \"failed\"?"),
        (&["alerts", "--receiver", "hok"], "there is no receiver \"hok\"; did you mean \"hook\"?"),
        (&["alerts", "--source", "x"], "there is no source \"x\"; the sources are warehouse"),
        (&["deliveries", "--rule", "faild"], "did you mean \"failed\"?"),
        (&["deliveries", "--receiver", "hok"], "did you mean \"hook\"?"),
        (&["deliveries", "--alert", "zz"], "no alert's id begins with \"zz\""),
        (&["deliveries", "retry", "--receiver", "hok", "--since", "1h"], "did you mean \"hook\"?"),
        (&["ack", "--rule", "faild", "--by", "li"], "did you mean \"failed\"?"),
        (&["silence", "add", "--source", "warehose", "--for", "1h", "--reason", "x", "--by", "li"], "\"warehouse\"?"),
    ];
    for (arguments, words) in table {
        let output = stage.output(arguments).await;
        assert_eq!(code(&output), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
    // What the configuration had once is known from what is stored of it.
    stage.write_config("rules:\n  other: { when: { status: [pause] }, notify: [hook] }\n");
    assert_eq!(code(&stage.output(&["alerts", "--rule", "failed"]).await), Some(0));
    assert_eq!(code(&stage.output(&["deliveries", "--rule", "failed"]).await), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_matches_nothing_known_says_so() {
    let (stage, _) = alerted().await;
    let add = async |what: &[&str]| {
        let arguments = [&["silence", "add", "--for", "1h", "--reason", "x", "--by", "li"], what].concat();
        let output = stage.output(&arguments).await;
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let said = add(&["--job", "etl_ordrs"]).await;
    assert!(said.contains("no known job matches \"etl_ordrs\" (did you mean \"etl_orders\"?)"), "{said}");
    let said = add(&["--job", "etl_*", "--label", "team=finance"]).await;
    assert!(
        said.contains("no rule and no source has the label team=finance") && !said.contains("no known job"),
        "{said}"
    );
    assert!(!add(&["--job", "etl_*"]).await.contains("warning"));
}

/// Cron, services and containers have no USER: the system knows the name all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_acknowledges_is_the_login_name_where_no_variable_tells_it() {
    let (stage, id) = alerted().await;
    let login = std::process::Command::new("id").arg("-un").output().unwrap();
    let mut command = stage.command(&["ack", &id]);
    command.env_remove("USER").env_remove("LOGNAME").env_remove("SUDO_USER");
    let output = command.output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert_eq!(stage.listed("alerts").await[0]["acked"]["by"], text(&login.stdout).trim());
    // Whoever becomes the service's user for the command stays who they are.
    let mut command = stage.command(&["ack", &id]);
    command.env("SUDO_USER", "kim").env("LOGNAME", "nightbell").env("USER", "nightbell");
    let output = command.output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert_eq!(stage.listed("alerts").await[0]["acked"]["by"], "kim");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_has_the_error_the_node_and_the_log_and_a_line_for_each_of_many() {
    let stage = Stage::set("").await;
    let receivers: Vec<String> =
        (0..8).map(|n| format!("  hook-{n}: {{ type: webhook, url: {} }}\n", stage.sink.url("h"))).collect();
    let names: Vec<String> = (0..8).map(|n| format!("hook-{n}")).collect();
    stage.write_config(&format!(
        "{}rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [hook, {}] }}\n",
        receivers.concat(),
        names.join(", ")
    ));
    stage.workspace.put(failed("etl_orders", 1));
    stage.workspace.put(failed("etl_stock", 2));
    stage.workspace.put(failed("other", 3));
    stage.once(0).await;
    let said = text(&stage.output(&["explain", "etl_orders/1"]).await.stdout);
    assert!(said.contains("    node load: fail\n      obs://log/etl_orders/1\n"), "{said}");
    let of_receivers: Vec<&str> = said.lines().filter(|line| line.starts_with("    hook")).collect();
    assert_eq!(of_receivers.len(), 9, "{said}");
    assert!(of_receivers.iter().all(|line| line.contains(": delivered 20")), "{said}");
    assert!(!said.contains(" delivered: 200"), "attempts that went well are left out: {said}");

    let both = text(&stage.output(&["explain", "etl_*"]).await.stdout);
    assert!(both.contains("the job etl_orders in") && both.contains("the job etl_stock in"), "{both}");
    assert!(!both.contains("the job other in"), "{both}");
    assert_eq!(code(&stage.output(&["explain", "nothing_*"]).await), Some(1));

    stage.workspace.inject(Fault::answer(401, "{}").on(Operation::List).times(1000));
    stage.once(1).await;
    let said = text(&stage.output(&["explain", "etl_orders/1"]).await.stdout);
    assert!(said.contains("warehouse has been unreadable since ") && said.contains("401"), "{said}");
}

#[test]
fn a_configuration_to_begin_with_is_right_and_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| nightbell(arguments).current_dir(directory.path()).output().unwrap();
    for (arguments, file) in [(&["init"][..], "rules.yaml"), (&["init", "--example", "-c", "all.yaml"], "all.yaml")] {
        let output = run(arguments);
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).trim(), file);
        let checked = run(&["check", "--offline", "-c", file]);
        assert_eq!(code(&checked), Some(0), "{}", text(&checked.stderr));
        // The example names a calendar, which has a last year.
        let other = text(&checked.stderr).lines().filter(|line| !line.contains("the calendar cn covers")).count();
        assert_eq!(other, 0, "{}", text(&checked.stderr));
    }
    std::fs::write(directory.path().join("rules.yaml"), "mine").unwrap();
    let again = run(&["init"]);
    assert_eq!(code(&again), Some(1));
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(directory.path().join("rules.yaml")).unwrap(), "mine");
    let printed = text(&run(&["init", "--stdout"]).stdout);
    assert!(printed.starts_with("# What Nightbell watches") && printed.contains("sources:"), "{printed}");
}

/// People are notified, and messages sent: one word for one idea, in what the commands say of themselves too.
#[test]
fn help_speaks_in_the_words_of_the_documents() {
    let help = |arguments: &[&str]| text(&nightbell(arguments).arg("--help").output().unwrap().stdout);
    let all = help(&[]);
    let commands = all.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands.iter().filter(|command| **command != "help") {
        let said = help(&[command]);
        for word in [" told", " tells", " tell ", "nobody is", "its end"] {
            assert!(!said.contains(word), "{command}: {word:?} in\n{said}");
        }
    }
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = nightbell(&["completions", shell]).output().unwrap();
        let script = text(&output.stdout);
        assert_eq!(code(&output), Some(0), "{shell}");
        for word in ["silence", "backtest", "status", "--json"] {
            let word = if shell == "fish" { word.trim_start_matches("--") } else { word };
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let output = nightbell(&["man"]).arg(directory.path().join("man1")).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    for page in ["nightbell.1", "nightbell-alerts.1", "nightbell-silence-add.1"] {
        assert!(exists(&directory.path().join("man1").join(page)), "{page}");
    }
    let page = std::fs::read_to_string(directory.path().join("man1/nightbell-alerts.1")).unwrap();
    assert!(page.contains("Lists alerts"), "{page}");
    assert!(!exists(&directory.path().join("man1/nightbell-man.1")), "what is hidden has no page");
}

/// What packages are tried with.
#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_workspace_goes_on_and_says_what_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let said = std::fs::File::create(directory.path().join("told")).unwrap();
    let mut simulate = nightbell(&["simulate", ".", "--jobs", "3", "--every", "1s"]);
    let child =
        simulate.current_dir(directory.path()).stdout(said).stderr(std::process::Stdio::null()).spawn().unwrap();
    let simulated = super::Running(child);
    let told = || std::fs::read_to_string(directory.path().join("told")).unwrap_or_default();
    for _ in 0..400 {
        if told().contains("alert.firing") {
            break;
        }
        if exists(&directory.path().join("rules.yaml")) {
            let mut run = nightbell(&["run", "--once", "--log", "error"]);
            run.current_dir(directory.path());
            tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
        }
        pause(50).await;
    }
    drop(simulated);
    let first: Value = serde_json::from_str(told().lines().next().expect("something is told")).unwrap();
    assert_eq!(first["type"], "alert.firing");
    assert!(first["job"].as_str().unwrap().starts_with("etl_"), "{first}");
}
