//! Sources that cannot be read, receivers that refuse, and the way back.

use nightbell::sim::{Fault, FaultKind, Operation, SimInstance};

use super::{Stage, TELL_FAILURES, ago, failed, text};

/// What a source may answer instead of a list, and a word that the user must see about it.
fn bad_answers() -> Vec<(&'static str, Fault, &'static str)> {
    let list = |fault: Fault| fault.on(Operation::List).times(100);
    vec![
        (
            "401",
            list(Fault::answer(
                401,
                r#"{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information"}"#,
            )),
            "APIGW.0301",
        ),
        (
            "429",
            list(Fault::answer(
                429,
                r#"{"error_code":"APIGW.0308","error_msg":"The throttling threshold has been reached"}"#,
            )),
            "throttling",
        ),
        ("500", list(Fault::answer(500, r#"{"error_code":"DLF.0001","error_msg":"system error"}"#)), "DLF.0001"),
        ("a login page", list(Fault::answer(200, "<html><body>Please log in</body></html>")), "HTML"),
        ("nothing", list(Fault::answer(200, "")), "JSON"),
        ("half of an answer", list(Fault::once(FaultKind::CutShort(40))), "JSON"),
        ("an endless answer", list(Fault::once(FaultKind::Endless)), "MiB"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_nonsense_is_unknown_and_moves_nothing() {
    for (name, fault, word) in bad_answers() {
        let stage = Stage::set(TELL_FAILURES).await;
        stage.once(0).await;
        stage.workspace.put(failed("etl", 1));
        stage.workspace.inject(fault);
        let output = stage.once(1).await;
        let stderr = text(&output.stderr);
        assert!(stderr.contains(word), "{name}: {word:?} is not in {stderr}");
        assert!(stage.sink.hits().is_empty(), "{name}: told on no ground");
        let listing = stage.output(&["alerts"]).await;
        let stderr = text(&listing.stderr);
        assert!(stderr.contains("warehouse has been unreadable since"), "{name}: the state is not shown: {stderr}");
        // As soon as it can be read again, everything is told that happened meanwhile.
        stage.workspace.clear_faults();
        stage.once(0).await;
        assert_eq!(stage.sink.hits().len(), 1, "{name}");
        assert!(!text(&stage.output(&["alerts"]).await.stderr).contains("unknown since"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sources_go_on_while_one_is_out() {
    let stage = Stage::set(TELL_FAILURES).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    // A port that nobody listens on: bound once, and let go.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lost = stage.source("lost").replace(stage.workspace.endpoint(), &format!("http://127.0.0.1:{port}"));
    std::fs::write(stage.path("rules.yaml"), config.replace("sources:\n", &format!("sources:\n{lost}"))).unwrap();
    stage.workspace.put(failed("etl", 1));
    let output = stage.once(1).await;
    assert_eq!(stage.sink.hits().len(), 1);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("cannot read source lost"), "{stderr}");
}

/// Six hours without the source: what failed meanwhile is told once it is back, however long ago it was planned.
#[tokio::test(flavor = "multi_thread")]
async fn failures_during_an_outage_longer_than_the_lookback_are_told_afterwards() {
    let stage = Stage::set(TELL_FAILURES).await;
    let short = |text: String| text.replace("    poll:", "    lookback: 1m\n    poll:");
    let config = short(std::fs::read_to_string(stage.path("rules.yaml")).unwrap());
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    stage.once(0).await;
    // Planned five minutes ago: outside the lookback, inside what has not been read since the last complete poll.
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(300)).ended("fail", ago(10)));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_delivery_is_pending_and_sent_under_its_id_later() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.answer(503);
    stage.once(1).await;
    let pending = stage.listed("deliveries").await;
    assert_eq!((pending[0]["state"].as_str(), pending[0]["attempts"].as_u64()), (Some("pending"), Some(1)));
    assert_eq!(pending[0]["last_status"], "503");
    stage.sink.answer(200);
    let running = stage.start();
    let hits = stage.sink.wait("the second attempt", |hits| hits.len() == 2).await;
    drop(running);
    assert_eq!(hits[0].id(), hits[1].id());
    assert_eq!(hits[0].body, hits[1].body);
}

/// One certificate file that is no good makes its own receiver unreachable, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_one_receiver_keeps_no_other_from_being_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    std::fs::write(stage.path("empty.pem"), "").unwrap();
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let other = format!("  other: {{ type: webhook, url: {}, ca_file: empty.pem }}\nrules:\n", stage.sink.url("other"));
    let config = config.replace("rules:\n", &other).replace("notify: [hook]", "notify: [hook, other]");
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    stage.workspace.put(failed("etl", 1));
    let check = stage.output(&["check"]).await;
    assert_eq!(check.status.code(), Some(78));
    assert!(text(&check.stderr).contains("receivers.other.ca_file"), "{}", text(&check.stderr));
    assert!(text(&check.stderr).contains("it is empty"), "{}", text(&check.stderr));
    let stderr = text(&stage.once(1).await.stderr);
    assert!(stderr.contains("cannot be reached until this is mended"), "{stderr}");
    assert_eq!((stage.sink.hits_at("hook").len(), stage.sink.hits_at("other").len()), (1, 0), "{stderr}");
    let pending: Vec<_> = stage.listed("deliveries").await;
    let other = pending.iter().find(|one| one["receiver"] == "other").unwrap();
    assert_eq!(other["state"], "pending", "{other}");
    assert!(other["last_error"].as_str().unwrap().contains("empty.pem: it is empty"), "{other}");
    // A program that goes on running starts with it, too.
    stage.workspace.put(failed("etl", 2));
    let running = stage.start();
    stage.sink.wait("the next failure", |hits| hits.iter().filter(|hit| hit.path == "/hook").count() == 2).await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_makes_a_dead_letter_that_is_listed() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.sink.answer(410);
    stage.once(0).await;
    let deliveries = stage.listed("deliveries").await;
    assert_eq!(deliveries[0]["state"], "dead");
    assert!(deliveries[0]["last_error"].as_str().unwrap().contains("410"), "{deliveries:?}");
    let table = text(&stage.output(&["deliveries"]).await.stdout);
    assert!(table.contains("dead") && table.contains("hook"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_store_is_refused_with_the_pid_of_the_first() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    let running = stage.start();
    stage.sink.wait("the first process to work", |hits| !hits.is_empty()).await;
    let output = stage.output(&["run", "--once"]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&format!("process {}", running.0.id())), "{stderr}");
    // Looking is allowed beside it.
    assert_eq!(stage.listed("alerts").await.len(), 1);
}

/// A store that is moved away under a running program: it says so once, tells on, and makes no other store in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_moved_away_is_said_once_and_not_made_anew() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    let running = stage.start();
    stage.sink.wait("the first failure", |hits| !hits.is_empty()).await;
    std::fs::rename(stage.path("nightbell.db"), stage.path("moved.db")).unwrap();
    for id in 2..=3 {
        stage.workspace.put(failed("etl", id));
        stage.sink.wait("the next failure", |hits| hits.len() as u64 >= id).await;
    }
    drop(running);
    let log = std::fs::read_to_string(stage.path("log")).unwrap();
    assert_eq!(log.matches("the file was deleted or replaced while nightbell works with it").count(), 1, "{log}");
    assert!(!stage.path("nightbell.db").exists(), "{log}");
}

/// An item that cannot be understood is shown, and keeps nobody from hearing of the others.
/// A run that failed ten hours ago stood without an id in the first listing: once it has one, it is no news.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_understood_at_the_first_look_is_recorded_and_not_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    let unclear = format!(
        r#"{{"total":1,"instances":[{{"jobName":"etl","status":"fail","planTime":{0},"startTime":{0},"endTime":{1}}}]}}"#,
        ago(36_060).as_millisecond(),
        ago(36_000).as_millisecond()
    );
    stage.workspace.inject(Fault::answer(200, unclear).on(Operation::List).times(99));
    for _ in 0..2 {
        stage.once(1).await;
    }
    stage.workspace.clear_faults();
    stage.workspace.put(SimInstance::waiting("etl", 1, ago(36_060)).ended("fail", ago(36_000)));
    stage.once(0).await;
    assert!(stage.sink.hits().is_empty(), "{:?}", stage.sink.hits());
    let alerts = stage.listed("alerts").await;
    assert_eq!((alerts.len(), alerts[0]["suppressed_by"].as_str()), (1, Some("first-poll")), "{alerts:?}");
    stage.workspace.put(failed("etl", 2));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1, "what fails now is told");
}

/// The first listing is short; the second has four failures of hours ago. Later the lookback is lengthened over a failure of days
/// ago.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_second_listing_or_a_longer_lookback_brings_is_recorded_and_not_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    let old = |id: u64, hours: i64| {
        let planned = hours * 3600;
        SimInstance::waiting("etl", id, ago(planned)).ended("fail", ago(planned - 60))
    };
    for (id, hours) in [(1, 10), (2, 15), (3, 20), (4, 5)] {
        stage.workspace.put(old(id, hours));
    }
    stage.workspace.put(old(5, 72));
    let start = ago(5 * 3600).as_millisecond();
    let short = format!(
        r#"{{"total":4,"instances":[{{"jobName":"etl","instanceId":4,"status":"fail","instanceType":0,"planTime":{start},"startTime":{start},"endTime":{0}}}]}}"#,
        start + 60_000
    );
    stage.workspace.inject(Fault::answer(200, short).on(Operation::List).times(10_000));
    stage.once(1).await;
    stage.workspace.clear_faults();
    stage.once(0).await;
    assert!(stage.sink.hits().is_empty(), "the first listing was short: {:?}", stage.sink.hits());
    assert_eq!(stage.listed("alerts").await.len(), 4, "they are recorded");
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let longer = config.replace("    poll:", "    lookback: 7d\n    poll:");
    std::fs::write(stage.path("rules.yaml"), longer).unwrap();
    stage.once(0).await;
    assert!(stage.sink.hits().is_empty(), "the lookback was lengthened: {:?}", stage.sink.hits());
    assert_eq!(stage.listed("alerts").await.len(), 5);
    stage.workspace.put(failed("etl", 6));
    stage.once(0).await;
    assert_eq!(stage.sink.hits().len(), 1, "what fails now is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_is_set_aside_and_the_rest_is_told() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put_raw(ago(100), r#"{"jobName":"broken","status":"fail"}"#);
    stage.workspace.put(failed("etl", 1));
    let output = stage.once(1).await;
    assert_eq!(stage.sink.hits().len(), 1);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("could not be understood") && stderr.contains("broken"), "{stderr}");
}

/// A list that the server itself says is not whole is told as such, and what it does hold is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_shortfall_is_reported_and_moves_no_cursor() {
    let stage = Stage::set(TELL_FAILURES).await;
    let end = ago(1).as_millisecond();
    let body = format!(
        r#"{{"total":5,"instances":[{{"jobName":"etl","instanceId":1,"status":"fail","instanceType":0,
        "planTime":{0},"startTime":{0},"endTime":{end}}}]}}"#,
        end - 60_000
    );
    stage.workspace.inject(Fault::answer(200, body).on(Operation::List).times(10_000));
    let stderr = text(&stage.once(1).await.stderr);
    assert!(stderr.contains("1 of 5 instances could be read"), "{stderr}");
    let told: Vec<_> = stage.sink.hits().iter().map(|hit| hit.json()["data"]["instance"]["id"].clone()).collect();
    assert_eq!(told, ["1"]);
    // Asked again, it says so again, and does not tell again.
    stage.once(1).await;
    assert_eq!(stage.sink.hits().len(), 1);
}
