//! Where Nightbell has a page, each message about an alert says where on it the alert is.

use nightbell::model::MessageData;
use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::template::samples;
use nightbell::words::Language;

use super::{CHANNELS, settings, yaml_of};

#[test]
fn every_channels_message_holds_the_alerts_address_where_there_is_a_page() {
    const SLACK: &str = "{ type: slack, webhook_url: 'https://hooks.example.com/x' }";
    const EMAIL: &str = "{ type: email, smtp_url: 'smtp://mx.example.com', from: a@example.com, to: b@example.com }";
    const WEBHOOK: &str = "{ type: webhook, url: 'https://example.com/hook' }";
    let kinds = [SLACK, EMAIL, WEBHOOK].map(str::to_string).into_iter();
    let mut seen = 0;
    for yaml in kinds.chain(CHANNELS.map(|kind| yaml_of(kind, "https://chat.example.com"))) {
        for language in Language::ALL {
            let page = Some("https://bell.example.com:8443".to_string());
            let receiver = ReceiverSettings { language, page, ..settings(&yaml) };
            let (with, without) = (Renderer::open(&receiver).unwrap(), Renderer::open(&settings(&yaml)).unwrap());
            for (name, message) in samples() {
                let MessageData::Alert(facts) = &message.data else { continue };
                // Ids are digests; some samples have worse ones, which are escaped.
                if !facts.alert.id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                    continue;
                }
                seen += 1;
                let address = format!("https://bell.example.com:8443/alerts/{}", facts.alert.id);
                let rendered = with.render(&message);
                assert_eq!(rendered.problem, None, "{yaml} {name}");
                let all: Vec<&str> = rendered.content.parts.values().map(String::as_str).collect();
                assert!(all.iter().any(|part| part.contains(&address)), "{yaml} {name}:\n{}", all.join("\n"));
                let plain = without.render(&message).content;
                assert!(plain.parts.values().all(|part| !part.contains("bell.example.com")), "{yaml} {name}");
            }
        }
    }
    assert!(seen > 60, "only {seen} messages were looked at");
}
