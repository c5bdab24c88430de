//! `inhibit`: a mapping from an inhibition's name to the alerts upstream, the alerts that they hold back, and what both
//! must have in common.

use super::mute::{ALERT_MATCH, Surroundings, read_alert_match};
use super::words::{open_named, read_word};
use crate::rule::inhibit::{Inhibition, Shared};
use crate::yaml::{Entry, FromYaml, Key, Keys, Located, Node, OneOrMany, Section, Shape, Value};

/// An inhibition.
pub(super) static INHIBITION: Keys = Keys::of(
    "inhibition",
    "While an alert upstream fires, those that only follow from it are not sent.",
    &[&[
        Key::new("by", Shape::Mapping(&ALERT_MATCH), "The alerts upstream.").required().example("{ job: load_orders }"),
        Key::new("match", Shape::Mapping(&ALERT_MATCH), "The alerts that they hold back.")
            .required()
            .example("{ job: \"report_*\" }"),
        Key::new("equal", Shape::Words(shared), "What both must have in common."),
    ]],
);

fn shared() -> Vec<&'static str> {
    Shared::ALL.map(Shared::as_str).to_vec()
}

/// Reads all inhibitions. The broken ones are reported and left out.
pub(super) fn read(file: &Section<'_>, around: &Surroundings<'_>) -> Vec<Inhibition> {
    let Some(inhibitions) = file.section("inhibit") else { return Vec::new() };
    inhibitions.entries().iter().filter_map(|entry| read_one(&inhibitions, entry, around)).collect()
}

fn read_one(inhibitions: &Section<'_>, entry: &Entry, around: &Surroundings<'_>) -> Option<Inhibition> {
    let section = open_named(inhibitions, entry)?;
    for (key, whose) in [("by", "the alerts upstream"), ("match", "the alerts that they hold back")] {
        if !section.has(key) {
            let help = Some(format!("say which are {whose}: {key}: {{ job: … }}"));
            section.missing(key, help);
        }
    }
    let (by, matches) = (read_alert_match(&section, "by", around), read_alert_match(&section, "match", around));
    let equal = section.optional::<OneOrMany<SharedWord>>("equal");
    let is_sound = equal.is_some() || !section.has("equal");
    if let (Some(one), Some(other)) = (section.node("by"), section.node("match"))
        && says_the_same(one, other)
    {
        let help = Some("name the alerts upstream under \"by\", and what follows from them under \"match\"".into());
        section.warning("match", "it is the same as \"by\": the first of these alerts holds back all the others", help);
    }
    section.close();
    let equal = equal.map_or_else(Vec::new, |words| words.0.into_iter().map(|word| word.0).collect());
    is_sound.then_some(Inhibition { name: entry.key.as_str().into(), by: by?, matches: matches?, equal })
}

/// Whether two values say the same, wherever they stand.
fn says_the_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(one), Value::Scalar(other)) => one.text == other.text,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| says_the_same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            let has = |entry: &Entry| {
                other.iter().any(|there| there.key == entry.key && says_the_same(&there.node, &entry.node))
            };
            one.len() == other.len() && one.iter().all(has)
        }
        _ => false,
    }
}

struct SharedWord(Shared);

impl FromYaml for SharedWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = Shared::ALL.map(Shared::as_str);
        read_word(located, "thing that alerts share", &known, Shared::from_word).map(SharedWord)
    }
}
