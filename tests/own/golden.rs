//! How each of Nightbell's own alerts reads, kept in tests/data/golden/self.

use std::path::Path;

use nightbell::alert::own::{self, Ailment, OwnSeen, ReceiverSeen, SourceSeen, Watch};
use nightbell::alert::{firing_message, resolved_message};
use nightbell::config::{Config, LoadOptions};
use nightbell::model::{Alert, AlertState, GapCause, Message, ReceiverId, SourcePart};
use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::words::Language;

use super::{FILE, HOUR, config};
use crate::sample::{at, source};

/// Each of them in both languages, as it reads in Slack and in a mail; `UPDATE=1` writes the files anew.
#[test]
fn each_of_them_reads_well_in_both_languages() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden/self");
    let config = config("self: { notify: [oncall] }");
    let two = FILE.split_once("receivers:").unwrap().0.to_string()
        + "receivers:\n  chat: { type: slack, webhook_url: { env: U } }\n  mail: { type: email, smtp_url: \
           'smtp+plain://127.0.0.1:1', from: a@example.com, to: [b@example.com] }\nrules: {}\n";
    let loaded = Config::from_text(two, "test", Path::new(""), &LoadOptions { offline: true });
    let receivers = loaded.unwrap_or_else(|problem| panic!("{problem}")).config.receivers;
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for language in Language::ALL {
        let mut text = String::new();
        for message in one_of_each(&config.watch).iter().map(message_of) {
            for settings in &receivers {
                let settings = ReceiverSettings { language, ..settings.clone() };
                let rendered = Renderer::open(&settings).unwrap().render(&message);
                assert_eq!(rendered.problem, None);
                let content = rendered.content;
                match content.parts.get("body") {
                    Some(body) => {
                        let body: serde_json::Value = serde_json::from_str(body).unwrap();
                        text.push_str(&format!("{}\n", serde_json::to_string_pretty(&body["attachments"]).unwrap()));
                    }
                    None => text.push_str(&format!("{}\n{}\n", content.part("subject"), content.part("text"))),
                }
            }
            text.push_str("--------\n");
        }
        let file = directory.join(format!("{}.txt", language.as_str()));
        if update {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&file, text).unwrap();
        } else if std::fs::read_to_string(&file).ok() != Some(text) {
            wrong.push(file.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "these differ; look, then run with UPDATE=1: {wrong:?}");
}

/// The messages about them, by the names of their rules.
pub(crate) fn messages() -> Vec<(String, Message)> {
    let named = |alert: &Alert| (format!("{} {}", alert.rule, alert.state().as_str()), message_of(alert));
    one_of_each(&config("self: { notify: [oncall] }").watch).iter().map(named).collect()
}

fn message_of(alert: &Alert) -> Message {
    match (alert.state(), alert.created_at == at(HOUR)) {
        (AlertState::Resolved, false) => resolved_message(alert, at(2 * HOUR)),
        _ => firing_message(alert, at(HOUR)),
    }
}

/// One alert of each kind at its beginning, and at its end.
fn one_of_each(watch: &Watch) -> Vec<Alert> {
    let why = |text: &str| Some((at(0), text.to_string()));
    let source = SourceSeen {
        source: SourcePart { id: source(), kind: "dataarts".into() },
        was_asked: true,
        unreadable: None,
        incomplete: None,
        past: Vec::new(),
    };
    let gap = |cause| vec![(cause, at(-HOUR), at(0), "it was out".to_string())];
    let ailment = Ailment { since: at(0), is_lasting: true, error: "answered 401: token_revoked".into() };
    let quiet = OwnSeen {
        sources: vec![source.clone()],
        receivers: vec![ReceiverSeen { id: ReceiverId::new("pager"), ailment: None }],
        refused: None,
        loops: Vec::new(),
        outdated: Vec::new(),
    };
    let seen = [
        OwnSeen {
            sources: vec![SourceSeen { unreadable: why("HTTP 401 <!channel>"), ..source.clone() }],
            ..quiet.clone()
        },
        OwnSeen {
            sources: vec![SourceSeen { incomplete: why("3 of 5 instances could be read"), ..source.clone() }],
            ..quiet.clone()
        },
        OwnSeen { sources: vec![SourceSeen { past: gap(GapCause::Lost), ..source.clone() }], ..quiet.clone() },
        OwnSeen { sources: vec![SourceSeen { past: gap(GapCause::Silent), ..source }], ..quiet.clone() },
        OwnSeen {
            receivers: vec![ReceiverSeen { id: ReceiverId::new("pager"), ailment: Some(ailment) }],
            ..quiet.clone()
        },
        OwnSeen { refused: why("rules.yaml:3:1: unknown key \"sourcs\""), ..quiet.clone() },
        OwnSeen { loops: vec![("escalation".into(), at(0), "it panicked (this is a bug)".into())], ..quiet.clone() },
        OwnSeen {
            outdated: vec![(
                "bell2 (4711)".into(),
                at(0),
                "it has configuration 3, and configuration 4 is in force".into(),
            )],
            ..quiet.clone()
        },
    ];
    let mut all = Vec::new();
    for seen in seen {
        let begun = own::decide(watch, &seen, &[], at(HOUR)).begun;
        assert_eq!(begun.len(), 1);
        let firing: Vec<Alert> = begun.iter().filter(|alert| alert.state() == AlertState::Firing).cloned().collect();
        all.extend(begun);
        let ended = own::decide(watch, &quiet, &firing, at(2 * HOUR)).ended;
        all.extend(ended.into_iter().map(|alert| Alert { created_at: at(2 * HOUR), ..alert }));
    }
    all
}
