//! The mail of a digest, sent by the real notifier, read back and parsed: its structure, its pictures by content id, their
//! descriptions, and what stands in every language.

use std::path::Path;

use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{AttemptOutcome, Delivery, DeliveryId, Message, MessageKind, Notification};
use nightbell::notify::{AnyNotifier, Notifier as _, ReceiverSettings, Renderer};
use nightbell::sim::{Inbox, Received};
use nightbell::template::digest_samples;
use nightbell::words::Language;

use crate::sample::at;

/// The mail as it arrives, for a message in a language.
async fn received(message: &Message, language: &str) -> String {
    let mut inbox = Inbox::open().await.unwrap();
    let text = format!(
        "version: 1\nsources:\n  warehouse: {{ type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, \
         auth: {{ token: t }} }}\nreceivers:\n  team: {{ type: email, smtp_url: \"smtp+plain://{}\", \
         from: n@example.com, to: [team@example.com], language: {language}, timezone: Asia/Shanghai }}\nrules: {{}}\n\
         digests: {{ daily: {{ schedule: \"0 8 * * *\", notify: [team] }} }}\n",
        inbox.smtp
    );
    let config = Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true }).unwrap().config;
    let settings = &config.receivers[0];
    let rendered = Renderer::open(settings).unwrap().render(message);
    assert_eq!(rendered.problem, None);
    let (id, now) = (DeliveryId::new("d1"), at(0));
    let sent = Notification::new(id, settings.id.clone(), MessageKind::Digest, rendered.content, now);
    let delivery = Delivery::pending(sent);
    let notifier = AnyNotifier::open(settings).unwrap();
    let attempt = notifier.send(&delivery, now).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Delivered, "{attempt:?}");
    loop {
        if let Received::Mail(mail) = inbox.received.recv().await.unwrap() {
            return mail.message;
        }
    }
}

/// A digest's mail as one page of HTML, its pictures inside.
pub(crate) fn page(message: &Message, language: Language) -> String {
    let text = "version: 1\nsources:\n  warehouse: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, \
         auth: { token: t } }\nreceivers:\n  team: { type: email, smtp_url: \"smtp+plain://127.0.0.1:9\", \
         from: n@example.com, to: [team@example.com], timezone: Asia/Shanghai }\nrules: {}\n";
    let options = LoadOptions { offline: true };
    let config = Config::from_text(text.to_string(), "rules.yaml", Path::new("."), &options).unwrap().config;
    let settings = ReceiverSettings { language, ..config.receivers[0].clone() };
    let content = Renderer::open(&settings).unwrap().render(message).content;
    let pictures = content.parts.iter().filter_map(|(name, file)| Some((name.strip_prefix("image/")?, file)));
    pictures.fold(content.part("html").to_string(), |html, (name, file)| {
        let id = name.trim_end_matches(".png");
        html.replace(&format!("cid:{id}@nightbell"), &format!("data:image/png;base64,{file}"))
    })
}

fn sample(name: &str) -> Message {
    digest_samples().into_iter().find(|(it, _)| it == name).unwrap().1
}

#[tokio::test]
async fn the_mail_has_text_html_and_the_pictures_that_the_html_calls() {
    for (name, message) in digest_samples() {
        for language in ["en", "zh"] {
            let raw = received(&message, language).await;
            let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
            let kinds: Vec<String> = mail
                .parts
                .iter()
                .map(|part| {
                    let kind = part.content_type().unwrap();
                    format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
                })
                .collect();
            assert_eq!(kinds[..2], ["multipart/alternative", "text/plain"], "{name}");
            let html = mail.body_html(0).unwrap().into_owned();
            let called: Vec<&str> = html.split("src=\"cid:").skip(1).map(|it| it.split('"').next().unwrap()).collect();
            let pictures: Vec<_> = mail.parts.iter().filter(|part| part.is_content_type("image", "png")).collect();
            let there: Vec<&str> = pictures.iter().map(|part| part.content_id().unwrap()).collect();
            let mut missing = called.clone();
            missing.retain(|id| !there.contains(id));
            assert!(missing.is_empty(), "{name}: the HTML calls {missing:?}, there are {there:?}");
            assert_eq!(called.len(), there.len(), "{name}: pictures that nobody calls");
            for picture in &pictures {
                let (PartType::Binary(bytes) | PartType::InlineBinary(bytes)) = &picture.body else {
                    panic!("{name}: {:?}", picture.body)
                };
                assert!(bytes.starts_with(b"\x89PNG"));
            }
            // Each picture says in words what it shows.
            let described = html.split("<img ").skip(1).filter(|it| !it.contains("alt=\"\"") && it.contains("alt=\""));
            assert_eq!(described.count(), called.len(), "{name}");
            assert!(raw.len() < 400_000, "{name}: {} bytes", raw.len());
        }
    }
}

#[tokio::test]
async fn the_subject_says_the_verdict_and_the_text_reads_alone() {
    let raw = received(&sample("digest ordinary"), "en").await;
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert_eq!(
        mail.subject().unwrap(),
        "7 jobs still broken, 4 late (2 over by now) · 2,157 of 2,168 ok · daily · Sat 21 Nov"
    );
    let text = mail.body_text(0).unwrap();
    for words in
        ["Still broken (7)", "etl_orders", "obs://dlf-log", "27m over the limit of 45m", "some of it was read late"]
    {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let raw = received(&sample("digest cjk"), "zh").await;
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    let text = mail.body_text(0).unwrap();
    for words in ["仍未恢复", "订单日结算", "受注集計_日次", "주문_정산"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

/// A digest of what cannot be read never says that all is well.
#[test]
fn what_is_unknown_is_not_well() {
    let message = sample("digest unknown");
    let facts = message.digest().unwrap();
    assert_eq!(facts.verdict.summary, "not everything could be read");
    assert!(Timestamp::UNIX_EPOCH < message.timestamp);
}
