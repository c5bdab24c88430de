//! The keys of receivers: what is read, and what is said of mistakes.

use super::{read, settings};

#[test]
fn right_settings_are_read() {
    let table = [
        ("{ type: slack, webhook_url: { env: SLACK } }", "slack", true, "webhook_url"),
        ("{ type: webhook, url: 'https://pager.example.com/hook', secret: { env: S } }", "webhook", true, "url secret"),
        (
            "{ type: webhook, url: { env: U }, method: put, headers: { Authorization: { env: A }, X-Team: data } }",
            "webhook",
            true,
            "url headers.authorization headers.x-team",
        ),
        (
            "{ type: email, smtp_url: 'smtps://nightbell@smtp.example.com:465', password: { env: P }, \
             from: 'Nightbell <nightbell@example.com>', to: [data-team@example.com], cc: b@example.com, \
             reply_to: 'Ops <ops@example.com>', ca_file: ca.pem }",
            "email",
            false,
            "password",
        ),
    ];
    let table = table.into_iter().chain([
        (
            "{ type: dingtalk, webhook_url: { env: W }, secret: { env: S }, mention: { mobiles: '13800000000', all: yes } }",
            "dingtalk",
            true,
            "webhook_url secret",
        ),
        ("{ type: slack, bot_token: { env: T }, channel: C0123 }", "slack", true, "bot_token"),
        (
            "{ type: webhook, url: 'https://h', success: { pointer: /errcode, values: [0, ok] }, client_cert: c.pem }",
            "webhook",
            true,
            "url",
        ),
        ("{ type: wecom, webhook_url: { env: W }, mention: { user_ids: [a, b] } }", "wecom", true, "webhook_url"),
        ("{ type: feishu, webhook_url: { env: W }, secret: { env: S } }", "feishu", true, "webhook_url secret"),
        ("{ type: pagerduty, routing_key: { env: K } }", "pagerduty", true, "routing_key"),
        ("{ type: teams, webhook_url: { env: W }, mention: { user_ids: a@b.example } }", "teams", true, "webhook_url"),
        (
            "{ type: smn, region: r, project_id: p, topic_urn: urn, auth: { user: u, password: { env: P }, domain: d } }",
            "smn",
            true,
            "auth.user auth.password auth.domain",
        ),
        (
            "{ type: smn, region: r, project_id: p, topic_urn: urn, auth: { token: { file: /t } } }",
            "smn",
            true,
            "auth.token",
        ),
        (
            "{ type: smn, region: r, project_id: p, topic_urn: urn, auth: { access_key: { env: A }, secret_key: { env: S } } }",
            "smn",
            true,
            "auth.access_key auth.secret_key",
        ),
        ("{ type: discord, webhook_url: { env: W } }", "discord", true, "webhook_url"),
        ("{ type: telegram, bot_token: { env: T }, chat_id: -1001 }", "telegram", true, "bot_token"),
        ("{ type: ntfy, topic: alerts }", "ntfy", true, "topic"),
        ("{ type: ntfy, topic: { env: T }, token: { env: K }, api_url: 'https://ntfy.example.com' }", "ntfy", true, "topic token"),
    ]);
    for (yaml, kind, resolved, secrets) in table {
        let (receiver, warnings) = read(yaml);
        let channel = receiver.unwrap_or_else(|errors| panic!("{yaml}: {errors:?}")).channel;
        assert_eq!((channel.kind().word, channel.kind().sends_resolved), (kind, resolved), "{yaml}");
        let keys: Vec<String> = channel.secrets().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys.join(" "), secrets, "{yaml}");
        assert_eq!(warnings, Vec::<String>::new(), "{yaml}");
    }
}

#[test]
fn wrong_settings_are_said() {
    let mail = |rest: &str| format!("{{ type: email, smtp_url: 'smtp://mx', from: a@b.c, to: d@e.f, {rest} }}");
    let hook = |rest: &str| format!("{{ type: webhook, url: 'https://h/canary', {rest} }}");
    let table = [
        ("{ type: slak }".into(), "type: \"slak\" is not a valid receiver type Some(\"did you mean \\\"slack\\\"?\")"),
        ("{ type: pigeon }".into(), "the types are slack, email, webhook, dingtalk, "),
        ("{ type: smn, project_id: p, topic_urn: x, auth: { token: { env: T } } }".into(), "\"region\" and \"endpoint\""),
        ("{ type: smn, region: r, project_id: p, auth: { token: { env: T } } }".into(), "\"topic_urn\" is missing"),
        ("{ type: smn, region: r, project_id: p, topic_urn: x }".into(), "\"auth\" is missing"),
        ("{ type: smn, region: 'R 2', project_id: p, topic_urn: x, auth: { token: { env: T } } }".into(), "not a valid region"),
        ("{ type: smn, region: r, project_id: p, topic_urn: x, auth: {} }".into(), "\"access_key\" is missing"),
        (
            "{ type: smn, region: r, project_id: p, topic_urn: x, auth: { user: u, password: { env: P } } }".into(),
            "\"domain\" is missing",
        ),
        (
            "{ type: smn, endpoint: 'https://smn', project_id: p, topic_urn: x, \
             auth: { user: u, password: { env: P }, domain: d } }"
                .into(),
            "\"iam_endpoint\" is missing",
        ),
        (
            "{ type: smn, region: r, project_id: p, topic_urn: x, auth: { token: { env: T }, access_key: { env: A } } }"
                .into(),
            "both \"token\" and \"access_key\" are given",
        ),
        ("{ type: slack }".into(), "\"webhook_url\" is missing"),
        ("{ type: slack, bot_token: { env: X } }".into(), "\"channel\" is missing"),
        ("{ type: slack, bot_token: { env: X }, channel: '' }".into(), "channel: it is empty"),
        (
            "{ type: slack, bot_token: { env: X }, channel: ops, webhook_url: { env: Y } }".into(),
            "both \"webhook_url\"",
        ),
        ("{ type: slack, webhook_url: { env: Y }, channel: ops }".into(), "\"channel\" goes with \"bot_token\""),
        ("{ type: slack, bot_token: { env: X }, channel: ops, api_url: x }".into(), "api_url: it is not a valid URL"),
        ("{ type: slack, webhook_url: hooks.slack.com/canary }".into(), "webhook_url: it is not a valid URL"),
        ("{ type: slack, webhook_url: { env: X }, webhok: 1 }".into(), "unknown key \"webhok\""),
        ("{ type: webhook }".into(), "\"url\" is missing"),
        ("{ type: webhook, url: 'ftp://canary' }".into(), "must begin with https://"),
        (hook("method: GET"), "method: \"GET\" is not one of POST, PUT and PATCH"),
        (hook("secret: 'not base64 canary'"), "the signing secret is not valid base64"),
        (hook("headers: { webhook-id: x }"), "is set by Nightbell itself"),
        (hook("headers: { Host: x }"), "is set by Nightbell itself"),
        (hook("headers: { 'a b': x }"), "cannot be the name of a header"),
        (hook("headers: { X-A: \"canary\\nb: c\" }"), "characters that no header can carry"),
        (hook("success: x"), "success: expected a mapping"),
        (hook("success: {}"), "success: the key \"pointer\" is missing"),
        (hook("success: { pointer: /errcode }"), "the key \"values\" is missing"),
        (hook("success: { pointer: errcode, values: 0 }"), "success.pointer: \"errcode\" is not a valid JSON pointer"),
        (hook("success: { pointer: /a, values: [] }"), "success.values: the list is empty"),
        (hook("success: { pointer: /a, values: 0, value: 1 }"), "unknown key \"value\""),
        ("{ type: dingtalk }".into(), "\"webhook_url\" is missing"),
        ("{ type: wecom, webhook_url: qyapi/canary }".into(), "webhook_url: it is not a valid URL"),
        ("{ type: wecom, webhook_url: { env: W }, secret: { env: S } }".into(), "unknown key \"secret\""),
        ("{ type: wecom, webhook_url: { env: W }, mention: { all: true } }".into(), "cannot mention by \"all\""),
        ("{ type: discord, webhook_url: { env: W }, mention: { mobiles: '138' } }".into(), "mention by \"mobiles\""),
        (
            "{ type: dingtalk, webhook_url: { env: W }, mention: { user_ids: ['a b'] } }".into(),
            "mention.user_ids: \"a b\" cannot be mentioned",
        ),
        ("{ type: feishu, webhook_url: { env: W }, mention: { user_ids: '<x' } }".into(), "cannot be mentioned"),
        ("{ type: feishu, webhook_url: { env: W }, mention: { user: x } }".into(), "unknown key \"user\""),
        ("{ type: pagerduty }".into(), "\"routing_key\" is missing"),
        ("{ type: pagerduty, routing_key: { env: K }, api_url: events }".into(), "api_url: it is not a valid URL"),
        ("{ type: telegram, bot_token: { env: T } }".into(), "\"chat_id\" is missing"),
        ("{ type: telegram, bot_token: '1:canary/../x', chat_id: 1 }".into(), "this is not a valid bot token"),
        ("{ type: ntfy }".into(), "\"topic\" is missing Some(\"write topic: { env: NTFY_TOPIC }\")"),
        ("{ type: ntfy, topic: canary/x }".into(), "this is not a valid topic"),
        ("{ type: ntfy, topic: t, api_url: ntfy }".into(), "api_url: it is not a valid URL"),
        (mail("username: u"), "no \"password\""),
        (mail("password: { env: P }"), "nobody to log in as"),
        (mail("cc: nobody"), "cc: \"nobody\" is not a valid mail address"),
        (mail("hello: localhost"), "hello: \"localhost\" is not a full host name"),
        (mail("reply_to: \"x@y.z\\r\\nBcc: v@w.x\""), "with a line break"),
        (mail("cc: [a@b.c, 'x@']"), "cc[1]: \"x@\" is not a valid mail address"),
        (mail("cc: 'a@b.c, d@e.f'"), "several addresses are a list"),
        ("{ type: email, smtp_url: 'smtp://mx', from: a@b.c, to: [] }".into(), "to: the list is empty"),
        ("{ type: email, smtp_url: 'smtp://mx', from: '', to: a@b.c }".into(), "from: \"\" is not a valid mail address"),
        ("{ type: email, from: a@b.c, to: a@b.c }".into(), "\"smtp_url\" is missing"),
        ("{ type: email, smtp_url: 'smtp://u:canary@mx', from: a@b.c, to: a@b.c }".into(), "holds a password"),
        (
            "{ type: email, smtp_url: 'smtp+plain://u@mx.example.com', password: { env: P }, from: a@b.c, to: a@b.c }"
                .into(),
            "would send the password unprotected",
        ),
    ];
    for (yaml, expected) in table {
        let errors = read(&yaml).0.map(|it| it.channel.kind().word).expect_err(&yaml).join("\n");
        assert!(errors.contains(expected), "{yaml}\n  expected: {expected}\n  found: {errors}");
        assert!(!errors.contains("canary"), "{errors}");
    }
}

#[test]
fn secrets_in_plain_text_earn_a_warning_and_are_never_shown() {
    let yaml =
        "{ type: webhook, url: 'https://h/canary', secret: whsec_Y2FuYXJ5Y2FuYXJ5, headers: { X-Api-Key: canary } }";
    let (receiver, warnings) = read(yaml);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let shown = format!("{:?} {warnings:?}", receiver.unwrap());
    assert!(!shown.contains("canary") && !shown.contains("Y2FuYXJ5"), "{shown}");
    let (receiver, warnings) = read("{ type: slack, webhook_url: 'https://hooks.example.com/canary' }");
    assert_eq!(warnings.len(), 1);
    assert!(!format!("{receiver:?}").contains("canary"));
}

/// `smtps://` at 587 and `smtp://` at 465 wait for each other for ever.
#[test]
fn schemes_at_the_wrong_port_earn_a_hint() {
    for (url, hint) in [
        ("smtps://mx:587", "probably smtp:// (STARTTLS)"),
        ("smtp://mx:465", "probably smtps://"),
        ("smtps://mx", ""),
        ("smtp://mx:587", ""),
        ("smtps://mx:2465", ""),
    ] {
        let (receiver, warnings) = read(&format!("{{ type: email, smtp_url: '{url}', from: a@b.c, to: d@e.f }}"));
        assert!(receiver.is_ok());
        assert_eq!(warnings.len(), usize::from(!hint.is_empty()), "{url}: {warnings:?}");
        assert!(warnings.iter().all(|it| it.contains(hint)), "{url}: {warnings:?}");
    }
}

#[test]
fn secrets_are_checked_by_their_present_value() {
    let checked = |yaml: &str| settings(yaml).channel.check_secrets();
    let missing = checked("{ type: slack, webhook_url: { env: NIGHTBELL_TEST_NEVER_SET } }");
    assert!(missing[0].1.contains("NIGHTBELL_TEST_NEVER_SET is not set"), "{missing:?}");
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (url, secret) = (file("url", "canary no url"), file("secret", "canary!"));
    let wrong = checked(&format!("{{ type: webhook, url: {{ file: {url} }}, secret: {{ file: {secret} }} }}"));
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong.iter().all(|(_, message)| !message.contains("canary")), "{wrong:?}");
    assert_eq!(checked("{ type: webhook, url: 'https://h' }"), []);
}

/// What `check` says of values that nobody can send with.
#[test]
fn values_that_cannot_be_used_are_told_by_check() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let quoted = file("quoted", "\"https://hooks.example.com/canary\"");
    let bare = file("bare", "hooks.example.com/canary");
    let broken = file("broken", "canary\nX-B: c");
    let hook = |rest: &str| format!("{{ type: webhook, url: 'https://h', {rest} }}");
    let table = [
        (format!("{{ type: slack, webhook_url: {{ file: {quoted} }} }}"), "stands in quotes"),
        (format!("{{ type: wecom, webhook_url: {{ file: {bare} }} }}"), "not a valid URL"),
        (hook(&format!("secret: {{ file: {bare} }}")), "not valid base64"),
        (hook(&format!("headers: {{ X-A: {{ file: {broken} }} }}")), "characters that no header can carry"),
        (
            format!("{{ type: slack, bot_token: {{ file: {broken} }}, channel: C }}"),
            "characters that no header can carry",
        ),
    ];
    for (yaml, said) in table {
        let wrong = settings(&yaml).channel.check_secrets();
        assert!(wrong.len() == 1 && wrong[0].1.contains(said), "{yaml}: {wrong:?}");
        assert!(!wrong[0].1.contains("canary"), "{wrong:?}");
    }
}

/// A receiver that cannot be opened is unreachable by itself, and only until its file is mended.
#[tokio::test]
async fn a_receiver_that_cannot_be_opened_fails_alone_and_recovers() {
    use nightbell::model::AttemptOutcome::{Retry, Unauthorized};
    use nightbell::notify::{AnyNotifier, Notifier as _};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let yaml = format!("{{ type: webhook, url: 'http://127.0.0.1:1/', ca_file: {} }}", file.display());
    let receiver = settings(&yaml);
    let (notifier, delivery) = (AnyNotifier::open_later(&receiver), super::delivery(&receiver, &super::firing()));
    let attempt = notifier.send(&delivery, super::now()).await;
    assert_eq!(attempt.outcome, Unauthorized);
    assert!(attempt.error.unwrap().contains("ca.pem"));
    let ca = super::smtp::Ca::new();
    std::fs::copy(ca.path("ca.pem"), &file).unwrap();
    // Nobody listens there: the attempt was made.
    assert_eq!(notifier.send(&delivery, super::now()).await.outcome, Retry);
}

#[test]
fn a_certificate_file_that_is_none_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    for yaml in [
        format!("{{ type: webhook, url: 'https://h', ca_file: {} }}", file.display()),
        format!("{{ type: webhook, url: 'https://h', client_cert: {} }}", file.display()),
        format!(
            "{{ type: smn, region: r-1, project_id: p, topic_urn: u, auth: {{ token: {{ env: T }} }}, ca_file: {} }}",
            file.display()
        ),
        format!("{{ type: email, smtp_url: 'smtp://mx', from: a@b.c, to: a@b.c, ca_file: {} }}", file.display()),
    ] {
        let receiver = settings(&yaml);
        let error = nightbell::notify::AnyNotifier::open(&receiver).expect_err("no certificate in it");
        assert!(error.contains("ca.pem"), "{error}");
    }
}

/// Receivers of one destination share its limits; what merely looks different does not make another one.
#[test]
fn destinations_are_told_apart_by_their_address_and_hold_no_secret() {
    let of = |yaml: &str| settings(yaml).channel.destination();
    let table = [
        (
            "{ type: wecom, webhook_url: { env: W } }",
            "{ type: wecom, webhook_url: { env: W }, mention: { user_ids: a } }",
            true,
        ),
        ("{ type: wecom, webhook_url: { env: W } }", "{ type: wecom, webhook_url: { env: V } }", false),
        ("{ type: wecom, webhook_url: { env: W } }", "{ type: wecom, webhook_url: { file: W } }", false),
        ("{ type: wecom, webhook_url: { env: W } }", "{ type: teams, webhook_url: { env: W } }", false),
        (
            "{ type: slack, bot_token: { env: T }, channel: C1 }",
            "{ type: slack, bot_token: { env: T }, channel: C2 }",
            false,
        ),
        (
            "{ type: telegram, bot_token: { env: T }, chat_id: '1' }",
            "{ type: telegram, bot_token: { env: T }, chat_id: '2' }",
            false,
        ),
        ("{ type: webhook, url: 'https://h/a' }", "{ type: webhook, url: 'https://h/a', method: put }", true),
        ("{ type: webhook, url: 'https://h/a' }", "{ type: webhook, url: 'https://h/b' }", false),
    ];
    for (one, other, are_same) in table {
        assert_eq!(of(one) == of(other), are_same, "{one} {other}");
    }
    assert!(!of("{ type: webhook, url: 'https://h/canary' }").contains("canary"));
}
