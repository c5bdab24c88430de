//! Passwords and keys from outside: how often a wrong one is tried, and in which forms a right one may come.

use nightbell::sim::{SimConfig, SimUser};

use super::{Stage, TELL_FAILURES, failed, text};

const PASSWORD: &str = "right-password";

async fn account(rules: &str) -> Stage {
    let user = Some(SimUser::new("bell", PASSWORD, "acme"));
    Stage::set_before(SimConfig { user, ..SimConfig::default() }, rules).await
}

fn auth(stage: &Stage, password: &str) -> String {
    let iam = stage.workspace.endpoint();
    format!("auth: {{ user: bell, password: {password}, domain: acme, iam_endpoint: \"{iam}\" }}")
}

/// Writes the configuration with an SMN topic that signs in with this password.
fn topic(stage: &Stage, password: &str) {
    let (endpoint, project) = (stage.sink.url(""), &stage.workspace.config().project_id);
    let text = format!(
        "version: 1\nstore: {store}\nsources:\n{source}receivers:\n  topic: {{ type: smn, endpoint: \"{endpoint}\", \
         project_id: {project}, topic_urn: \"urn:smn:r:p:t\", {auth} }}\nrules:\n  failed: {{ when: {{ status: [fail] }}, \
         notify: [topic] }}\n",
        store = stage.store(),
        source = stage.source("warehouse"),
        endpoint = endpoint.trim_end_matches('/'),
        auth = auth(stage, password),
    );
    std::fs::write(stage.path("rules.yaml"), text).unwrap();
}

/// A crontab that calls `run --once` must not lock the user: the service does that after a few wrong passwords.
#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_refused_password_is_not_tried_again_by_the_next_run() {
    let stage = account("").await;
    topic(&stage, "wrong");
    for id in 1..=3 {
        stage.workspace.put(failed("etl", id));
        let stderr = text(&stage.once(1).await.stderr);
        assert_eq!(stage.workspace.requests().sign_in, 1, "run {id}: {stderr}");
    }
    let deliveries = stage.listed("deliveries").await;
    let is_held =
        |one: &&serde_json::Value| one["last_error"].as_str().is_some_and(|it| it.contains("not tried again"));
    assert_eq!(deliveries.iter().filter(is_held).count(), 2, "each run has attempted what was new: {deliveries:#?}");
    // Another password is another matter.
    topic(&stage, PASSWORD);
    stage.workspace.put(failed("etl", 4));
    stage.once(1).await;
    assert_eq!(stage.workspace.requests().sign_in, 2);
    let hits = stage.sink.hits();
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.headers.contains_key("x-auth-token")), "{hits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sources_refused_password_is_not_tried_again_by_the_next_run() {
    let stage = account(TELL_FAILURES).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let with = |password: &str| {
        let sim = stage.workspace.config();
        let key = format!("auth: {{ access_key: {}, secret_key: {} }}", sim.access_key, sim.secret_key);
        assert!(config.contains(&key), "{config}");
        std::fs::write(stage.path("rules.yaml"), config.replace(&key, &auth(&stage, password))).unwrap();
    };
    with("wrong");
    for run in 1..=3 {
        let stderr = text(&stage.once(1).await.stderr);
        assert_eq!(stage.workspace.requests().sign_in, 1, "run {run}: {stderr}");
        assert!(run == 1 || stderr.contains("not tried again"), "run {run}: {stderr}");
    }
    with(PASSWORD);
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    assert_eq!((stage.workspace.requests().sign_in, stage.sink.hits().len()), (2, 1));
}

/// A key that was pasted into a variable with blanks, a line's end and a byte order mark is the key.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_around_a_secret_in_the_environment_is_not_part_of_it() {
    let stage = Stage::set(TELL_FAILURES).await;
    let key = stage.workspace.config().secret_key.clone();
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let config = config.replace(&format!("secret_key: {key}"), "secret_key: { env: PASTED_KEY }");
    std::fs::write(stage.path("rules.yaml"), &config).unwrap();
    assert!(config.contains("PASTED_KEY"), "{config}");
    stage.workspace.put(failed("etl", 1));
    let mut command = stage.command(&["run", "--once"]);
    command.env("PASTED_KEY", format!("\u{feff} {key} \r\n"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(stage.sink.hits().len(), 1);
}
