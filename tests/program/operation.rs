//! What operators do to the program, and what happens to it: signals, streams that nobody reads, too few files, hostile
//! names, a disk that is full.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nightbell::sim::SimInstance;

use super::{Running, Stage, TELL_FAILURES, ago, exists, failed, pause, text};

/// Sends a signal to a process.
fn signal(name: &str, child: &Child) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// Waits for a process to end by itself; its exit code and how long it took.
async fn ended(running: &mut Running) -> (Option<i32>, Duration) {
    let began = Instant::now();
    loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            return (status.code(), began.elapsed());
        }
        assert!(began.elapsed() < Duration::from_secs(120), "it does not end");
        pause(20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_an_idle_program_at_once_and_in_order() {
    let stage = Stage::set(TELL_FAILURES).await;
    for (id, name) in (1..).zip(["TERM", "INT"]) {
        let mut running = stage.start();
        stage.workspace.put(failed(&format!("etl_{id}"), id));
        stage.sink.wait("the program to work", |hits| hits.len() as u64 == id).await;
        signal(name, &running.0);
        let (code, took) = ended(&mut running).await;
        assert_eq!(code, Some(0), "{name}");
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
        // Who copies the file has everything.
        assert!(!exists(&stage.path("nightbell.db-wal")), "{name}: the store was not closed");
    }
    assert_eq!(stage.sink.hits().len(), 2);
}

/// The receiver hangs when the program is asked to stop: it is gone within thirty seconds, and the message is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_during_a_hanging_attempt_ends_within_thirty_seconds_and_loses_nothing() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.hang(true);
    let mut running = stage.start();
    stage.sink.wait("the attempt to begin", |hits| hits.len() == 1).await;
    signal("TERM", &running.0);
    let (code, took) = ended(&mut running).await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
    stage.sink.hang(false);
    let _running = stage.start();
    let hits = stage.sink.wait("the next attempt", |hits| hits.len() == 2).await;
    assert_eq!((hits[0].id(), &hits[0].body), (hits[1].id(), &hits[1].body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_to_stop_ends_at_once_and_loses_nothing() {
    for (name, expected) in [("TERM", 143), ("INT", 130)] {
        stopped_twice(name, expected).await;
    }
}

async fn stopped_twice(name: &str, expected: i32) {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.hang(true);
    let mut running = stage.start();
    stage.sink.wait("the attempt to begin", |hits| hits.len() == 1).await;
    signal(name, &running.0);
    pause(500).await;
    signal(name, &running.0);
    let (code, took) = ended(&mut running).await;
    assert_eq!(code, Some(expected), "{name}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    stage.sink.hang(false);
    let _running = stage.start();
    stage.sink.wait("the next attempt", |hits| hits.len() == 2).await;
}

/// Nobody reads the log, and the pipe is full: polling and delivering go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_pipe_that_nobody_reads_holds_up_nothing() {
    let stage = Stage::set(TELL_FAILURES).await;
    let child = stage.command(&["--log", "trace", "run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    for id in 1..=400 {
        stage.workspace.put(failed(&format!("etl_{id}"), id));
    }
    stage.sink.wait("every failure to be told", |hits| hits.len() == 400).await;
    // It must have said far more than a pipe holds, or this proves nothing.
    signal("TERM", &running.0);
    let (code, _) = ended(&mut running).await;
    assert_eq!(code, Some(0));
    let mut held = Vec::new();
    std::io::Read::read_to_end(running.0.stderr.as_mut().unwrap(), &mut held).unwrap();
    assert!(held.len() >= 60_000, "only {} bytes were logged", held.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_had_enough_is_no_error() {
    let stage = Stage::set(TELL_FAILURES).await;
    for id in 1..=20 {
        stage.workspace.put(failed(&format!("etl_{id}"), id));
    }
    stage.once(0).await;
    assert!(!exists(&stage.path("nightbell.db-wal")), "the store was not closed");
    for arguments in [&["alerts"][..], &["alerts", "--json"], &["deliveries"], &["deliveries", "--json"]] {
        let mut child = stage.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("pipe"), "{arguments:?}: {stderr}");
    }
}

/// 64 files for everything: it goes on, with whatever it can open.
#[tokio::test(flavor = "multi_thread")]
async fn a_low_limit_of_open_files_is_survived() {
    let stage = Stage::set(TELL_FAILURES).await;
    for id in 1..=200 {
        stage.workspace.put(failed(&format!("etl_{id}"), id));
    }
    let program = stage.command(&["run"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    let log = std::fs::File::create(stage.path("log")).unwrap();
    let mut running = Running(shell.env_clear().stdout(Stdio::null()).stderr(log).spawn().unwrap());
    stage.sink.wait("a failure to be told", |hits| !hits.is_empty()).await;
    let told = |hits: &[super::sink::Hit]| {
        hits.iter().map(super::sink::Hit::id).collect::<std::collections::BTreeSet<_>>().len()
    };
    // What found no file to open is pending, and tried again on the schedule of every failed attempt, which may be minutes.
    for _ in 0..400 {
        if told(&stage.sink.hits()) == 200 {
            break;
        }
        pause(50).await;
    }
    signal("TERM", &running.0);
    assert_eq!(ended(&mut running).await.0, Some(0));
    let log = std::fs::read_to_string(stage.path("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    let output = stage.output(&["deliveries", "--json", "--limit", "1000"]).await;
    let states: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].to_string())
        .collect();
    assert_eq!(states.len(), 200, "nothing is lost");
    assert!(states.iter().all(|state| state == "\"delivered\"" || state == "\"pending\""), "{states:?}");
}

/// Whatever a job is called, it is one line of the log, one row of a table and one text in the body.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_job_names_stay_text() {
    let stage = Stage::set(TELL_FAILURES).await;
    let names = [
        "etl\r\nBcc: all@example.com\n2026-11-21T00:00:00Z ERROR forged",
        "\u{1b}]0;owned\u{7}\u{1b}[2J",
        "\u{202e}gnissim \u{200b}x\u{2066}",
        "'; DROP TABLE alert; --\0",
        "{{data.alert.id}} ${HOME} $(id) <!channel> &lt;",
        &"长".repeat(5000),
    ];
    for (id, name) in (1..).zip(names) {
        stage.workspace.put(failed(name, id));
    }
    let output = stage.output(&["--log", "debug", "run", "--once"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(stage.sink.hits().len(), names.len());
    let mut shown = text(&output.stderr);
    for arguments in [&["alerts"][..], &["deliveries"]] {
        let listing = stage.output(arguments).await;
        assert_eq!(listing.status.code(), Some(0));
        shown.push_str(&text(&listing.stdout));
    }
    let is_dangerous =
        |c: char| c != '\n' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!shown.chars().any(is_dangerous), "{:?}", shown.chars().find(|c| is_dangerous(*c)));
    assert!(!shown.lines().any(|line| line.starts_with("2026-11-21T00:00:00Z ERROR forged")), "{shown}");
    assert_eq!(stage.listed("alerts").await.len(), names.len());
}

/// The clock of a job's runs, and not only its names, comes from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn impossible_times_are_survived() {
    let stage = Stage::set(TELL_FAILURES).await;
    let second = ago(1).as_millisecond();
    for (id, (start, end)) in
        (1..).zip([("-1", "0"), ("9e18", "1"), ("253402300799999", "-62135596800000"), ("null", "null")])
    {
        let raw = format!(
            r#"{{"jobName":"odd","jobId":1,"instanceId":{id},"status":"fail","planTime":{second},"startTime":{start},"endTime":{end}}}"#
        );
        stage.workspace.put_raw(ago(1), &raw);
    }
    stage.workspace.put(SimInstance::waiting("etl", 99, ago(100)).ended("fail", ago(1)));
    let output = stage.output(&["run", "--once"]).await;
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    let told: Vec<_> = stage.sink.hits().iter().map(|hit| hit.json()["data"]["instance"]["id"].clone()).collect();
    assert!(told.contains(&"99".into()), "{told:?}\n{stderr}");
    assert!(told.len() > 1 || stderr.contains("could not be understood"), "{told:?}\n{stderr}");
}

/// A small disk of its own, if this machine lets a test make one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf) -> Option<SmallDisk> {
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(SmallDisk(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// The disk fills up under the running program: nothing is told that is not stored, and it mends itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_back_and_loses_nothing() {
    let stage = Stage::set(TELL_FAILURES).await;
    let Some(disk) = SmallDisk::mount(stage.path("disk")) else {
        println!("SKIPPED: a disk of its own cannot be mounted here");
        return;
    };
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    std::fs::write(stage.path("rules.yaml"), config.replace("/nightbell.db", "/disk/nightbell.db")).unwrap();
    let running = stage.start();
    stage.workspace.put(failed("before", 1));
    stage.sink.wait("the program to work", |hits| hits.len() == 1).await;
    let ballast = stage.path("disk/ballast");
    // dd stops when nothing more fits.
    drop(Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", ballast.display())).output().unwrap());
    for id in 2..=60 {
        stage.workspace.put(failed(&format!("etl_{id}"), id));
    }
    pause(5_000).await;
    let log = || std::fs::read_to_string(stage.path("log")).unwrap();
    assert!(log().contains("full"), "{}", log());
    let meanwhile = stage.sink.hits().len();
    assert_eq!(meanwhile, 1, "told what is not stored");
    std::fs::remove_file(&ballast).unwrap();
    let hits = stage.sink.wait("every failure to be told", |hits| hits.len() >= 60).await;
    drop(running);
    drop(disk);
    assert_eq!(hits.len(), 60);
}

/// A retry that was not due yet was not counted: "0 still pending", and the exit code 0.
#[tokio::test(flavor = "multi_thread")]
async fn one_cycle_says_what_is_pending_and_when_it_is_due() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.answer(500);
    for attempted in ["1 delivery", "0 deliveries"] {
        let said = text(&stage.once(1).await.stderr);
        assert!(said.contains(&format!("0 of {attempted} arrived, 1 pending")), "{said}");
        assert!(said.contains("pending to hook: 1, the next attempt is due at 20"), "{said}");
    }
}
