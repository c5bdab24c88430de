//! `notify` of a rule: whom it tells at once, and who is told later if the alert still fires then.
//!
//! Names alone (`oncall`, `[oncall, pager]`) are told at once. A list of mappings is a list of steps: the first is told at
//! once, each later one a while after that. Steps without `after` that all say `during` are told at once, each in its hours.

use std::collections::BTreeSet;
use std::time::Duration;

use super::hours::{DURING, HOLD, Windows, read_hours};
use super::matching::{Names, read_references};
use super::words::read_word;
use crate::limits::{ESCALATION_AFTER_MAX, ESCALATION_STEPS_MAX};
use crate::model::ReceiverId;
use crate::rule::{FirstStep, Step};
use crate::yaml::{FromYaml, Key, Keys, Located, Node, Section, Shape, Value, duration_text};

/// `notify` of a rule.
pub(super) const NOTIFY: Key = Key::new(
    "notify",
    Shape::TextsOrSteps(&FIRST_STEP, &STEP),
    "Whom to notify: names from \"receivers\", or steps. The first step is notified at once, each later one while the \
     alert still fires so long after that.",
)
.example("[{ to: oncall }, { after: 30m, unless: acked, to: lead }]");

const TO: Key = Key::new("to", Shape::Texts, "The receivers.").required().example("oncall");
const AFTER: Key = Key::new("after", Shape::Duration, "How long after the first step.").example("30m");
const UNLESS: Key =
    Key::new("unless", Shape::Word(|| vec!["acked"]), "acked: not when somebody has acknowledged the alert.");

/// What belongs to later steps is known in the first, and refused with the reason.
static FIRST_STEP: Keys = Keys::of(
    "first_step",
    "Who is notified at once; after and unless belong to later steps.",
    &[&[TO, DURING, HOLD, AFTER, UNLESS]],
);

/// Whether "after" may be left out depends on the steps before it: several are told at once, each in its hours.
static STEP: Keys = Keys::of(
    "step",
    "Who is notified later, while the alert still fires; without after, at once in other hours than the steps before.",
    &[&[TO, AFTER, UNLESS, DURING, HOLD]],
);

/// Whom a rule tells.
#[derive(Debug, Default)]
pub(super) struct Notify {
    /// At once, at whatever hour.
    pub(super) first: Vec<ReceiverId>,
    /// In which hours, where any of them goes by hours.
    pub(super) hours: Vec<FirstStep>,
    /// Later, the earliest step first.
    pub(super) later: Vec<Step>,
}

/// Whether `notify` is written as steps.
pub(super) fn has_steps(section: &Section<'_>) -> bool {
    match section.node("notify").map(|node| &node.value) {
        Some(Value::Map(_)) => true,
        Some(Value::List(items)) => items.iter().any(|item| matches!(item.value, Value::Map(_))),
        _ => false,
    }
}

/// Reads `notify` of a rule; absent, nobody is told.
pub(super) fn read(section: &Section<'_>, known: &Names<'_>, windows: &Windows) -> Option<Notify> {
    if !has_steps(section) {
        return Some(Notify { first: read_notify(section, known)?, ..Notify::default() });
    }
    let path = section.path_of("notify");
    let Some(Node { value: Value::List(items), at }) = section.node("notify") else {
        let help = Some("write notify: [{ to: oncall }, { after: 30m, unless: acked, to: lead }]".into());
        section.error("notify", "steps are a list", help);
        return None;
    };
    if items.len() > ESCALATION_STEPS_MAX {
        section.findings().error(*at, path.as_str(), format!("more than {ESCALATION_STEPS_MAX} steps"), None);
    }
    let around = Around { section, known, windows };
    let steps: Vec<Option<Step>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| around.step(item, &format!("{path}[{index}]"), index == 0, starts(items, index)))
        .collect();
    let mut steps = steps.into_iter().collect::<Option<Vec<Step>>>()?;
    let mut is_sound = true;
    for (index, pair) in steps.windows(2).enumerate().filter(|(index, _)| !starts(items, index + 1)) {
        if pair[1].after <= pair[0].after {
            let path = format!("{path}[{}].after", index + 1);
            let words =
                format!("it comes no later than the step before it, which notifies after {}", text(pair[0].after));
            let help = Some("each \"after\" counts from the first message".into());
            section.findings().error(items[index + 1].at, path, words, help);
            is_sound = false;
        }
    }
    let later = steps.split_off((0..items.len()).take_while(|index| starts(items, *index)).count());
    if let Some(held) = steps.iter().position(|step| step.hours.hold.is_some())
        && !later.is_empty()
    {
        let help = Some("leave out the later steps, or what holds back the first".to_string());
        let message = "what is held back is sent hours later, and no step counts from that";
        section.findings().error(items[held].at, format!("{path}[{held}].hold"), message, help);
        is_sound = false;
    }
    let mut seen = BTreeSet::new();
    let first = steps.iter().flat_map(|step| &step.to).filter(|to| seen.insert(to.as_str())).cloned().collect();
    let goes_by_hours = steps.iter().any(|step| !step.hours.are_all());
    let of_steps = steps.into_iter().map(|Step { to, hours, .. }| FirstStep { to, hours });
    let hours = if goes_by_hours { of_steps.collect() } else { Vec::new() };
    is_sound.then_some(Notify { first, hours, later })
}

/// Whether the step at this place is told at once: the first one is, and those that follow it without "after" where all of
/// them have hours of their own.
fn starts(items: &[Node], index: usize) -> bool {
    let key = |item: &Node, key: &str| matches!(&item.value, Value::Map(keys) if keys.iter().any(|one| one.key == key));
    let in_hours = |item: &Node| key(item, "during") && !key(item, "after");
    index == 0 || items[..=index].iter().all(in_hours)
}

/// What the steps of a rule stand in.
struct Around<'a, 'b> {
    section: &'a Section<'b>,
    known: &'a Names<'a>,
    windows: &'a Windows,
}

impl Around<'_, '_> {
    fn step(&self, node: &Node, path: &str, is_first: bool, is_told_at_once: bool) -> Option<Step> {
        let findings = self.section.findings();
        if !matches!(node.value, Value::Map(_)) {
            let name = match &node.value {
                Value::Scalar(scalar) => scalar.text.as_str(),
                _ => "…",
            };
            let help = Some(format!("write {{ to: {name} }}"));
            findings.error(node.at, path, "beside steps, a receiver is a step, too", help);
            return None;
        }
        let section = Section::of(if is_first { &FIRST_STEP } else { &STEP }, node, path, findings)?;
        if !section.has("to") {
            section.missing("to", Some("name the receivers that this step notifies".into()));
        }
        let names = read_references(&section, "to", "receiver", self.known.receivers);
        let after = section.optional::<Duration>("after");
        let unless = section.optional::<UnlessWord>("unless");
        let hours = read_hours(&section, self.windows);
        let mut is_sound = (after.is_some() || !section.has("after")) && (unless.is_some() || !section.has("unless"));
        if is_told_at_once {
            for key in ["after", "unless"].into_iter().filter(|key| section.has(key)) {
                section.error(key, "the first step notifies at once", Some(format!("write {key:?} in a later step")));
                is_sound = false;
            }
        } else if !section.has("after") {
            let help = "say how long after the first message: after: 30m; several steps are taken at once where each says \
                        during which window";
            section.missing("after", Some(help.into()));
            is_sound = false;
        }
        if let Some(after) = after.filter(|after| *after > ESCALATION_AFTER_MAX) {
            let help = Some(format!("write at most {}", text(ESCALATION_AFTER_MAX)));
            section.error("after", format!("{} is too long", text(after)), help);
            is_sound = false;
        }
        section.close();
        let names = names.filter(|names| !names.is_empty())?;
        let mut seen = BTreeSet::new();
        let to = names.iter().filter(|name| seen.insert(name.as_str())).map(ReceiverId::new).collect();
        let (after, unless_acked, hours) = (after.unwrap_or_default(), unless.is_some(), hours?);
        is_sound.then_some(Step { after, unless_acked, to, hours })
    }
}

fn text(duration: Duration) -> String {
    duration_text(duration)
}

/// What keeps a step from being told.
struct UnlessWord;

impl FromYaml for UnlessWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        read_word(located, "reason to leave a step out", &["acked"], |word| (word == "acked").then_some(UnlessWord))
    }
}

/// `notify` where it has no steps; absent, nobody is notified. It may be an empty list: a rule has one where routes name
/// the receivers, or against the defaults of its file.
pub(super) fn read_notify(section: &Section<'_>, known: &Names<'_>) -> Option<Vec<ReceiverId>> {
    if has_steps(section) {
        section.error("notify", "only a rule has steps", Some("name receivers: notify: [team]".into()));
        return None;
    }
    let is_empty_list = |node: &Node| matches!(&node.value, Value::List(items) if items.is_empty());
    if section.node("notify").is_some_and(is_empty_list) {
        return Some(Vec::new());
    }
    let names = read_references(section, "notify", "receiver", known.receivers)?;
    let mut seen = BTreeSet::new();
    // Named twice, it is told once all the same.
    Some(names.iter().filter(|name| seen.insert(name.as_str())).map(ReceiverId::new).collect())
}
