//! Sizes and hostile text: no channel gets a message that is too large, and nothing of the data becomes markup.

use std::sync::LazyLock;

use nightbell::alert::group_message;
use nightbell::model::{AlertFacts, Message, MessageData, SourceId};
use nightbell::notify::{Notifier as _, ReceiverSettings, Renderer};
use nightbell::words::Language;
use proptest::prelude::*;
use serde_json::Value;

use super::http::{Reply, Server};
use super::vendors::vendor;
use super::{CHANNELS, delivery, firing, now, open, settings, yaml_of};

static RENDERERS: LazyLock<Vec<(&str, Language, Renderer)>> = LazyLock::new(|| {
    let open = |kind, language| {
        let receiver = ReceiverSettings { language, ..settings(&yaml_of(kind, "https://chat.example.com")) };
        (kind, language, Renderer::open(&receiver).unwrap())
    };
    Language::ALL.into_iter().flat_map(|language| CHANNELS.map(|kind| open(kind, language))).collect()
});

/// A mark that a backslash takes its meaning from.
static ESCAPED: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"\\[*_~`|<>\[\]#\\]").unwrap());

fn renderer(kind: &str, language: Language) -> &'static Renderer {
    &RENDERERS.iter().find(|it| (it.0, it.1) == (kind, language)).unwrap().2
}

/// The message with every free text replaced.
fn saying(text: &str) -> Message {
    let mut message = firing();
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    let AlertFacts { alert, source, job, instance, failing_nodes, node_details } = &mut **facts;
    alert.summary = text.into();
    source.id = SourceId::new(text);
    job.name = text.into();
    job.id = Some(text.into());
    let instance = instance.as_mut().expect("the sample has an instance");
    instance.id = text.into();
    instance.raw_status = text.into();
    instance.error = Some(text.into());
    *node_details = text.into();
    failing_nodes[0].name = text.into();
    failing_nodes[0].kind = Some(text.into());
    failing_nodes[0].log_path = Some(text.into());
    message
}

/// Two such alerts in one message.
fn group_saying(text: &str) -> Message {
    group_message(vec![saying(text).data.alerts()[0].clone(); 2], 3, now())
}

/// What of a body could be markup to its channel.
fn skeleton(kind: &str, language: Language, message: &Message) -> String {
    let rendered = renderer(kind, language).render(message);
    assert_eq!(rendered.problem, None, "{kind}");
    let body: Value = serde_json::from_str(rendered.content.part("body")).unwrap();
    let mut out = String::new();
    walk(&body, "", &mut |path, text| {
        out.push_str(path);
        // The title is what a phone shows of it, without marks; of plain text elements nobody reads any.
        let is_read = match kind {
            "dingtalk" => !path.ends_with("/title"),
            kind => ["discord", "wecom", "telegram"].contains(&kind),
        };
        let told = match kind {
            "telegram" => text.replace("&#", "&").replace("<code>", "`").replace("</code>", "`"),
            // What stands behind a backslash is what it is.
            "discord" | "dingtalk" => ESCAPED.replace_all(text, "x").into_owned(),
            _ => text.into(),
        };
        let has_code = ["wecom", "discord", "telegram"].contains(&kind);
        assert!(!has_code || told.matches('`').count() % 2 == 0, "{kind}: {text}");
        for (at, piece) in told.split('`').enumerate().filter(|_| is_read) {
            let in_code = at % 2 == 1 && has_code;
            // Behind a code span no line begins.
            let piece = if at == 0 { piece.to_string() } else { format!("x{piece}") };
            let marks = meaningful(&piece, if in_code && kind == "discord" { "wecom" } else { kind });
            // A word may stand in a code span, in which nothing is read but its end, tags and mentions.
            let read: &[char] = if kind == "telegram" { &['<', '>'] } else { &['<', '@', '&', '\n'] };
            assert!(!in_code || !marks.contains(read), "{kind}: {text}");
            if !in_code {
                out += &marks;
                let lower = piece.to_lowercase();
                let links = ["http://", "https://", "www.", "mailto:x"].iter().any(|it| lower.contains(it));
                assert!(!links, "{kind}: {text}");
            }
        }
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    });
    out
}

/// The marks of a text that mean something to the kind where they stand.
fn meaningful(text: &str, kind: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (at, c) in chars.iter().enumerate() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let before = at.checked_sub(1).map_or('\n', |before| chars[before]);
        let line = chars[..at].iter().rev().take_while(|c| **c != '\n');
        let is_first = || line.clone().all(|c| "#> ".contains(*c));
        let means = match (kind, c) {
            (_, '\n') => true,
            ("telegram", '<' | '>' | '@' | '#' | '$') => true,
            ("telegram", '/') => !before.is_alphanumeric() && before != '<' && next.is_alphanumeric(),
            ("telegram", _) => false,
            (_, '*') => true,
            ("discord", '<' | '>' | '[' | ']' | '@' | '#' | '~' | '|') => true,
            (_, '_') => !before.is_alphanumeric(),
            (_, '<') => !next.is_whitespace() && !next.is_ascii_digit() && next != '=',
            (_, ']') => next == '(',
            (_, '@') => !before.is_alphanumeric(),
            // An entity stays what it is.
            ("discord", '&') => false,
            (_, '&') => next == '#' || next.is_alphanumeric(),
            (_, '~') => next == '~',
            (_, '#' | '>') => is_first(),
            _ => false,
        };
        out.extend(means.then_some(*c));
    }
    out
}

/// Every text of a JSON value with its path; of plain-text elements only the tag is told.
fn walk(value: &Value, path: &str, told: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => told(path, text),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, it)| walk(it, &format!("{path}/{at}"), told)),
        Value::Object(map) => map.iter().for_each(|(key, it)| walk(it, &format!("{path}/{key}"), told)),
        other => told(path, &other.to_string()),
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("@all ".to_string()),
        Just("<@all>".to_string()),
        Just("<at id=all></at>".to_string()),
        Just("@everyone".to_string()),
        Just("[x](https://evil.example)".to_string()),
        Just("http://evil.example".to_string()),
        Just("</code></b>".to_string()),
        Just("&lt;".to_string()),
        Just("**".to_string()),
        Just("```".to_string()),
        Just("\\".to_string()),
        Just("\n# ".to_string()),
        Just("\u{202e}".to_string()),
        Just("{{data.alert.id}}".to_string()),
        Just("\"}],\"x\":[{".to_string()),
        "\\PC{0,6}",
    ];
    // Short enough that nothing is cut: a cut would change the marks by itself.
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| format!("x{}y", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// S-16 to S-18: the marks in a message are the template's own, whatever the data says.
    #[test]
    fn hostile_text_adds_no_markup_to_any_channel(text in hostile().prop_filter("short", |it| it.len() < 40)) {
        // In Telegram a failure text keeps its lines.
        let text = text.replace('\n', " ");
        for (kind, language) in Language::ALL.into_iter().flat_map(|language| CHANNELS.map(|kind| (kind, language))) {
            let (hostile, harmless) = (saying(&text), saying("xy"));
            prop_assert_eq!(skeleton(kind, language, &hostile), skeleton(kind, language, &harmless), "{}", kind);
            if settings(&yaml_of(kind, "https://chat.example.com")).channel.kind().merges() {
                let (hostile, harmless) = (group_saying(&text), group_saying("xy"));
                prop_assert_eq!(skeleton(kind, language, &hostile), skeleton(kind, language, &harmless), "{}", kind);
            }
        }
    }
}

/// A message about several alerts names as many as the channel takes, the worst first, and each of them.
#[tokio::test]
async fn a_group_is_as_large_as_the_vendor_takes_and_cuts_no_name() {
    let long = "订单".repeat(300);
    for kind in CHANNELS.into_iter().filter(|kind| *kind != "pagerduty") {
        let server = Server::start(Reply::Vendor(vendor(kind))).await;
        let yaml = yaml_of(kind, &server.base);
        let (receiver, notifier) = (settings(&yaml), open(&yaml));
        let renderer = Renderer::open(&receiver).unwrap();
        for (filler, least) in [("", 25), (long.as_str(), 3)] {
            let alerts: Vec<AlertFacts> = (0..300)
                .map(|number| {
                    let mut message = firing();
                    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
                    facts.job.name = format!("etl-{number:03}{filler}");
                    facts.alert.summary = format!("{} failed after 1m 0s", facts.job.name);
                    (**facts).clone()
                })
                .collect();
            let grouped = renderer.group(&alerts, 7, now(), 300).expect("at least two fit");
            assert_eq!(grouped.rendered.problem, None, "{kind}");
            assert!(grouped.named >= least, "{kind} names {} of {}", grouped.named, alerts.len());
            println!("{kind} names {}", grouped.named);
            let body = grouped.rendered.content.part("body");
            assert!(!body.contains(" cut"), "{kind}: {body}");
            // Some channels write a hyphen by a look-alike or an escape.
            let shown = |number: usize| {
                [format!("etl-{number:03}"), format!("etl‐{number:03}"), format!("etl\\\\-{number:03}")]
            };
            let is_named = |number: usize| shown(number).iter().any(|name| body.contains(name));
            assert!((0..grouped.named).all(is_named) && !is_named(grouped.named), "{kind}: {body}");
            assert!(body.contains(&format!("{} more", 307 - grouped.named)), "{kind}: {body}");
            let mut pending = delivery(&receiver, &firing());
            pending.notification.content = grouped.rendered.content;
            assert_eq!(notifier.send(&pending, now()).await.error, None, "{kind}");
        }
        assert!(renderer.group(&[], 0, now(), 300).is_none());
        let alone = renderer.group(firing().data.alerts(), 0, now(), 300);
        assert!(alone.is_none(), "a group of one is none");
    }
}

/// Foreign text stands where nothing reads Markdown; the log path can be copied.
#[test]
fn cards_show_foreign_text_in_plain_elements() {
    let text = "<at id=all></at> **b** [l](http://e) obs://a_b/_c";
    for (kind, plain_key) in [("feishu", "content"), ("teams", "text")] {
        let rendered = renderer(kind, Language::En).render(&saying(text));
        let body: Value = serde_json::from_str(rendered.content.part("body")).unwrap();
        let mut verbatim = 0;
        walk(&body, "", &mut |path, shown| {
            if shown.contains("<at") {
                verbatim += 1;
                assert!(path.ends_with(plain_key) || path == "/summary", "{kind}: {path}");
            }
        });
        assert!(verbatim >= 4, "{kind}");
        let text = body.to_string();
        assert!(
            !text.contains("lark_md") && !text.contains("\"markdown\"") && !text.contains("\"TextBlock\""),
            "{text}"
        );
    }
}

fn with_template(kind: &str, file: &str, text: &str) -> (tempfile::TempDir, ReceiverSettings) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(file), text).unwrap();
    let yaml = yaml_of(kind, "https://chat.example.com");
    let receiver = ReceiverSettings { templates: vec![directory.path().to_path_buf()], ..settings(&yaml) };
    (directory, receiver)
}

/// A template of the user's that says too much is cut: the head and the log path stay, and how much went is said.
#[tokio::test]
async fn what_is_too_long_is_cut_and_taken() {
    let table = [
        ("dingtalk", "message.md.hbs"),
        ("wecom", "message.md.hbs"),
        ("discord", "message.md.hbs"),
        ("telegram", "message.html.hbs"),
    ];
    for (kind, file) in table {
        for filler in ["订单 \"quoted\" line\n".repeat(2000), "🚨".repeat(12_000)] {
            let template = format!(
                "{{{{data.job.name}}}} failed\n{filler}\n{{{{#each data.failing_nodes}}}}{{{{log_path}}}}{{{{/each}}}}"
            );
            let (_directory, receiver) = with_template(kind, file, &template);
            let rendered = Renderer::open(&receiver).unwrap().render(&firing());
            assert_eq!(rendered.problem, None);
            let body = rendered.content.part("body").to_string();
            assert!(body.contains("etl_orders failed") && body.contains(" cut"), "{kind}: {body}");
            assert!(body.contains("load_orders"), "{kind}: the log path is gone: {body}");
            let server = Server::start(Reply::Vendor(vendor(kind))).await;
            let yaml = yaml_of(kind, &server.base);
            let mut delivery = delivery(&settings(&yaml), &firing());
            delivery.notification.content = rendered.content;
            let attempt = open(&yaml).send(&delivery, now()).await;
            assert_eq!(attempt.error, None, "{kind}");
        }
    }
}

/// A card cannot be cut without breaking it, so a template that makes it too large is an error before the night.
#[test]
fn a_card_that_is_too_large_is_found_at_check() {
    for (kind, around) in [
        (
            "feishu",
            [
                "{\"msg_type\":\"interactive\",\"card\":{\"elements\":[{\"tag\":\"div\",\"text\":{\"tag\":\"plain_text\",\"content\":\"",
                "\"}}]}}",
            ],
        ),
        ("teams", ["{\"type\":\"message\",\"attachments\":[{\"text\":\"", "\"}]}"]),
    ] {
        let template = format!("{}{}{}", around[0], "x".repeat(22_000), around[1]);
        let (_directory, receiver) = with_template(kind, "card.json.hbs", &template);
        let found = Renderer::open(&receiver).unwrap_err();
        assert!(found[0].message.contains("the channel takes"), "{found:?}");
    }
}
