//! The command line's contract: exit codes, streams, and what the commands say.

use super::{Stage, TELL_FAILURES, exists, failed, nightbell, text};

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_reported_at_once_and_nothing_is_touched() {
    let stage = Stage::set("").await;
    std::fs::write(
        stage.path("rules.yaml"),
        "version: 1\nsources:\n  w: { type: dataarts, regoin: x }\nreceivers:\n  a: { type: slak }\n\
         rules:\n  r: { when: { status: [failed], duration: many }, notify: [b] }\n",
    )
    .unwrap();
    for arguments in [&["check"][..], &["run"], &["run", "--once"], &["alerts"], &["send-test", "a"]] {
        let output = stage.output(arguments).await;
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        let stderr = text(&output.stderr);
        for part in [
            "rules.yaml:3:24: sources.w.regoin: unknown key \"regoin\"",
            "did you mean \"region\"?",
            "rules.yaml:5:14: receivers.a.type",
            "did you mean \"slack\"?",
            "did you mean \"fail\"?",
            "rules.r.when.duration: \"many\" is not a valid duration",
            "rules.r.notify",
        ] {
            assert!(stderr.contains(part), "{arguments:?}: {part:?} is not in\n{stderr}");
        }
        assert!(output.stdout.is_empty());
    }
    assert!(!exists(&stage.path("nightbell.db")), "a broken configuration must touch nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_that_nothing_is_wrong_where_it_warns_of_nothing() {
    let rules =
        "rules:\n  failed: { when: { status: [fail, running-exception] }, notify: [hook] }\nself: { notify: [hook] }\n";
    let stage = Stage::set(rules).await;
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let plain = config.lines().find(|line| line.contains("access_key")).unwrap();
    let from_files = "    auth: { access_key: { file: ak }, secret_key: { file: sk } }";
    std::fs::write(stage.path("rules.yaml"), config.replace(plain, from_files)).unwrap();
    for file in ["ak", "sk"] {
        std::fs::write(stage.path(file), "a-key").unwrap();
    }
    let output = stage.output(&["check"]).await;
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    assert!(text(&output.stdout).contains("1 source, 1 receiver, 1 rule; nothing is wrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_is_content_with_a_good_file_and_contacts_nobody() {
    let stage = Stage::set(TELL_FAILURES).await;
    let output = stage.output(&["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // Two keys in plain text; nobody hears of Nightbell's own trouble, and no rule is about runs that stand still.
    assert!(text(&output.stdout).contains("1 source, 1 receiver, 1 rule; 4 warnings"), "{}", text(&output.stdout));
    assert_eq!(stage.workspace.requests().list, 0);
    assert!(stage.sink.hits().is_empty());
    assert!(!exists(&stage.path("nightbell.db")));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_what_is_wrong_with_a_template() {
    let stage = Stage::set(TELL_FAILURES).await;
    std::fs::create_dir_all(stage.path("templates/slack")).unwrap();
    std::fs::write(stage.path("templates/slack/message.json.hbs"), "{\"text\":\n \"{{#if data.jbo}}x{{/if}}\"}")
        .unwrap();
    let config = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let slack =
        format!("templates: templates\nreceivers:\n  s: {{ type: slack, webhook_url: {} }}\n", stage.sink.url("s"));
    let config = config.replace("receivers:\n", &slack).replace("notify: [hook]", "notify: [hook, s]");
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    let output = stage.output(&["check"]).await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("message.json.hbs:2:"), "{stderr}");
    assert!(stderr.contains("jbo") && stderr.contains("job"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_test_sends_one_marked_message() {
    let stage = Stage::set(TELL_FAILURES).await;
    let output = stage.output(&["send-test", "hook"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let hits = stage.sink.hits();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].json()["type"], "test");
    let unknown = stage.output(&["send-test", "hok"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("hook"));
    stage.sink.answer(500);
    let refused = stage.output(&["send-test", "hook"]).await;
    assert_eq!(refused.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_hold_the_documented_keys() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    stage.once(0).await;
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let alert = &stage.listed("alerts").await[0];
    assert_eq!(keys(alert), ["acked", "alert", "generation", "instance", "job", "source", "suppressed_by"]);
    let delivery = &stage.listed("deliveries").await[0];
    assert_eq!(
        keys(delivery),
        [
            "alert",
            "attempts",
            "created_at",
            "delivered_at",
            "dropped_at",
            "id",
            "kind",
            "last_error",
            "last_status",
            "merged_into",
            "next_attempt_at",
            "receiver",
            "rule",
            "stands_in_for",
            "state"
        ]
    );
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(delivery["alert"], alert["alert"]["id"]);
    assert_eq!(delivery["id"], stage.sink.hits()[0].id());
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["--nonsense"][..], &["runn"], &["send-test"], &["demo", "--for", "soon"]] {
        let output = nightbell(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

/// The demo shows the whole way without an account: failure, node, log path, on all three channels; every condition; and
/// a digest at its end.
#[test]
fn the_demo_shows_a_night() {
    let kept = tempfile::tempdir().unwrap();
    let kept = kept.path().join("kept");
    let output = nightbell(&["demo", "--for", "30s", "--json", "--keep"]).arg(&kept).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    for part in [
        "etl_orders failed after",
        "load_orders",
        "obs://dlf-log/etl_orders/",
        "settlement_daily has been running for 45m",
        "etl_orders recovered",
        "sync_dimensions failed 3 times in a row",
        "load_stock fails too often: 3 of its last 10 runs failed",
        "report_sales has been running for 10m",
        "usually 5m",
        "balance_sheet has not finished by 06:30",
        "export_ledger has not started by 06:30",
        "backup_ledgers did not run at 06:00",
        "Late or longer than allowed",
        "still broken",
        // One of its receivers rejects what it gets, until somebody mends that: four alerts, and an end after a beginning that was
        // never delivered.
        "the board, which rejected what it was sent, takes messages again",
        "5 dead letters, kept to be sent again",
        "Subject:",
        "\"type\": \"alert.firing\"",
        "workspace, in 30s, under these rules",
        "06:29:5",
        // It started a quarter to six, whenever it became too long.
        "Subject: [WARNING] settlement_daily has been running for 45m",
        ", since 05:4",
        "Try:",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in\n{stdout}");
    }
    // One clock: the digest is about a day that ends when the story does.
    let period = stdout.lines().find_map(|line| line.trim().strip_prefix("| From ")).expect("the digest's period");
    let instant =
        |text: &str| -> jiff::Timestamp { text.trim().replacen(' ', "T", 1).replace(' ', "").parse().unwrap() };
    let (from, to) = period.split_once(" to ").unwrap();
    let (from, to) = (instant(from), instant(to));
    assert_eq!(to.duration_since(from), jiff::SignedDuration::from_hours(24), "{period}");
    for name in ["access-key", "secret-key", "slack-url", "webhook-secret"] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(kept.join(name)).unwrap());
        assert_eq!(mode & 0o777, 0o600, "others may read {name}");
    }
    // The page of the digest stays behind for whoever wants to look at it.
    let page = stdout.lines().find_map(|line| line.split("with its pictures: ").nth(1)).expect("a page");
    assert_eq!(std::path::Path::new(page), kept.canonicalize().unwrap().join("digest.html"));
    assert!(std::fs::read_to_string(page).unwrap().contains("data:image/png;base64,"));
    assert!(output.stderr.is_empty(), "nothing stands between the messages: {}", text(&output.stderr));
    // The store that stays answers for itself, and nothing of the workspace is asked for that: what it says to try is tried.
    let tries: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix("  nightbell ")).collect();
    let answers = [
        ("alerts ", "etl_customers is suspended"),
        ("explain ", "load_orders"),
        ("ack ", "acknowledged by li"),
        ("silence ", "silence 1"),
        ("deliveries ", "delivered"),
        ("status ", "firing"),
    ];
    assert_eq!(tries.len(), answers.len(), "{tries:?}");
    for (line, (command, part)) in tries.into_iter().zip(answers) {
        assert!(line.starts_with(command), "{line}");
        let mut words = crate::readme::shell_words(line);
        if matches!(command, "ack " | "silence ") {
            words.extend(["--by".to_string(), "li".to_string()]);
        }
        let output = nightbell(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        // Nothing runs there any more, which status says with its exit code.
        let expected = if command == "status " { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{line}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(part), "{line}: {}", text(&output.stdout));
    }
    let again = nightbell(&["demo", "--keep"]).arg(&kept).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "what is there stays: {}", text(&again.stderr));
    // What the README shows is one message of the demo, whole, but for the time of day and ids.
    let first = stdout.lines().skip_while(|line| !line.contains("| 🚨 CRITICAL: etl_orders failed"));
    let first = first.map_while(|line| line.strip_prefix("        | "));
    let shown: Vec<String> = first.map(steady).collect();
    let told: Vec<String> = crate::readme::blocks("text")[0].lines().map(steady).collect();
    assert_eq!(told, shown, "the README's message is not the demo's:\n{stdout}");
}

/// A line without what differs from one run to the next: times, ids, and how late it was noticed.
fn steady(line: &str) -> String {
    let line = match line.split_once(" (noticed ") {
        Some((before, rest)) => format!("{before}{}", rest.split_once(')').map_or("", |(_, after)| after)),
        None => line.to_string(),
    };
    let line = match line.split_once("nightbell ack ") {
        Some((before, _)) => format!("{before}nightbell ack ID"),
        None => line,
    };
    let mut steady: Vec<char> = line.trim_end().chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    // A run that failed a little later took two digits of seconds.
    steady.dedup_by(|a, b| *a == '0' && *b == '0');
    steady.into_iter().collect()
}

/// A demo that is stopped leaves no directory behind, and nothing but the page that it names.
#[test]
fn a_demo_that_is_stopped_clears_away_what_it_made() {
    use std::io::BufRead as _;
    let temporary = tempfile::tempdir().unwrap();
    let mut command = nightbell(&["demo", "--for", "10m"]);
    let mut child = command.env("TMPDIR", temporary.path()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let began = lines.any(|line| line.unwrap().contains(" scheduler "));
    assert!(began);
    let directories = || {
        let entries = std::fs::read_dir(temporary.path()).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.file_type().unwrap().is_dir()).count()
    };
    assert_eq!(directories(), 1);
    let stopped = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    // What is still printed is read, so that nothing waits for a reader.
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(directories(), 0);
    let page = rest.iter().find_map(|line| line.split("with its pictures: ").nth(1)).expect("a page");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [std::path::PathBuf::from(page)]);
}

/// The configuration may be named before the command, as behind it.
#[test]
fn the_configuration_stands_on_either_side_of_the_command() {
    for arguments in [["-c", "elsewhere.yaml", "check"], ["check", "-c", "elsewhere.yaml"]] {
        let output = nightbell(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        assert!(text(&output.stderr).contains("elsewhere.yaml"), "{}", text(&output.stderr));
    }
}

/// `check` names values that nobody can send with.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_receivers_that_cannot_be_used() {
    let stage = Stage::set("").await;
    std::fs::write(stage.path("url"), "'https://hooks.example.com/x'\n").unwrap();
    std::fs::write(
        stage.path("rules.yaml"),
        "version: 1\nsources:\n  w: { type: dataarts, endpoint: 'https://h', project_id: p, auth: { token: t } }\nreceivers:\n  chat: { type: slack, webhook_url: { file: url } }\n  \
         hook: { type: webhook, url: 'https://h' }\nrules:\n  r: { when: { status: fail }, notify: [chat, hook] }\n",
    )
    .unwrap();
    let mut check = nightbell(&["check"]);
    let output = check.current_dir(stage.path("rules.yaml").parent().unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let stderr = text(&output.stderr);
    for words in [
        "error: rules.yaml:5:37: receivers.chat.webhook_url: it is not a valid URL: the value stands in quotes\n",
        "  help: correct what the file ",
        "rules.yaml: 1 error, ",
    ] {
        assert!(stderr.contains(words), "{words}\n{stderr}");
    }
    assert!(!stderr.contains("hooks.example.com"), "{stderr}");
}

/// Roots and proxies out of the environment that cannot be used are said, and never replaced or passed by.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_cannot_be_used_is_told_by_check_and_at_the_start() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put(super::failed("etl", 1));
    std::fs::write(stage.path("empty.pem"), "").unwrap();
    std::fs::write(stage.path("words.pem"), "no certificate").unwrap();
    let (empty, other) = (stage.path("empty.pem").display().to_string(), stage.path("words.pem").display().to_string());
    for (name, value, words) in [
        ("SSL_CERT_FILE", empty.as_str(), "empty.pem: it is empty"),
        ("SSL_CERT_FILE", &other, "words.pem: there is no certificate in it"),
        ("SSL_CERT_FILE", "/nowhere/roots.pem", "/nowhere/roots.pem"),
        ("https_proxy", "ftp://bell:proxy-canary@proxy:21", "a proxy cannot be reached by \"ftp\""),
        ("all_proxy", "http://", "the proxy's address is not valid"),
    ] {
        for arguments in [["check"].as_slice(), &["run", "--once"]] {
            let mut command = stage.command(arguments);
            command.env(name, value);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let stderr = text(&output.stderr);
            assert!(!output.status.success() && stderr.contains(words), "{arguments:?} {name}={value}: {stderr}");
            assert!(stderr.contains(name) && !stderr.contains("canary"), "{arguments:?} {name}={value}: {stderr}");
        }
    }
    assert_eq!(stage.workspace.requests().list, 0, "nothing went past a proxy that cannot be used");
}

/// The same for mail, which makes its connections by itself: the bundled roots stand in for no roots, and not for those that
/// the environment names.
#[tokio::test(flavor = "multi_thread")]
async fn mail_replaces_no_roots_that_the_environment_names() {
    let stage = Stage::set("").await;
    let config = format!(
        "version: 1\nsources:\n{}receivers:\n  mail: {{ type: email, smtp_url: \"smtps://127.0.0.1:9\", \
         from: bell@example.com, to: [team@example.com] }}\nrules: {{}}\n",
        stage.source("warehouse")
    );
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    let empty = stage.path("certs");
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(empty.join("README"), "no certificate").unwrap();
    let empty = empty.display().to_string();
    for (name, value) in [("SSL_CERT_FILE", "/nowhere/roots.pem"), ("SSL_CERT_DIR", &empty)] {
        for arguments in [["check"].as_slice(), &["send-test", "mail"]] {
            let mut command = stage.command(arguments);
            command.env_remove("SSL_CERT_FILE").env(name, value);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let said = text(&output.stderr) + &text(&output.stdout);
            assert!(!output.status.success(), "{arguments:?} {name}={value}: {said}");
            assert!(said.contains(&format!("{name} {value}: ")), "{arguments:?} {name}={value}: {said}");
        }
    }
}
