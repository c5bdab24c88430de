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
    let exported = names(&served.get("/metrics", &[]).await.body);
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

/// Prometheus understands the rules.
#[test]
fn promtool_takes_the_alert_rules() {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/promtool/promtool");
    let rules = packaging("prometheus/nightbell.rules.yml");
    let output =
        Command::new(promtool).args(["check", "rules"]).arg(rules).output().expect("tests/setup.sh fetches promtool");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("rules found"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
