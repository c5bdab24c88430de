//! Every message of every channel in both languages, on one page: target/pictures/messages.html, for somebody to read.
//! The page lays out what it is given nearly as the channels do; whether it is good is for who looks at it to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nightbell::notify::{ReceiverSettings, Renderer};
use nightbell::template::{digest_samples, group_samples, samples};
use nightbell::words::Language;
use serde_json::{Value, json};

use super::golden::{acknowledgements, kinds, with_page};
use super::settings;

/// The page without messages, and where they go.
const PAGE: &str = include_str!("gallery.html");
const PLACE: &str = "type=\"application/json\">[]<";

#[test]
fn every_message_of_every_channel_is_on_one_page() {
    let mut messages: Vec<Value> = Vec::new();
    for yaml in kinds() {
        for language in Language::ALL {
            let receiver = ReceiverSettings { language, ..settings(&yaml) };
            let (kind, renderer) = (receiver.channel.kind().word, Renderer::open(&receiver).unwrap());
            let groups = group_samples().into_iter().filter(|_| renderer.merges());
            let of_nightbell = crate::own::messages();
            let all = samples().into_iter().chain(of_nightbell).chain(groups).chain(digest_samples());
            let mut add = |sample: &str, parts: BTreeMap<String, String>| {
                messages.push(json!({ "sample": sample, "kind": kind, "language": language.as_str(), "parts": parts }));
            };
            for (name, message) in all {
                add(&name, renderer.render(&message).content.parts);
            }
            for (name, content) in acknowledgements(&renderer).into_iter().chain(with_page(&receiver)) {
                add(&name, content.parts);
            }
        }
    }
    // Each of them in both languages, and something of each kind.
    let of = |key: &str| messages.iter().map(|one| one[key].as_str().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!((of("kind").len(), of("language").len()), (kinds().count(), Language::ALL.len()));
    for wanted in [
        "alert.firing ordinary",
        "test ordinary",
        "alert.group again",
        "digest ordinary",
        "ack taken",
        "page alert.group ordinary",
    ] {
        assert!(of("sample").contains(wanted), "{wanted} is not in {:?}", of("sample"));
    }
    assert_eq!(PAGE.matches(PLACE).count(), 1);
    let inside = serde_json::to_string(&messages).unwrap().replace('<', "\\u003c");
    let page = PAGE.replace(PLACE, &format!("type=\"application/json\">{inside}<"));
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("messages.html"), page).unwrap();
}
