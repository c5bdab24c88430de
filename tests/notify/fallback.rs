//! The line that says whom a message was meant for: there in every channel, escaped in every channel.

use nightbell::model::{Delivery, DeliveryId, MeantFor, Message, MessageKind, Notification, ReceiverId, Untold};
use nightbell::notify::{Notifier as _, Renderer};
use nightbell::template::{sample_message, samples};
use nightbell::words::Language;

use super::http::{Reply, Server};
use super::vendors::vendor;
use super::{CHANNELS, firing, now, open, settings, yaml_of};

const SLACK: &str = "{ type: slack, webhook_url: { env: UNUSED } }";
const EMAIL: &str = "{ type: email, smtp_url: 'smtp://mx.example.com', from: a@example.com, to: b@example.com }";
const WEBHOOK: &str = "{ type: webhook, url: 'https://example.com/hook' }";

fn every_kind() -> Vec<String> {
    let chats = CHANNELS.map(|kind| yaml_of(kind, "https://chat.example.com"));
    [SLACK, EMAIL, WEBHOOK].map(str::to_string).into_iter().chain(chats).collect()
}

fn meant(error: &str) -> MeantFor {
    let untold = Untold { given_up: true, since: now(), attempts: 4, error: Some(error.into()) };
    MeantFor { receiver: ReceiverId::new("oncall"), untold: Some(untold) }
}

/// All that a receiver is sent, as one text.
fn sent(yaml: &str, message: &Message, meant: &MeantFor) -> String {
    let rendered = Renderer::open(&settings(yaml)).unwrap().render_fallback(message, meant);
    assert_eq!(rendered.problem, None, "{yaml}");
    rendered.content.parts.into_values().collect::<Vec<_>>().join("\n")
}

#[test]
fn every_channel_says_whom_it_was_meant_for_and_why_it_did_not_arrive() {
    for yaml in every_kind() {
        let text = sent(&yaml, &firing(), &meant("answered 503"));
        if yaml.contains("pagerduty") {
            assert!(text.contains("(intended for oncall)"), "{text}");
            continue;
        }
        assert!(text.contains("oncall") && text.contains("answered 503"), "{yaml}: {text}");
        if yaml == WEBHOOK {
            assert!(text.contains("\"stands_in_for\":{\"receiver\":\"oncall\",\"given_up\":true,"), "{text}");
        } else {
            assert!(
                text.contains("Intended for oncall, which could not be reached (4 attempts since "),
                "{yaml}: {text}"
            );
        }
        let end = MeantFor { untold: None, ..meant("") };
        let text = sent(&yaml, &sample_message(MessageKind::AlertResolved, now()), &end);
        assert!(yaml == WEBHOOK || text.contains("Intended for oncall; resolves the earlier alert"), "{yaml}: {text}");
        assert!(yaml != WEBHOOK || text.contains("\"stands_in_for\":{\"receiver\":\"oncall\"}"), "{text}");
    }
}

#[test]
fn it_is_said_in_the_receiver_s_language() {
    let receiver = nightbell::notify::ReceiverSettings { language: Language::Zh, ..settings(EMAIL) };
    let renderer = Renderer::open(&receiver).unwrap();
    let text = renderer.render_fallback(&firing(), &meant("answered 503")).content.part("text").to_string();
    assert!(text.starts_with("⚠️ 本消息原应发送至 oncall，但无法送达（自 "), "{text}");
    assert!(text.lines().next().unwrap().ends_with("已尝试 4 次）：answered 503"), "{text}");
}

#[test]
fn it_stands_near_the_top_of_a_mail() {
    let parts = Renderer::open(&settings(EMAIL)).unwrap().render_fallback(&firing(), &meant("answered 503")).content;
    assert!(parts.part("text").starts_with("⚠️ Intended for oncall"), "{}", parts.part("text"));
    let html = parts.part("html");
    let body = &html[html.find("<body").unwrap()..];
    assert!(body[body.find('>').unwrap() + 1..].starts_with("<div class=\"note\""), "{body}");
    assert!(!parts.part("subject").contains("Meant"), "the head says what happened");
}

/// What the other channel answered is foreign text.
#[tokio::test]
async fn a_hostile_answer_adds_no_markup_and_every_vendor_takes_it() {
    let hostile =
        "<!channel> <@U1> <b>bold</b> <at id=all></at> @everyone ``` **b** [l](http://evil.example) \u{202e}x";
    for kind in CHANNELS {
        let server = Server::start(Reply::Vendor(vendor(kind))).await;
        let yaml = yaml_of(kind, &server.base);
        let text = sent(&yaml, &firing(), &meant(hostile));
        for raw in ["<!channel>", "<@U1>", "\u{202e}"] {
            let is_plain_element = matches!(kind, "feishu" | "teams" | "smn" | "ntfy");
            assert!(!text.contains(raw) || (is_plain_element && raw != "\u{202e}"), "{kind}: {text}");
        }
        let receiver = settings(&yaml);
        let (renderer, notifier) = (Renderer::open(&receiver).unwrap(), open(&yaml));
        for (name, message) in samples() {
            let content = renderer.render_fallback(&message, &meant(hostile)).content;
            let id = DeliveryId::new("d-0123456789abcdef");
            let sent = Notification::new(id, receiver.id.clone(), MessageKind::AlertFiring, content, now());
            let attempt = notifier.send(&Delivery::pending(sent), now()).await;
            assert_eq!(attempt.error, None, "{kind}, {name}");
        }
    }
    for yaml in [SLACK, EMAIL] {
        let text = sent(yaml, &firing(), &meant(hostile));
        assert!(!text.contains("<!channel>") || yaml == EMAIL, "{text}");
    }
    let mail = Renderer::open(&settings(EMAIL)).unwrap().render_fallback(&firing(), &meant(hostile)).content;
    assert!(
        !mail.part("html").contains("<b>bold") && !mail.part("html").contains("<!channel"),
        "{}",
        mail.part("html")
    );
}
