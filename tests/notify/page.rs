//! Each message about an alert says how one acts on it: where it is on Nightbell's page, or by which command.

use nightbell::limits::GROUP_LINKS_MAX;
use nightbell::model::{AlertFacts, AlertState, MessageData, MessageKind};
use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::sign::LinkKey;
use nightbell::template::{group_samples, samples};
use nightbell::words::{GroupLine, Language, Listener, group_lines};

use super::{CHANNELS, settings, yaml_of};

const SLACK: &str = "{ type: slack, webhook_url: 'https://hooks.example.com/x' }";
const EMAIL: &str = "{ type: email, smtp_url: 'smtp://mx.example.com', from: a@example.com, to: b@example.com }";
const WEBHOOK: &str = "{ type: webhook, url: 'https://example.com/hook' }";

#[test]
fn every_channels_message_holds_the_alerts_address_and_leads_to_acknowledge_where_there_is_a_page() {
    let kinds = [SLACK, EMAIL, WEBHOOK].map(str::to_string).into_iter();
    let (mut seen, mut offered) = (0, 0);
    for yaml in kinds.chain(CHANNELS.map(|kind| yaml_of(kind, "https://chat.example.com"))) {
        for language in Language::ALL {
            let page = Some("https://bell.example.com:8443".to_string());
            let receiver = ReceiverSettings { language, page, ..settings(&yaml) };
            let with = Renderer::open(&receiver).unwrap().signing(LinkKey::new("k"));
            let without = Renderer::open(&settings(&yaml)).unwrap();
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
                // What fires and nobody has is offered; what is over, or is somebody's already, is not.
                let part = &facts.alert;
                let is_open = part.state == AlertState::Firing && part.acked.is_none();
                let is_offered = message.kind == MessageKind::AlertFiring && is_open;
                offered += usize::from(is_offered);
                let leads = all.iter().any(|part| part.contains(&format!("/ack/{}?until", facts.alert.id)));
                assert_eq!(leads, is_offered, "{yaml} {name}:\n{}", all.join("\n"));
                let plain = without.render(&message).content;
                assert!(plain.parts.values().all(|part| !part.contains("bell.example.com")), "{yaml} {name}");
            }
        }
    }
    assert!(
        seen > 300 && offered > 100 && offered < seen,
        "only {seen} messages were looked at, {offered} with a link"
    );
}

/// A message about several alerts leads to each that has a line of its own, and to where that is acknowledged, as the message
/// about one alert does.
#[test]
fn a_message_about_several_leads_to_each_of_them() {
    let kinds = [SLACK, EMAIL, WEBHOOK].map(str::to_string).into_iter();
    let (mut seen, page) = (0, "https://bell.example.com:8443");
    for yaml in kinds.chain(CHANNELS.map(|kind| yaml_of(kind, "https://chat.example.com"))) {
        for language in Language::ALL {
            let receiver = ReceiverSettings { language, page: Some(page.to_string()), ..settings(&yaml) };
            let renderer = Renderer::open(&receiver).unwrap().signing(LinkKey::new("k"));
            if !renderer.merges() {
                continue;
            }
            for (name, message) in group_samples() {
                let MessageData::Group(group) = &message.data else { continue };
                let is_plain = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                if group.alerts.len() > 6 || !group.alerts.iter().all(|facts| is_plain(facts.alert.id.as_str())) {
                    continue;
                }
                let listener = Listener { language, timezone: &receiver.timezone, now: message.timestamp };
                let lines = group_lines(group, &listener);
                let expected = lines.iter().take(GROUP_LINKS_MAX).filter(|line| line.names.is_none()).count();
                let rendered = renderer.render(&message);
                assert_eq!(rendered.problem, None, "{yaml} {name}");
                let all = rendered.content.parts.values().map(String::as_str).collect::<Vec<_>>().join("\n");
                let is_linked = |facts: &&AlertFacts| all.contains(&format!("{page}/alerts/{}", facts.alert.id));
                let linked: Vec<&AlertFacts> = group.alerts.iter().filter(is_linked).collect();
                assert!(linked.len() >= expected, "{yaml} {name}: {} of {expected}\n{all}", linked.len());
                // Alerts that share a line, and lines behind the last that leads anywhere, are acknowledged by the command.
                let is_led = |(at, line): (usize, &GroupLine)| at < GROUP_LINKS_MAX && line.names.is_none();
                let firing = lines.iter().enumerate().filter(|(_, line)| line.level != "resolved");
                let all_lead = firing.into_iter().all(is_led);
                let is_webhook = yaml.contains("webhook, url");
                // Of the samples with the longest texts a message names fewer alerts.
                let is_whole = !["huge", "marks", "hostile"].iter().any(|long| name.ends_with(long));
                if is_whole && !is_webhook {
                    assert_eq!(all.contains("nightbell ack "), !all_lead, "{yaml} {name}:\n{all}");
                }
                for facts in linked {
                    seen += 1;
                    let is_offered = all.contains(&format!("{page}/ack/{}?until", facts.alert.id));
                    // Several samples have one id: what fires of it is offered.
                    let fires = |it: &AlertFacts| it.alert.id == facts.alert.id && it.alert.state == AlertState::Firing;
                    assert_eq!(is_offered, group.alerts.iter().any(fires), "{yaml} {name}:\n{all}");
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} alerts were looked at");
}

/// Where it has none, the message says by which command one acts: also one that was too long and was cut.
#[test]
fn every_channels_message_holds_the_command_where_there_is_no_page() {
    let kinds = [SLACK, EMAIL].map(str::to_string).into_iter();
    let channels = CHANNELS.into_iter().filter(|kind| *kind != "pagerduty");
    let mut seen = 0;
    for yaml in kinds.chain(channels.map(|kind| yaml_of(kind, "https://chat.example.com"))) {
        for language in Language::ALL {
            let renderer = Renderer::open(&ReceiverSettings { language, ..settings(&yaml) }).unwrap();
            for (name, message) in samples().into_iter().chain(group_samples()) {
                if message.kind == MessageKind::AlertGroup && !renderer.merges() {
                    continue;
                }
                seen += 1;
                let content = renderer.render(&message).content;
                let all = content.parts.values().map(String::as_str).collect::<Vec<_>>().join("\n");
                let said = match &message.data {
                    MessageData::Alert(facts) if message.kind == MessageKind::AlertFiring => {
                        format!("nightbell ack {}", facts.alert.id.short())
                    }
                    MessageData::Alert(facts) => facts.alert.id.short().to_string(),
                    MessageData::Group(group) if group.severity.is_some() => {
                        let fires = |facts: &&AlertFacts| facts.alert.state == AlertState::Firing;
                        let first = group.alerts.iter().find(fires).unwrap();
                        let several = if group.alerts.iter().filter(fires).count() > 1 { "--group " } else { "" };
                        format!("nightbell ack {several}{}", first.alert.id.short())
                    }
                    _ => continue,
                };
                assert!(all.contains(&said), "{yaml} {name} {said}:\n{all}");
            }
        }
    }
    assert!(seen > 300, "only {seen} messages were looked at");
}
