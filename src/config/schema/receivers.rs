//! The keys under `receivers`.

use serde_json::{Map, Value, json};

use super::values::{
    Key, duration, flag, flexible, key, mapping, must, named, needing_one_of, or_text, path, secret, text, texts,
    whole, word, zone,
};
use super::{by_type, huawei_auth};
use crate::notify::KINDS;
use crate::words::Language;

/// The mapping of names to receivers.
pub(super) fn all() -> Value {
    named(by_type("A place that is told.", "receiver", &KINDS.each_ref().map(|kind| kind.word)))
}

pub(super) fn definitions() -> Map<String, Value> {
    KINDS.iter().map(|kind| (format!("receiver_{}", kind.word), of_kind(kind.word))).collect()
}

/// What every receiver has.
fn common(kind: &str) -> Vec<Key> {
    vec![
        must("type", word(&[kind]), "The kind of receiver."),
        key("send_resolved", flag(), "Also tell when it is over. Default: true; false for email."),
        key("timezone", zone(), "The zone of the times in its messages, where it differs from the file's."),
        key("language", word(&Language::ALL.map(Language::as_str)), "The language of its messages: en or zh."),
        key("template", path(), "A file or directory that replaces the built-in templates for this receiver."),
        key("fallback", fallback(), "Who is told in its place when an alert does not get through."),
        key("rate", rate(), "How often it may be told something; what is more is told together."),
    ]
}

fn fallback() -> Value {
    or_text(mapping(
        "A receiver's name, or { to: NAME, after: 5m }.",
        [
            must("to", text(), "The receiver that is told instead."),
            key("after", duration(), "How long a message may wait before that. Default: 15m."),
        ],
    ))
}

fn rate() -> Value {
    mapping(
        "Limits of how often it may be told something.",
        [
            key("per_second", whole(), "Most messages in any second."),
            key("per_minute", whole(), "Most messages in any minute."),
            key("burst", whole(), "How many of a minute's messages may go at once."),
            key("penalty", duration(), "How long it is left alone when it says \"too often\" and names no time."),
        ],
    )
}

/// Whom a message calls; which of it a channel can do, `check` says.
fn mention() -> Value {
    mapping(
        "Whom a message calls when something fails.",
        [
            key("mobiles", texts(), "Phone numbers (DingTalk)."),
            key("user_ids", texts(), "The channel's own ids of people."),
            key("all", flag(), "Everybody in the chat (DingTalk, Feishu)."),
        ],
    )
}

fn of_kind(kind: &str) -> Value {
    let webhook_url = || must("webhook_url", secret(), "The webhook's URL. Who has it can post, so it is a secret.");
    let mention = || key("mention", mention(), "Whom a message calls when something fails.");
    let api_url = || key("api_url", text(), "Instead of the vendor's own host: proxies.");
    let own = match kind {
        "slack" => return slack(),
        "smn" => return smn(),
        "email" => email(),
        "webhook" => webhook(),
        "dingtalk" | "feishu" => {
            vec![webhook_url(), key("secret", secret(), "The robot's signing secret."), mention()]
        }
        "pagerduty" => {
            let routing_key = must("routing_key", secret(), "The integration's key (Events API v2).");
            vec![routing_key, api_url()]
        }
        "telegram" => vec![
            must("bot_token", secret(), "The bot's token."),
            must("chat_id", text(), "The chat's number in quotes, or the @name of a channel."),
            api_url(),
        ],
        // wecom, teams, discord
        _ => vec![webhook_url(), mention()],
    };
    mapping(&format!("A receiver of the type {kind}."), common(kind).into_iter().chain(own))
}

fn slack() -> Value {
    let own = [
        key("webhook_url", secret(), "An incoming webhook's URL; or a bot_token with a channel."),
        key("bot_token", secret(), "A bot's token (xoxb-…) with the scope chat:write."),
        key("channel", text(), "The channel that the bot posts to: its id or name."),
        key("api_url", text(), "Instead of https://slack.com/api: proxies."),
    ];
    let ways: [&[&str]; 2] = [&["webhook_url"], &["bot_token", "channel"]];
    needing_one_of(mapping("A Slack channel.", common("slack").into_iter().chain(own)), &ways)
}

fn smn() -> Value {
    let own = [
        key("region", text(), "The region, ap-southeast-3 say; or name an endpoint."),
        key("endpoint", text(), "Instead of the region's own host."),
        must("project_id", text(), "The project's id."),
        must("topic_urn", text(), "The topic: urn:smn:REGION:PROJECT:NAME."),
        must("auth", huawei_auth(), "How requests prove who asks: keys, a token, or a user."),
        key("ca_file", path(), "A certificate authority to trust beside the system's (PEM)."),
    ];
    let places: [&[&str]; 2] = [&["region"], &["endpoint"]];
    let mapping = mapping("A topic of Huawei Cloud SMN.", common("smn").into_iter().chain(own));
    needing_one_of(mapping, &places)
}

fn email() -> Vec<Key> {
    let smtp_url = json!({ "type": "string", "pattern": r"^(smtps|smtp|smtp\+plain)://|\$\{" });
    vec![
        must("smtp_url", smtp_url, "smtps:// implicit TLS, smtp:// STARTTLS required, smtp+plain:// neither."),
        key("username", text(), "Who logs in, where the address does not say it."),
        key("password", secret(), "The password."),
        must("from", text(), "The sender: \"Nightbell <nightbell@example.com>\"."),
        must("to", texts(), "The recipients."),
        key("cc", texts(), "Who gets a copy."),
        key("reply_to", text(), "Where answers go."),
        key("ca_file", path(), "A certificate authority to trust beside the system's (PEM)."),
        key(
            "hello",
            json!({ "type": "string", "pattern": r"^\[.+\]$|\.|\$\{" }),
            "What Nightbell calls itself to the server; default: the host's full name, or its address.",
        ),
    ]
}

fn webhook() -> Vec<Key> {
    let success = mapping(
        "For services that answer 200 to everything.",
        [
            must("pointer", text(), "Where in the answer to look: a JSON pointer, /errcode."),
            must("values", texts(), "What stands there on success."),
        ],
    );
    let headers = json!({ "type": "object", "additionalProperties": secret() });
    let method = flexible(json!({ "enum": ["POST", "PUT", "PATCH", "post", "put", "patch"] }));
    vec![
        must("url", secret(), "Where the message goes."),
        key("secret", secret(), "Signs each body (Standard Webhooks): base64, with or without whsec_."),
        key("method", method, "POST (the default), PUT or PATCH."),
        key("headers", headers, "More headers."),
        key("success", success, "What the answer must say beside its status."),
        key("ca_file", path(), "A certificate authority to trust beside the system's (PEM)."),
        key("client_cert", path(), "Certificate and key, for servers that ask for one (PEM)."),
    ]
}
