//! The alert rules and the dashboard that come with Nightbell name only what it exports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Served;

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

/// The names in a text that begin as ours do.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("nightbell_")).map(str::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_in_the_alert_rules_and_the_dashboard_is_exported() {
    let served = Served::start("web: { listen: \"127.0.0.1:0\" }\n").await;
    let metrics = served.get("/metrics", &[]).await.body;
    let odd: Vec<&str> = metrics.lines().filter(|line| line.starts_with("# HELP") && line.ends_with("..")).collect();
    assert!(odd.is_empty(), "a sentence has one end: {odd:?}");
    let exported = names(&metrics);
    assert!(exported.len() > 30, "{exported:?}");
    served.stop().await;
    let rules = std::fs::read_to_string(packaging("prometheus/nightbell.rules.yml")).unwrap();
    let dashboard = std::fs::read_to_string(packaging("grafana/nightbell.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() >= 15);
    for (file, text) in [("the alert rules", &rules), ("the dashboard", &dashboard)] {
        let named = names(text);
        assert!(named.len() >= 9, "{file}: {named:?}");
        let unknown: Vec<&String> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file} name {unknown:?}, which is not among {exported:?}");
    }
}

/// What is in the store each replica tells: of all of them it is the same once, and no sum.
#[test]
fn what_replicas_share_is_not_added_up() {
    const SHARED: [&str; 7] = [
        "nightbell_alerts_firing",
        "nightbell_source_readable",
        "nightbell_source_lag_seconds",
        "nightbell_outbox_pending",
        "nightbell_outbox_oldest_age_seconds",
        "nightbell_dead_letters",
        "nightbell_silences_active",
    ];
    let once = regex::Regex::new(r"\b(?:max|min) by \([a-z, ]+\) \($").unwrap();
    for file in ["prometheus/nightbell.rules.yml", "grafana/nightbell.json"] {
        let text = std::fs::read_to_string(packaging(file)).unwrap();
        for (at, name) in SHARED.iter().flat_map(|name| text.match_indices(name)) {
            assert!(once.is_match(&text[..at]), "{file}: {name} is not taken once for all replicas");
        }
    }
}

/// What Prometheus' own tool says of a file of ours.
fn promtool(asked: [&str; 2], file: &Path) -> String {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/promtool/promtool");
    let output = Command::new(promtool).args(asked).arg(file).output().expect("tests/setup.sh fetches promtool");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    said.into_owned()
}

/// Prometheus understands the rules, and with several replicas they alert once, and of nothing that is well.
#[test]
fn promtool_takes_the_alert_rules() {
    assert!(promtool(["check", "rules"], &packaging("prometheus/nightbell.rules.yml")).contains("rules found"));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/prometheus/nightbell.test.yml");
    assert!(promtool(["test", "rules"], &tests).contains("SUCCESS"));
}
