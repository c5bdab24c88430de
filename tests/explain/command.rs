//! The commands that look back, from the real binary: explain, check --history, and the filters of alerts.

use jiff::tz::TimeZone;
use nightbell::clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::program::{Stage, ago, failed, pause, text};
use nightbell::sim::SimInstance;

const RULES: &str = "  team: { type: webhook, url: \"http://127.0.0.1:9/\" }
rules:
  failed: { match: { job: 'etl_*' }, when: { status: [fail] }, severity: critical, notify: [hook] }
  failed-too: { match: { job: 'etl_o*' }, when: { status: [fail] }, notify: [hook] }
  slow: { match: { job: 'etl_*' }, when: { status: running, duration: 45m }, severity: warning, notify: [hook] }
  elsewhere: { match: { job: 'report_*' }, when: { status: fail }, notify: [team] }
";

async fn set() -> Stage {
    let stage = Stage::set(RULES).await;
    for id in 1..=3 {
        stage.workspace.put(failed("etl_orders", id));
    }
    let error_message = Some("INFO 5 rows\nERROR: disk is full".to_string());
    stage.workspace.put(SimInstance { error_message, ..failed("etl_orders", 4) });
    stage.workspace.put(SimInstance::waiting("etl_stock", 9, ago(120)).ended("success", ago(60)));
    stage.once(0).await;
    stage
}

async fn lines(stage: &Stage, arguments: &[&str]) -> Vec<Value> {
    let output = stage.output(arguments).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_explained_rule_by_rule_with_the_answer_of_the_channel() {
    let stage = set().await;
    let said = text(&stage.output(&["explain", "etl_orders/3"]).await.stdout);
    for expected in [
        "etl_orders/3 in warehouse\n",
        "\nfail, scheduled, planned ",
        "\nas polls saw it\n  ",
        " fail\nas of the last poll, ",
        "\nfailed (critical): notified\n  now: status fail\n  alert ",
        "    hook: delivered ",
        " delivered: 200\n",
        "\nslow (warning): not notified: status fail is not running\n",
        "\nabout other jobs: 1 rule\n  elsewhere: match.job: the name is not report_*\n",
    ] {
        assert!(said.contains(expected), "no {expected:?} in\n{said}");
    }
    assert!(said.lines().all(|line| line.chars().count() < 120), "{said}");

    let objects = lines(&stage, &["explain", "3", "--json"]).await;
    assert_eq!(objects.len(), 1);
    let seen = objects[0]["transitions"].as_array().unwrap();
    assert_eq!((seen.len(), &seen[0]["status"], &seen[0]["raw_status"]), (1, &"fail".into(), &"fail".into()));
    let rule = |name: &str| objects[0]["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == name).unwrap();
    assert_eq!((&rule("failed")["outcome"], &rule("failed")["holds"]), (&"told".into(), &true.into()));
    let delivery = &rule("failed")["alerts"][0]["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["attempt_log"][0]["status"]), (&"delivered".into(), &"200".into()));
    assert_eq!((&rule("slow")["outcome"], &rule("slow")["reason"]), (&"not-told".into(), &"other-status".into()));
    assert_eq!((&rule("elsewhere")["matches"], &rule("elsewhere")["reason"]), (&false.into(), &"other-job".into()));

    let with_log = text(&stage.output(&["explain", "etl_orders/4"]).await.stdout);
    assert!(with_log.contains("    error: INFO 5 rows\n      ERROR: disk is full\n"), "{with_log}");
    let job = text(&stage.output(&["explain", "etl_orders"]).await.stdout);
    assert!(job.starts_with("the job etl_orders in warehouse\n  4: fail, "), "{job}");
    let unknown = stage.output(&["explain", "etl_ordres"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("did you mean \"etl_orders\"?"), "{}", text(&unknown.stderr));
}

/// What an alert went through after the first telling: the steps, the group, and what held back its followers.
#[tokio::test(flavor = "multi_thread")]
async fn steps_groups_and_inhibitions_are_explained() {
    let stage = Stage::set("").await;
    stage.write_config(&format!(
        "  lead: {{ type: webhook, url: {} }}
rules:
  failed: {{ match: {{ job: 'load_*' }}, when: {{ status: [fail] }}, notify: [{{ to: hook }}, {{ after: 1s, to: lead }}] }}
  flood: {{ match: {{ job: 'flood_*' }}, when: {{ status: [fail] }}, notify: [hook], group: {{ by: [source], wait: 1m }} }}
  after: {{ match: {{ job: 'mart_*' }}, when: {{ status: [fail] }}, notify: [hook] }}
inhibit:
  load-first: {{ by: {{ rule: failed }}, match: {{ rule: after }} }}
",
        stage.sink.url("lead")
    ));
    for (job, id) in [("load_orders", 1), ("mart_sales", 2), ("flood_a", 3), ("flood_b", 4)] {
        stage.workspace.put(failed(job, id));
    }
    stage.once(0).await;
    // The step is due a second after the first telling; each run is one look.
    let is_taken = async || text(&stage.output(&["explain", "1"]).await.stdout).contains("    lead: step 2 at ");
    for _ in 0..60 {
        if is_taken().await {
            break;
        }
        pause(500).await;
        stage.once(0).await;
    }
    assert!(is_taken().await, "{}", text(&stage.output(&["explain", "1"]).await.stdout));
    let step = |line: &Value| line["rules"][0]["alerts"][0]["deliveries"][1]["step"].clone();
    assert_eq!(step(&lines(&stage, &["explain", "1", "--json"]).await[0]), 2);
    let flood = text(&stage.output(&["explain", "3"]).await.stdout);
    assert!(flood.contains(", sent with its group in "), "{flood}");
    let after = text(&stage.output(&["explain", "2"]).await.stdout);
    assert!(
        after.contains("after (error): not notified: recorded and not sent: inhibition load-first, for it follows "),
        "{after}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_tells_which_rules_are_dead_which_overlap_and_who_is_never_told() {
    let stage = set().await;
    let said = text(&stage.output(&["check", "--history", "--noise", "3"]).await.stdout);
    for expected in [
        "the last ",
        ": 2 jobs, 8 alerts, 8 messages\n",
        "dead: elsewhere matched no job\n",
        "unused: team was never notified\n",
        "overlap: failed and failed-too notified hook of the same 4 of 4\n",
        "noisy: failed sent hook 4 messages on ",
    ] {
        assert!(said.contains(expected), "no {expected:?} in\n{said}");
    }
    assert!(!said.contains("dead: slow"), "{said}");
    let findings: Vec<String> = lines(&stage, &["check", "--history", "--json"])
        .await
        .iter()
        .map(|line| line["finding"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(findings, ["dead", "unused", "overlap"]);
}

/// What counts is how often somebody's telephone rang, and what a rule waits for need not have been seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_one_message_and_a_rule_that_fired_or_waits_for_a_missing_run_is_not_dead() {
    // Half a day from now, whenever that is: neither is due while this runs, and neither was of late.
    let hour = (SystemClock.now().to_zoned(TimeZone::UTC).hour() + 12) % 24;
    let failed_of = |jobs: &str| {
        format!(
            "rules:\n  failed: {{ match: {{ job: '{jobs}' }}, when: {{ status: fail }}, notify: [hook], group: {{ by: [source], \
             wait: 0s }} }}\n  absent: {{ match: {{ source: warehouse, job: never_came }}, when: {{ missing: {{ schedule: \
             \"0 {hour} * * *\" }} }}, notify: [hook] }}\n  late: {{ match: {{ source: warehouse, job: nor_this }}, when: {{ \
             not_finished_by: \"{hour:02}:30\" }}, notify: [hook] }}\n"
        )
    };
    let stage = Stage::set(&failed_of("etl_*")).await;
    for id in 1..=4 {
        stage.workspace.put(failed("etl_orders", id));
    }
    stage.once(0).await;
    // It matches nothing any more, and has fired.
    stage.write_config(&failed_of("renamed_*"));
    let said = text(&stage.output(&["check", "--history", "--noise", "3"]).await.stdout);
    assert!(said.contains(": 1 job, 4 alerts, 1 message\n"), "{said}");
    assert!(said.contains("every rule matched a job, none is noisy"), "{said}");
    stage.write_config(&format!(
        "{}  other: {{ match: {{ job: nowhere }}, when: {{ status: fail }} }}\n",
        failed_of("etl_*")
    ));
    let said = text(&stage.output(&["check", "--history", "--noise", "3"]).await.stdout);
    assert!(said.contains("dead: other matched no job\n") && !said.contains("dead: failed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_filtered() {
    let stage = set().await;
    stage.workspace.put(failed("etl_stock", 10));
    stage.once(0).await;
    // filter, how many
    let table: [(&[&str], usize); 12] = [
        (&[], 9),
        (&["--job", "etl_o*"], 8),
        (&["--job", "/etl_s.*/"], 1),
        (&["--job", "none"], 0),
        (&["--rule", "failed-too"], 4),
        (&["--severity", "critical"], 5),
        (&["--severity", "warning,info"], 0),
        (&["--state", "firing"], 9),
        (&["--state", "resolved"], 0),
        (&["--source", "warehouse", "--since", "1h", "--receiver", "hook"], 9),
        (&["--receiver", "team"], 0),
        (&["--suppressed"], 0),
    ];
    for (filter, expected) in table {
        let arguments = [&["alerts", "--json"], filter].concat();
        assert_eq!(lines(&stage, &arguments).await.len(), expected, "{filter:?}");
    }
    let wrong = stage.output(&["alerts", "--severity", "critcal"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("did you mean \"critical\"?"), "{}", text(&wrong.stderr));
    assert_eq!(stage.output(&["alerts", "--source", "nowhere"]).await.status.code(), Some(2));
    assert_eq!(stage.output(&["alerts", "--since", "yesterday"]).await.status.code(), Some(2));
}
