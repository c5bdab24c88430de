//! Templates and receivers: what arrives, and how every answer is understood. The servers here are real ones on
//! loopback; nothing is slept for, and time is handed in.
#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what is wanted")]

mod acks;
mod answers;
mod certificates;
mod evil_smtp;
mod fallback;
mod fitting;
mod gallery;
mod golden;
mod groups;
mod guides;
mod http;
mod page;
mod settings;
mod slack;
mod smn;
mod smtp;
mod truth;
mod vendors;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nightbell::model::{Delivery, DeliveryId, Message, MessageKind, Notification, ReceiverId};
use nightbell::notify::{AnyNotifier, ChannelSettings, Guides, ReceiverSettings, Renderer, kind_of};
use nightbell::template::sample_message;
use nightbell::words::Language;
use nightbell::yaml::{Diagnostics, Environment, Key, Keys, Level, Section, Shape, parse};

/// What every kind has that the tests need.
static TYPE: Keys = Keys::of("receiver", "A receiver.", &[&[Key::new("type", Shape::Text, "Its kind.").required()]]);

/// The settings of a receiver written as YAML, or the errors in it, and the warnings.
fn read(yaml: &str) -> (Result<ReceiverSettings, Vec<String>>, Vec<String>) {
    let findings = Diagnostics::new("/nowhere");
    let environment = Environment { lookup: &|_| None, required: true };
    let node = parse(yaml, &environment, &findings).expect("the test's YAML is a tree");
    let section = Section::of(&TYPE, &node, "receivers.it", &findings).expect("the test's YAML is a mapping");
    let channel = kind_of(&section).and_then(|kind| {
        let section = section.with(kind.keys);
        let channel = kind.read(&section);
        if channel.is_some() {
            section.close();
        }
        channel
    });
    let said: Vec<_> = findings.into_sorted();
    let (errors, warnings): (Vec<_>, Vec<_>) = said.into_iter().partition(|it| it.level == Level::Error);
    let words = |it: &nightbell::yaml::Diagnostic| format!("{}: {} {:?}", it.path, it.message, it.help);
    let warnings = warnings.iter().map(words).collect();
    let errors: Vec<String> = errors.iter().map(words).collect();
    match channel {
        Some(channel) if errors.is_empty() => (Ok(receiver(channel)), warnings),
        _ => (Err(errors), warnings),
    }
}

fn settings(yaml: &str) -> ReceiverSettings {
    read(yaml).0.unwrap_or_else(|errors| panic!("{yaml}\n{}", errors.join("\n")))
}

fn receiver(channel: ChannelSettings) -> ReceiverSettings {
    ReceiverSettings {
        id: ReceiverId::new("it"),
        send_resolved: true,
        tell_ack: None,
        timezone: TimeZone::get("Asia/Shanghai").expect("the zone is bundled"),
        language: Language::En,
        templates: Vec::new(),
        page: None,
        guides: Guides::default(),
        fallback: None,
        rate: channel.kind().rate,
        channel,
    }
}

/// The kinds that are chats or incident services, each spoken to as its vendor wants it.
const CHANNELS: [&str; 10] =
    ["slack-bot", "dingtalk", "wecom", "feishu", "pagerduty", "teams", "discord", "telegram", "smn", "ntfy"];

/// A receiver of a kind whose vendor is at `base`. Its secrets hold the word canary.
fn yaml_of(kind: &str, base: &str) -> String {
    let url = |path: &str| format!("{{ type: {kind}, webhook_url: '{base}{path}' }}");
    match kind {
        "webhook" => format!("{{ type: webhook, url: '{base}/services/T0/canary' }}"),
        "slack-bot" => {
            format!("{{ type: slack, bot_token: xoxb-canary-slack, channel: C0123, api_url: '{base}/api' }}")
        }
        "webhook-success" => {
            format!("{{ type: webhook, url: '{base}/canary', success: {{ pointer: /result/code, values: [0, ok] }} }}")
        }
        "dingtalk" => format!(
            "{{ type: dingtalk, webhook_url: '{base}/robot/send?access_token=canary-token', secret: SECcanary }}"
        ),
        "wecom" => url("/cgi-bin/webhook/send?key=canary-key"),
        "feishu" => format!(
            "{{ type: feishu, webhook_url: '{base}/open-apis/bot/v2/hook/canary-hook', secret: canary-secret }}"
        ),
        "pagerduty" => format!("{{ type: pagerduty, routing_key: canary-routing-key, api_url: '{base}' }}"),
        "smn" => format!(
            "{{ type: smn, endpoint: '{base}', project_id: p1, topic_urn: 'urn:smn:r:p1:t', \
             auth: {{ access_key: canary-ak, secret_key: canary-sk, security_token: canary-st }} }}"
        ),
        "ntfy" => format!("{{ type: ntfy, topic: canary-topic, token: tk_canary, api_url: '{base}' }}"),
        "teams" => url("/workflows/w1/triggers/manual/paths/invoke?sig=canary-sig"),
        "discord" => url("/api/webhooks/1/canary-discord"),
        "telegram" => {
            format!("{{ type: telegram, bot_token: '123:canary-telegram', chat_id: '-1001', api_url: '{base}' }}")
        }
        _ => url("/services/T0/canary"),
    }
}

fn open(yaml: &str) -> AnyNotifier {
    AnyNotifier::open(&settings(yaml)).unwrap_or_else(|error| panic!("{error}"))
}

/// The instant at which the messages here are made.
fn now() -> Timestamp {
    "2026-11-21T00:06:06Z".parse().expect("a fixed instant")
}

/// The delivery of a message to a receiver, as the worker would make it.
fn delivery(settings: &ReceiverSettings, message: &Message) -> Delivery {
    let rendered = Renderer::open(settings).expect("the built-in templates are right").render(message);
    assert_eq!(rendered.problem, None);
    let id = DeliveryId::new("d-0123456789abcdef");
    Delivery::pending(Notification::new(id, settings.id.clone(), message.kind, rendered.content, now()))
}

fn firing() -> Message {
    sample_message(MessageKind::AlertFiring, now())
}
