//! Servers on loopback that look at a message as the vendor does, and refuse what the vendor refuses.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use nightbell::coding::percent_decoded;
use nightbell::model::AttemptOutcome::Delivered;
use nightbell::model::{Delivery, Message, MessageKind, Notification};
use nightbell::notify::{Notifier as _, ReceiverSettings, Renderer};
use nightbell::sign::huawei::{date_text, is_signed_by, parse};
use nightbell::sign::{LinkKey, Signable};
use nightbell::template::{digest_samples, group_samples, sample_message, samples};
use nightbell::words::Language;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::http::{Reply, Server, split};
use super::smtp::Ca;
use super::{CHANNELS, delivery, firing, now, open, settings, yaml_of};

/// The vendor of a kind.
pub(super) fn vendor(kind: &str) -> fn(&str, &[u8]) -> (u16, String) {
    match kind {
        "slack-bot" => |head, body| match slack(head, body) {
            Ok(()) => (200, json!({ "ok": true, "ts": "1.2", "channel": "C0123" }).to_string()),
            Err(name) => (200, json!({ "ok": false, "error": name }).to_string()),
        },
        "slack" => |head, body| match slack_message(&parsed(head, body)) {
            Ok(()) => (200, "ok".to_string()),
            Err(name) => (400, name.to_string()),
        },
        // Standard Webhooks: less than 20 kB, but for the one alert that must be told whatever its size.
        "webhook" => |head, body| match parsed(head, body)["type"].as_str() {
            Some("digest") if body.len() > 20_000 => (413, "too large".to_string()),
            Some(_) => (204, String::new()),
            None => (400, "no type".to_string()),
        },
        "dingtalk" => |head, body| (200, by_errcode(dingtalk(head, body))),
        "wecom" => |head, body| (200, by_errcode(wecom(head, body))),
        "feishu" => |head, body| match feishu(head, body) {
            Ok(()) => (200, json!({ "code": 0, "msg": "success", "data": {} }).to_string()),
            Err((code, said)) => (200, json!({ "code": code, "msg": said, "data": {} }).to_string()),
        },
        "pagerduty" => |head, body| match pagerduty(head, body) {
            Ok(key) => {
                (202, json!({ "status": "success", "message": "Event processed", "dedup_key": key }).to_string())
            }
            Err(said) => (400, json!({ "status": "invalid event", "errors": [said] }).to_string()),
        },
        "teams" => |head, body| match teams(head, body) {
            Ok(()) => (202, String::new()),
            Err(said) => (400, said),
        },
        "discord" => |head, body| match discord(head, body) {
            Ok(()) => (200, json!({ "id": "1", "type": 0 }).to_string()),
            Err(said) => (400, json!({ "code": 50035, "message": said }).to_string()),
        },
        "telegram" => |head, body| match telegram(head, body) {
            Ok(()) => (200, json!({ "ok": true, "result": { "message_id": 7 } }).to_string()),
            Err(said) => (400, json!({ "ok": false, "error_code": 400, "description": said }).to_string()),
        },
        "smn" => |head, body| match smn(head, body) {
            Ok(()) => (200, json!({ "request_id": "r", "message_id": "m" }).to_string()),
            Err((status, said)) => (status, json!({ "code": "SMN.00011001", "message": said }).to_string()),
        },
        "ntfy" => |head, body| match ntfy(head, body) {
            Ok(()) => {
                (200, json!({ "id": "hwQ2YpKdmg", "time": 1, "event": "message", "topic": "canary-topic" }).to_string())
            }
            Err((code, said)) => (code / 100, json!({ "code": code, "http": code / 100, "error": said }).to_string()),
        },
        other => panic!("no vendor of {other}"),
    }
}

fn by_errcode(result: Result<(), (i64, &str)>) -> String {
    let (code, said) = result.err().unwrap_or((0, "ok"));
    json!({ "errcode": code, "errmsg": said }).to_string()
}

/// The path and the query, decoded once, of a request's first line.
fn target(head: &str) -> (String, HashMap<String, String>) {
    let target = head.strip_prefix("POST ").unwrap().split(' ').next().unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = |text: &str| String::from_utf8(percent_decoded(text)).unwrap();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    (path.to_string(), pairs.map(|(key, value)| (decoded(key), decoded(value))).collect())
}

fn parsed(head: &str, body: &[u8]) -> Value {
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    serde_json::from_slice(body).unwrap_or_default()
}

fn hmac(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn slack(head: &str, body: &[u8]) -> Result<(), &'static str> {
    if !head.lines().any(|line| line.eq_ignore_ascii_case("authorization: bearer xoxb-canary-slack")) {
        return Err("invalid_auth");
    }
    let body = parsed(head, body);
    if target(head).0 != "/api/chat.postMessage" || body["channel"] != "C0123" {
        return Err("channel_not_found");
    }
    slack_message(&body)
}

fn slack_message(body: &Value) -> Result<(), &'static str> {
    let list = |value: &Value| value["blocks"].as_array().cloned().unwrap_or_default();
    let blocks = [list(body), list(&body["attachments"][0])].concat();
    let fits = |block: &Value| {
        let text = block["text"]["text"].as_str().unwrap_or("x").chars().count();
        (1..=if block["type"] == "header" { 150 } else { 3000 }).contains(&text)
    };
    if blocks.len() > 50 || !blocks.iter().all(fits) {
        return Err("invalid_blocks");
    }
    if blocks.iter().map(|block| block.to_string().chars().count()).sum::<usize>() > 13_200 {
        return Err("msg_blocks_too_long");
    }
    if body["text"].as_str().is_none_or(str::is_empty) { Err("no_text") } else { Ok(()) }
}

fn dingtalk(head: &str, body: &[u8]) -> Result<(), (i64, &'static str)> {
    let (path, query) = target(head);
    let asked = |key: &str| query.get(key).cloned().unwrap_or_default();
    if path != "/robot/send" || asked("access_token") != "canary-token" {
        return Err((300_001, "token is not exist"));
    }
    let (timestamp, key) = (asked("timestamp"), "SECcanary");
    let age = timestamp.parse::<i64>().map_or(i64::MAX, |then| (now().as_millisecond() - then).abs());
    if age > 3_600_000 || asked("sign") != hmac(key, &format!("{timestamp}\n{key}")) {
        return Err((310_000, "sign not match"));
    }
    if body.len() > 20_000 {
        return Err((460_101, "message too long"));
    }
    let body = parsed(head, body);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    if body["msgtype"] != "markdown" || text(&body["markdown"]["text"]).is_empty() {
        return Err((400_105, "unsupported msgtype"));
    }
    if text(&body["markdown"]["title"]).trim().is_empty() {
        return Err((400_402, "title is missing"));
    }
    Ok(())
}

fn wecom(head: &str, body: &[u8]) -> Result<(), (i64, &'static str)> {
    let (path, query) = target(head);
    if path != "/cgi-bin/webhook/send" || query.get("key").is_none_or(|key| key != "canary-key") {
        return Err((93_000, "invalid webhook url"));
    }
    let body = parsed(head, body);
    match body["markdown"]["content"].as_str() {
        Some(content) if body["msgtype"] == "markdown" && (1..=4096).contains(&content.len()) => Ok(()),
        _ => Err((40_058, "markdown.content exceed max length 4096")),
    }
}

fn feishu(head: &str, bytes: &[u8]) -> Result<(), (i64, &'static str)> {
    let body = parsed(head, bytes);
    if target(head).0 != "/open-apis/bot/v2/hook/canary-hook" || bytes.len() > 20_000 {
        return Err((9499, "Bad Request"));
    }
    let timestamp = body["timestamp"].as_str().unwrap_or_default();
    let is_fresh = timestamp.parse::<i64>().is_ok_and(|then| (now().as_second() - then).abs() <= 3600);
    if !is_fresh || body["sign"] != hmac(&format!("{timestamp}\ncanary-secret"), "") {
        return Err((19_021, "sign match fail or timestamp is not within one hour from current time"));
    }
    let known = |element: &Value| match element["tag"].as_str() {
        Some("div") => element["text"]["content"].as_str().is_some_and(|text| !text.is_empty()),
        Some("hr") => true,
        Some("note") => element["elements"].as_array().is_some_and(|it| !it.is_empty()),
        Some("action") => element["actions"].as_array().is_some_and(|it| {
            it.iter().all(|button| {
                button["tag"] == "button" && button["url"].as_str().is_some_and(|url| url.starts_with("http"))
            })
        }),
        _ => false,
    };
    let elements = body["card"]["elements"].as_array().cloned().unwrap_or_default();
    if body["msg_type"] != "interactive" || elements.is_empty() || !elements.iter().all(known) {
        return Err((11_246, "card content is invalid"));
    }
    Ok(())
}

fn pagerduty(head: &str, body: &[u8]) -> Result<String, String> {
    let (event, path) = (parsed(head, body), target(head).0);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let payload = &event["payload"];
    let checks = [
        (path == "/v2/enqueue", "path"),
        (body.len() <= 512 << 10, "size"),
        (event["routing_key"] == "canary-routing-key", "routing_key"),
        (["trigger", "acknowledge", "resolve"].contains(&text(&event["event_action"]).as_str()), "event_action"),
        ((1..=255).contains(&text(&event["dedup_key"]).len()), "dedup_key"),
        ((1..=1024).contains(&text(&payload["summary"]).chars().count()), "summary"),
        (!text(&payload["source"]).is_empty(), "source"),
        (["critical", "error", "warning", "info"].contains(&text(&payload["severity"]).as_str()), "severity"),
        (text(&payload["timestamp"]).parse::<jiff::Timestamp>().is_ok(), "timestamp"),
        (payload["custom_details"].is_object(), "custom_details"),
    ];
    match checks.iter().find(|(right, _)| !right) {
        Some((_, wrong)) => Err(format!("{wrong} is invalid")),
        None => Ok(text(&event["dedup_key"])),
    }
}

fn teams(head: &str, bytes: &[u8]) -> Result<(), String> {
    let (body, (_, query)) = (parsed(head, bytes), target(head));
    if query.get("sig").is_none_or(|sig| sig != "canary-sig") || bytes.len() > 21_000 {
        return Err("refused".into());
    }
    let attachment = &body["attachments"][0];
    let card = &attachment["content"];
    if body["type"] != "message"
        || attachment["contentType"] != "application/vnd.microsoft.card.adaptive"
        || card["type"] != "AdaptiveCard"
    {
        return Err("no adaptive card".into());
    }
    let elements = card["body"].as_array().cloned().unwrap_or_default();
    let known = ["ActionSet", "Container", "FactSet", "RichTextBlock", "TextBlock"];
    match elements.iter().find(|it| !it["type"].as_str().is_some_and(|kind| known.contains(&kind))) {
        None if !elements.is_empty() => Ok(()),
        other => Err(format!("unknown element {other:?}")),
    }
}

fn discord(head: &str, body: &[u8]) -> Result<(), String> {
    let (body, (path, query)) = (parsed(head, body), target(head));
    let embed = &body["embeds"][0];
    let size = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
    let checks = [
        (path == "/api/webhooks/1/canary-discord", "Unknown Webhook"),
        (query.get("wait").is_some_and(|wait| wait == "true"), "wait"),
        ((1..=256).contains(&size(&embed["title"])), "title"),
        ((1..=4096).contains(&size(&embed["description"])), "description"),
        (embed["color"].as_u64().is_some_and(|color| color <= 0xff_ffff), "color"),
        (body["allowed_mentions"]["parse"] == json!([]), "allowed_mentions"),
    ];
    checks.iter().find(|(right, _)| !right).map_or(Ok(()), |(_, wrong)| Err(format!("{wrong}: invalid form body")))
}

/// A chat in which the messages 7 and 8 are ours: 8 says already what it is made to say, 9 is gone.
fn telegram(head: &str, body: &[u8]) -> Result<(), String> {
    let body = parsed(head, body);
    let (path, id) = (target(head).0, body["message_id"].as_i64());
    let method = path.strip_prefix("/bot123:canary-telegram/").unwrap_or_default();
    if body["chat_id"] != "-1001" {
        return Err("Bad Request: chat not found".into());
    }
    match (method, id) {
        ("sendMessage", None) | ("editMessageText", Some(7)) => {}
        ("editMessageText", Some(8)) => {
            let same = "specified new message content and reply markup are exactly the same as a current content";
            return Err(format!("Bad Request: message is not modified: {same} and reply markup of the message"));
        }
        ("editMessageText", Some(_)) => return Err("Bad Request: message to edit not found".into()),
        ("editMessageText", None) => return Err("Bad Request: message identifier is not specified".into()),
        _ => return Err("Not Found".into()),
    }
    let reply = &body["reply_parameters"];
    if !reply.is_null() && reply["message_id"] != 7 && reply["allow_sending_without_reply"] != true {
        return Err("Bad Request: message to be replied not found".into());
    }
    let text = body["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        return Err("Bad Request: message text is empty".into());
    }
    let mut rest = text;
    let mut opened: Vec<&str> = Vec::new();
    while let Some(at) = rest.find(['<', '>', '&']) {
        rest = &rest[at..];
        // An address in a tag may have entities of its own.
        let end = if rest.starts_with('<') { rest.find('>') } else { rest.find([';', '>']) };
        let end = end.ok_or("Bad Request: can't parse entities: unfinished")?;
        let (token, after) = rest.split_at(end + 1);
        match token {
            "<b>" | "<i>" | "<code>" | "<pre>" => opened.push(&token[1..token.len() - 1]),
            link if link.starts_with("<a href=\"http") && link.ends_with("\">") => opened.push("a"),
            "</b>" | "</i>" | "</code>" | "</pre>" | "</a>" if opened.pop() == Some(&token[2..token.len() - 1]) => {}
            "&lt;" | "&gt;" | "&amp;" | "&quot;" => {}
            numeric if numeric.starts_with("&#") && numeric.len() <= 9 => {}
            other => return Err(format!("Bad Request: can't parse entities: unsupported {other}")),
        }
        rest = after;
    }
    if !opened.is_empty() || text.encode_utf16().count() > 4096 {
        return Err("Bad Request: message is too long, or a tag is not closed".into());
    }
    Ok(())
}

fn smn(head: &str, bytes: &[u8]) -> Result<(), (u16, &'static str)> {
    let headers: Vec<(String, String)> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_string()))
        .collect();
    let value = |name: &str| headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let path = target(head).0;
    let claimed = parse(value("authorization")).ok_or((401, "no authorization"))?;
    let signed: Vec<_> = headers.iter().filter(|(name, _)| claimed.signed_headers.contains(name)).cloned().collect();
    let all_signed =
        ["host", "x-sdk-date", "x-security-token"].iter().all(|it| claimed.signed_headers.contains(&it.to_string()));
    let signable = Signable { method: "POST", path: &path, query: &[], headers: &signed, body: bytes };
    if !all_signed || claimed.access_key != "canary-ak" || !is_signed_by(&signable, "canary-sk", &claimed.signature) {
        return Err((401, "the signature does not match"));
    }
    if value("x-sdk-date") != date_text(now()) || value("x-security-token") != "canary-st" {
        return Err((401, "old, or without its token"));
    }
    if path != "/v2/p1/notifications/topics/urn%3Asmn%3Ar%3Ap1%3At/publish" {
        return Err((404, "no such topic"));
    }
    let body = parsed(head, bytes);
    let structure = body["message_structure"].as_str().and_then(|it| serde_json::from_str::<Value>(it).ok());
    let structure = structure.ok_or((400, "message_structure is no JSON"))?;
    let text = |key: &str| structure[key].as_str().unwrap_or_default().to_string();
    let sms_is_sound = text("sms").chars().count() <= 490 && !text("sms").contains(['[', ']', '【', '】']);
    let subject = body["subject"].as_str().unwrap_or_default();
    if text("default").is_empty() || !sms_is_sound || bytes.len() > 256 << 10 || subject.len() > 512 {
        return Err((400, "message_structure is invalid"));
    }
    if subject.is_empty() || subject.contains(['\r', '\n']) { Err((400, "subject is invalid")) } else { Ok(()) }
}

/// What a server of ntfy with access control and no room for files takes; the numbers of errors are its own.
fn ntfy(head: &str, bytes: &[u8]) -> Result<(), (u16, &'static str)> {
    if target(head).0 != "/" {
        return Err((40_401, "page not found"));
    }
    if !head.lines().any(|line| line.eq_ignore_ascii_case("authorization: bearer tk_canary")) {
        return Err((40_301, "forbidden"));
    }
    if bytes.len() > 8192 {
        return Err((41_303, "JSON body too large"));
    }
    let body = parsed(head, bytes);
    let known = ["topic", "title", "message", "priority", "tags", "click", "actions", "markdown"];
    if body.as_object().is_none_or(|keys| keys.keys().any(|key| !known.contains(&key.as_str()))) {
        return Err((40_017, "invalid request: request body must be message JSON"));
    }
    if body["topic"] != "canary-topic" {
        return Err((40_301, "forbidden"));
    }
    if !body["priority"].as_u64().is_some_and(|priority| (1..=5).contains(&priority)) {
        return Err((40_007, "invalid priority parameter"));
    }
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    // An empty message is made one that says "triggered"; one of the full size is a file.
    if text("message").trim().is_empty() || text("message").len() >= 4096 {
        return Err((40_014, "invalid request: attachments not allowed"));
    }
    let title = text("title");
    if title.is_empty() || title.contains('\n') || title.chars().count() > 200 {
        return Err((40_017, "invalid request: title"));
    }
    if body.get("click").is_some_and(|link| link.as_str().is_none_or(|link| !link.starts_with("http"))) {
        return Err((40_017, "invalid request: click"));
    }
    Ok(())
}

/// Every sample of every kind of message, the huge and the hostile ones too, is taken by every vendor.
#[tokio::test]
async fn every_vendor_takes_every_sample() {
    for kind in CHANNELS.into_iter().chain(["slack", "webhook"]) {
        let server = Server::start(Reply::Vendor(vendor(kind))).await;
        let yaml = yaml_of(kind, &server.base);
        let (receiver, notifier) = (settings(&yaml), open(&yaml));
        // One language with a page and the other without: all four together would take twice as long.
        let page = Some("https://bell.example.com:8443".to_string());
        let looks = Language::ALL.into_iter().map(|language| ReceiverSettings {
            page: page.clone().filter(|_| language == Language::default()),
            language,
            ..receiver.clone()
        });
        let of_groups = || group_samples().into_iter().filter(|_| receiver.channel.kind().merges());
        let all = || samples().into_iter().chain(of_groups()).chain(digest_samples());
        // Opened once each: that tries every sample out, too.
        let renderers: Vec<Renderer> =
            looks.map(|it| Renderer::open(&it).unwrap().signing(LinkKey::new("any"))).collect();
        for (renderer, (name, message)) in renderers.iter().flat_map(|it| all().map(move |one| (it, one))) {
            let content = renderer.render(&message).content;
            let sent = Notification { content, ..delivery(&receiver, &message).notification };
            let attempt = notifier.send(&Delivery::pending(sent), now()).await;
            assert_eq!(attempt.outcome, Delivered, "{kind}, {name}: {attempt:?}");
        }
    }
}

/// The vendors here are not made of rubber: what is wrong with a message is refused, by its name.
#[tokio::test]
async fn vendors_refuse_what_is_wrong() {
    let wrong: [(&str, &str, &str, &str); 16] = [
        ("smn", "canary-sk", "other", "does not match"),
        ("smn", "canary-ak", "other", "does not match"),
        ("smn", "urn:smn", "urn:nms", "no such topic"),
        ("slack-bot", "xoxb-canary-slack", "xoxb-other", "invalid_auth"),
        ("slack-bot", "C0123", "C9", "channel_not_found"),
        ("dingtalk", "canary-token", "other-token", "300001"),
        ("dingtalk", "SECcanary", "SECother", "310000"),
        ("wecom", "canary-key", "other-key", "93000"),
        ("feishu", "canary-secret", "other", "19021"),
        ("feishu", "canary-hook", "other", "9499"),
        ("pagerduty", "canary-routing-key", "other", "routing_key"),
        ("teams", "canary-sig", "other", "refused"),
        ("discord", "canary-discord", "other", "Unknown Webhook"),
        ("telegram", "'-1001'", "'7'", "chat not found"),
        ("ntfy", "tk_canary", "tk_other", "40301"),
        ("ntfy", "canary-topic", "other", "40301"),
    ];
    for (kind, right, other, said) in wrong {
        let server = Server::start(Reply::Vendor(vendor(kind))).await;
        let yaml = yaml_of(kind, &server.base).replace(right, other);
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_ne!(attempt.outcome, Delivered, "{kind}");
        assert!(attempt.error.as_ref().is_some_and(|error| error.contains(said)), "{kind}: {attempt:?}");
    }
}

/// What arrived at a kind's vendor: the bodies of one delivery, attempted at each of these instants.
async fn arrived(yaml_of_base: impl Fn(&str) -> String, kind: &str, message: &Message, hours: &[u64]) -> Vec<Vec<u8>> {
    let server = Server::start(Reply::Vendor(vendor(kind))).await;
    let yaml = yaml_of_base(&server.base);
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), message));
    for hour in hours {
        notifier.send(&delivery, now() + std::time::Duration::from_secs(hour * 1200)).await;
    }
    server.requests()
}

/// A signature is made for each attempt; what it signs beside the time stays the same.
#[tokio::test]
async fn attempts_are_signed_anew_and_say_the_same() {
    let requests = arrived(|base| yaml_of("dingtalk", base), "dingtalk", &firing(), &[0, 1]).await;
    let parts: Vec<_> = requests.iter().map(|request| split(request).unwrap()).collect();
    let signs: Vec<String> = parts.iter().map(|(head, _)| target(head).1["sign"].clone()).collect();
    assert_ne!(signs[0], signs[1]);
    assert_eq!(parts[0].1, parts[1].1);
    let requests = arrived(|base| yaml_of("feishu", base), "feishu", &firing(), &[0, 1]).await;
    let bodies: Vec<Value> =
        requests.iter().map(|request| serde_json::from_slice(split(request).unwrap().1).unwrap()).collect();
    assert_ne!(bodies[0]["sign"], bodies[1]["sign"]);
    assert_eq!(bodies[0]["card"], bodies[1]["card"]);
}

/// The trigger and its resolution are one incident.
#[tokio::test]
async fn pagerduty_resolves_what_it_triggered() {
    let mut keys = Vec::new();
    for (kind, action) in [(MessageKind::AlertFiring, "trigger"), (MessageKind::AlertResolved, "resolve")] {
        let message = sample_message(kind, now());
        let requests = arrived(|base| yaml_of("pagerduty", base), "pagerduty", &message, &[0]).await;
        let event: Value = serde_json::from_slice(split(&requests[0]).unwrap().1).unwrap();
        assert_eq!(event["event_action"], action);
        let details = &event["payload"]["custom_details"];
        assert_eq!(details["failing_nodes"][0]["log_path"].as_str().unwrap().split(':').next(), Some("obs"));
        keys.push(event["dedup_key"].clone());
    }
    assert_eq!(keys[0], keys[1]);
}

/// A test opens an incident, which proves the way, closes it at once, and says nowhere that anything failed. Two people's tests
/// share none.
#[tokio::test]
async fn a_test_of_pagerduty_closes_the_incident_that_it_opened() {
    let server = Server::start(Reply::Vendor(vendor("pagerduty"))).await;
    let settings = settings(&yaml_of("pagerduty", &server.base));
    for later in [0, 1] {
        let attempt =
            nightbell::app::send_test(&settings, now() + std::time::Duration::from_secs(later)).await.unwrap();
        assert_eq!(attempt.outcome, Delivered, "{attempt:?}");
    }
    let requests = server.requests();
    let events: Vec<Value> =
        requests.iter().map(|request| serde_json::from_slice(split(request).unwrap().1).unwrap()).collect();
    let actions: Vec<&str> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "resolve", "trigger", "resolve"]);
    let keys: Vec<&str> = events.iter().map(|event| event["dedup_key"].as_str().unwrap()).collect();
    assert!(keys[0] == keys[1] && keys[2] == keys[3] && keys[0] != keys[2], "{keys:?}");
    for event in events {
        assert_eq!(event["payload"]["severity"], "info");
        let details = event["payload"]["custom_details"].to_string();
        assert!(details.contains("Nothing has failed") && !details.contains("etl_orders"), "{details}");
    }
}

/// Whom the configuration names is mentioned when something fails, and left in peace when it is over.
#[tokio::test]
async fn mentions_come_from_the_configuration() {
    let table = [
        ("dingtalk", "{ mobiles: '13800000000', user_ids: [u1] }", vec!["\"atMobiles\":[\"13800000000\"]", "@u1"]),
        ("dingtalk", "{ all: true }", vec!["\"isAtAll\":true"]),
        ("wecom", "{ user_ids: [u1, u2] }", vec!["<@u1><@u2>"]),
        ("feishu", "{ user_ids: ou_1, all: true }", vec!["<at id=all></at><at id=ou_1></at>"]),
        ("teams", "{ user_ids: a@b.example }", vec!["<at>a@b.example</at>", "\"mentioned\":{\"id\":\"a@b.example\""]),
        ("discord", "{ user_ids: ['42'] }", vec!["\"content\":\"<@42>\"", "\"users\":[\"42\"]", "\"parse\":[]"]),
    ];
    for (kind, mention, expected) in table {
        let yaml = |base: &str| yaml_of(kind, base).replacen("type:", &format!("mention: {mention}, type:"), 1);
        let body = |requests: Vec<Vec<u8>>| String::from_utf8(split(&requests[0]).unwrap().1.to_vec()).unwrap();
        let firing = body(arrived(yaml, kind, &firing(), &[0]).await);
        assert!(expected.iter().all(|words| firing.contains(words)), "{kind}: {firing}");
        let resolved = sample_message(MessageKind::AlertResolved, now());
        let over = body(arrived(yaml, kind, &resolved, &[0]).await);
        assert!(!expected.iter().any(|words| *words != "\"parse\":[]" && over.contains(words)), "{kind}: {over}");
    }
}

/// A server that asks for a client's certificate gets the one of `client_cert`, and refuses who has none.
#[tokio::test]
async fn a_webhook_shows_its_certificate_to_who_asks() {
    let ca = Ca::new();
    let (cert, key) = ca.certificate("localhost");
    let (client_cert, client_key) = ca.client_certificate("nightbell");
    let pair = [client_cert, client_key].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    std::fs::write(ca.path("client.pem"), pair).unwrap();
    let port = mutual_tls_server(&ca, &cert, &key).await;
    let yaml = |rest: &str| {
        let ca_file = ca.path("ca.pem");
        format!("{{ type: webhook, url: 'https://localhost:{port}/', ca_file: {}{rest} }}", ca_file.display())
    };
    let with = yaml(&format!(", client_cert: {}", ca.path("client.pem").display()));
    let attempt = open(&with).send(&delivery(&settings(&with), &firing()), now()).await;
    assert_eq!(attempt.outcome, Delivered, "{attempt:?}");
    let without = yaml("");
    let attempt = open(&without).send(&delivery(&settings(&without), &firing()), now()).await;
    assert_ne!(attempt.outcome, Delivered, "{attempt:?}");
}

/// The port of a server that answers 204 to clients with a certificate of this authority.
async fn mutual_tls_server(ca: &Ca, cert: &std::path::Path, key: &std::path::Path) -> u16 {
    nightbell::http::install_crypto();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.path("ca.pem")).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 65_536];
                let read = stream.read(&mut buffer).await.unwrap_or_default();
                if read > 0 {
                    drop(stream.write_all(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n").await);
                    drop(stream.shutdown().await);
                }
            });
        }
    });
    port
}
