//! A canary in every field that holds a secret; it may turn up nowhere.

use std::fs;
use std::path::Path;

use base64::Engine as _;

use super::{Stage, failed, text};

const CANARY: &str = "canary/secret+value=7f3a";

/// Everything written anywhere below a directory, except the files the secrets came from.
fn everything_below(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("secret-") {
            all.push((name, fs::read(&path).unwrap()));
        }
    }
    all
}

fn assert_silent(what: &str, bytes: &[u8]) {
    let canary = CANARY.as_bytes();
    let base64 = base64::engine::general_purpose::STANDARD.encode(CANARY);
    let percent = CANARY.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    for form in [canary, base64.as_bytes(), percent.as_bytes()] {
        let found = bytes.windows(form.len()).any(|window| window == form);
        assert!(!found, "{what} holds the canary as {:?}", String::from_utf8_lossy(form));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_turns_up_in_any_output_log_or_file() {
    let stage = Stage::set("").await;
    let secret = |name: &str, value: &str| fs::write(stage.path(name), value).unwrap();
    secret("secret-key", CANARY);
    secret("secret-slack", &stage.sink.url(&format!("slack/{}", CANARY.replace(['/', '+', '='], "_"))));
    secret("secret-password", CANARY);
    secret("secret-header", &format!("Bearer {CANARY}"));
    secret("secret-hook", &format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(CANARY)));
    let tail = CANARY.replace(['/', '+', '='], "_");
    secret("secret-token", &tail);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = stage.source("warehouse");
    let wrong = stage.source("wrong").replace(&stage.workspace.config().secret_key, "{ file: secret-key }");
    let token = format!(
        "  token:\n    type: dataarts\n    endpoint: {}\n    project_id: p\n    auth: {{ token: {{ file: secret-key }} }}\n",
        stage.workspace.endpoint()
    );
    let config = format!(
        "version: 1\nstore: {store}\nsources:\n{source}{wrong}{token}  iam:\n    type: dataarts\n    endpoint: \"http://{closed}\"\n    project_id: p\n    auth: {{ user: u, \
           password: {{ file: secret-password }}, domain: d, iam_endpoint: \"http://{closed}\" }}\n  \
         aliyun:\n    type: schedulerx\n    endpoint: \"http://{closed}\"\n    namespace: n\n    groups: [g]\n    auth: {{ \
           access_key: {{ file: secret-token }}, secret_key: {{ file: secret-key }}, \
           security_token: {{ file: secret-token }} }}\nreceivers:\n  \
         slack: {{ type: slack, webhook_url: {{ file: secret-slack }} }}\n  \
         lost: {{ type: webhook, url: \"http://{closed}/{tail}\", secret: {{ file: secret-hook }} }}\n  \
         hook: {{ type: webhook, url: \"{hook}\", secret: {{ file: secret-hook }}, \
           headers: {{ Authorization: {{ file: secret-header }} }} }}\n  \
         mail: {{ type: email, smtp_url: \"smtps://user@{closed}\", password: {{ file: secret-password }}, \
           from: a@example.com, to: [b@example.com] }}\n  \
         bot: {{ type: slack, bot_token: {{ file: secret-token }}, channel: C1, api_url: \"http://{closed}\" }}\n  \
         dingtalk: {{ type: dingtalk, webhook_url: {{ file: secret-slack }}, secret: {{ file: secret-key }} }}\n  \
         wecom: {{ type: wecom, webhook_url: {{ file: secret-slack }} }}\n  \
         feishu: {{ type: feishu, webhook_url: {{ file: secret-slack }}, secret: {{ file: secret-key }} }}\n  \
         teams: {{ type: teams, webhook_url: {{ file: secret-slack }} }}\n  \
         discord: {{ type: discord, webhook_url: {{ file: secret-slack }} }}\n  \
         telegram: {{ type: telegram, bot_token: {{ file: secret-token }}, chat_id: \"1\", api_url: \"http://{closed}\" }}\n  \
         ntfy: {{ type: ntfy, topic: {{ file: secret-token }}, token: {{ file: secret-key }}, api_url: \"http://{closed}\" }}\n  \
         pagerduty: {{ type: pagerduty, routing_key: {{ file: secret-token }}, api_url: \"http://{closed}\" }}\n  \
         smn: {{ type: smn, endpoint: \"http://{closed}\", project_id: p, topic_urn: \"urn:smn:r:p:t\", \
           auth: {{ access_key: {{ file: secret-token }}, secret_key: {{ file: secret-key }} }} }}\n\
         rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [slack, lost, hook, mail, bot, dingtalk, wecom, \
           feishu, teams, discord, telegram, pagerduty, smn, ntfy] }}\n",
        store = stage.store(),
        hook = stage.sink.url("hook"),
    );
    // The file itself names a URL with a secret in it: it is the user's, and no output of ours.
    fs::write(stage.path("secret-rules.yaml"), config).unwrap();
    fs::remove_file(stage.path("rules.yaml")).unwrap();
    stage.workspace.put(failed("etl", 1));

    let run = |arguments: Vec<&'static str>| {
        let mut command = super::nightbell(&arguments);
        command.arg("-c").arg(stage.path("secret-rules.yaml")).current_dir(stage.directory.path());
        async move { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() }
    };
    let mut attempted = 0;
    for arguments in [
        vec!["--log", "trace", "run", "--once"],
        vec!["--log", "trace", "--log-format", "json", "run", "--once"],
        vec!["check"],
        vec!["send-test", "slack"],
        vec!["send-test", "lost"],
        vec!["send-test", "mail"],
        vec!["alerts"],
        vec!["alerts", "--json"],
        vec!["deliveries"],
        vec!["deliveries", "--json"],
    ] {
        let name = arguments.join(" ");
        let output = run(arguments).await;
        attempted += output.stderr.len() + output.stdout.len();
        for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            assert_silent(&format!("{stream} of {name}"), bytes);
            assert!(!text(bytes).contains(&tail), "{stream} of {name} holds a secret URL: {}", text(bytes));
        }
    }
    assert!(attempted > 10_000, "a run at trace level that says nothing proves nothing");
    assert!(!stage.sink.hits_at("hook").is_empty(), "nothing was sent");
    let mut written = everything_below(stage.directory.path());
    written.push(("the store".to_string(), stage.stored().await));
    for (name, bytes) in written {
        assert_silent(&name, &bytes);
        assert!(!String::from_utf8_lossy(&bytes).contains(&tail), "{name} holds a secret URL");
    }
}
