//! Rule files that change while the real program runs, and SIGHUP.

use std::process::Command;

use super::{Running, Stage, TELL_FAILURES, failed, text};

fn hang_up(running: &Running) {
    assert!(Command::new("kill").args(["-HUP", &running.0.id().to_string()]).status().unwrap().success());
}

fn count(stage: &Stage, words: &str) -> usize {
    std::fs::read_to_string(stage.path("log")).unwrap_or_default().matches(words).count()
}

/// Waits for the log to say something for the `times`-th time, for longer than any machine takes.
async fn logged(stage: &Stage, words: &str, times: usize) {
    for _ in 0..12_000 {
        if count(stage, words) >= times {
            return;
        }
        super::pause(10).await;
    }
    panic!("the log does not say {words:?}:\n{}", std::fs::read_to_string(stage.path("log")).unwrap());
}

const IN_FORCE: &str = "the configuration was read again and is in force";
const REFUSED: &str = "the configuration was refused";

#[tokio::test(flavor = "multi_thread")]
async fn sighup_has_the_files_read_again_and_a_broken_one_changes_nothing() {
    let stage = Stage::set(TELL_FAILURES).await;
    let running = stage.start();
    logged(&stage, "nightbell runs", 1).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.wait("the failure", |hits| hits.len() == 1).await;

    stage.write_config(&TELL_FAILURES.replace("critical", "info, labels: { team: finance }"));
    hang_up(&running);
    logged(&stage, IN_FORCE, 1).await;
    stage.workspace.put(failed("etl", 2));
    let hits = stage.sink.wait("the second failure", |hits| hits.len() == 2).await;
    let alert = hits[1].json()["data"]["alert"].clone();
    assert_eq!((&alert["severity"], &alert["labels"]["team"]), (&"info".into(), &"finance".into()));

    stage.write_config("rules: [");
    hang_up(&running);
    logged(&stage, REFUSED, 1).await;
    assert!(count(&stage, "not readable as YAML") >= 1, "what is wrong is in the log");
    stage.workspace.put(failed("etl", 3));
    stage.sink.wait("the third failure", |hits| hits.len() == 3).await;
    stage.write_config(&TELL_FAILURES.replace("critical", "info"));
    hang_up(&running);
    logged(&stage, IN_FORCE, 2).await;
    let mut generations: Vec<(String, i64)> = stage
        .listed("alerts")
        .await
        .iter()
        // What is told of the refused file is about no instance.
        .filter(|line| line["instance"].is_object())
        .map(|line| (line["instance"]["id"].as_str().unwrap().to_string(), line["generation"].as_i64().unwrap()))
        .collect();
    generations.sort();
    // The watch may have seen a file before the signal came, and read it once more.
    let numbers: Vec<i64> = generations.iter().map(|(_, number)| *number).collect();
    assert!(numbers[0] == 1 && numbers[1] > 1 && numbers[2] >= numbers[1], "{generations:?}");
    assert_eq!(stage.sink.hits().len(), 3, "nothing is told twice");
}

/// Many reloads leave no file open and no memory behind.
#[tokio::test(flavor = "multi_thread")]
async fn reloads_leave_no_file_open() {
    let stage = Stage::set(TELL_FAILURES).await;
    let running = stage.start();
    logged(&stage, "nightbell runs", 1).await;
    let open = || std::fs::read_dir(format!("/proc/{}/fd", running.0.id())).unwrap().count();
    let mut first = 0;
    for round in 1..=60 {
        // The receiver changes each time, so that everything of it is made anew.
        stage.write_config(TELL_FAILURES);
        let text = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
        let changed = format!("type: webhook, headers: {{ x-round: \"{round}\" }}, url:");
        std::fs::write(stage.path("rules.yaml"), text.replace("type: webhook, url:", &changed)).unwrap();
        hang_up(&running);
        logged(&stage, IN_FORCE, round).await;
        first = if round == 10 { open() } else { first };
    }
    assert!(open() <= first + 10, "{} files are open, after ten reloads it were {first}", open());
}

/// At the start there is no last good version: nothing is started by half.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_a_broken_file_is_refused_at_the_start() {
    let stage = Stage::set(TELL_FAILURES).await;
    let directory = stage.path("rules.d");
    std::fs::create_dir(&directory).unwrap();
    std::fs::rename(stage.path("rules.yaml"), directory.join("a.yaml")).unwrap();
    std::fs::write(directory.join("b.yaml"), "version: 1\nrules:\n  b: { notify: [hok], when: { status: fail } }\n")
        .unwrap();
    let run = |arguments: &[&str]| {
        let mut command = super::nightbell(arguments);
        command.arg("-c").arg("rules.d").current_dir(stage.directory.path()).output().unwrap()
    };
    for arguments in [&["check"][..], &["run"], &["run", "--once"], &["backtest"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        assert!(
            text(&output.stderr).contains("error: rules.d/b.yaml:3:17: rules.b.notify[0]"),
            "{}",
            text(&output.stderr)
        );
    }
    std::fs::write(directory.join("b.yaml"), "version: 1\nrules:\n  b: { notify: [hook], when: { status: fail } }\n")
        .unwrap();
    let output = run(&["check"]);
    assert_eq!(text(&output.stdout), "rules.d: 2 files, 1 source, 1 receiver, 2 rules; 4 warnings\n");
    assert_eq!(run(&["run", "--once"]).status.code(), Some(0));
}
