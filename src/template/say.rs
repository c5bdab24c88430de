//! The helpers whose answer depends on for whom a message is rendered: language, zone and the instant of the message.
//! They are registered for each rendering.

use std::sync::Arc;
use std::time::Duration;

use handlebars::{Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, ScopedJson};
use jiff::Timestamp;
use serde_json::Value;

use super::form::Locale;
use super::helpers::{derived, failed, local_time, padded, text, value};
use crate::words::{Language, short_time};

/// The pair of `t` that is no value of the phrase: the width to fill up with blanks, for columns in plain text.
pub(super) const PAD: &str = "pad";

/// What the rules begin with by which Nightbell watches itself.
const OWN_PREFIX: &str = "self/";

/// What one rendering knows.
pub(super) struct Occasion {
    locale: Locale,
    now: Timestamp,
}

/// Answers one call of a helper.
type Answer = fn(&Occasion, &Helper<'_>) -> Result<String, RenderError>;

/// A helper by the function that answers for it.
struct Told {
    occasion: Arc<Occasion>,
    answer: Answer,
}

impl HelperDef for Told {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        derived((self.answer)(&self.occasion, helper)?)
    }
}

/// Makes the helpers known to one rendering.
pub(super) fn register(render: &mut RenderContext<'_, '_>, locale: &Locale, now: Timestamp) {
    let occasion = Arc::new(Occasion { locale: locale.clone(), now });
    let helpers: [(&str, Answer); 8] = [
        ("local", local),
        ("duration", duration),
        ("range", range),
        ("elapsed", elapsed),
        ("noticed", noticed),
        ("gap", gap),
        ("word", word),
        ("t", phrase),
    ];
    for (name, answer) in helpers {
        render.register_local_helper(name, Box::new(Told { occasion: Arc::clone(&occasion), answer }));
    }
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn local(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    let Locale { timezone, language, .. } = &occasion.locale;
    let first = value(helper, 0);
    if first.is_null() {
        return Ok(String::new());
    }
    let Some(instant) = instant(first) else {
        return failed("\"local\" wants an instant, such as data.alert.starts_at");
    };
    match helper.param(1).map(|form| form.value()) {
        None => Ok(local_time(instant, timezone)),
        Some(Value::String(form)) if form == "short" => Ok(short_time(instant, occasion.now, timezone, *language)),
        Some(Value::String(form)) if form == "date" => {
            Ok(instant.to_zoned(timezone.clone()).strftime(&language.say("date_short", &[])).to_string())
        }
        Some(Value::String(form)) if form == "day" => {
            Ok(instant.to_zoned(timezone.clone()).strftime(&language.say("date_day", &[])).to_string())
        }
        Some(_) => failed("the other forms of \"local\" are \"short\", \"date\" and \"day\""),
    }
}

fn duration(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    match value(helper, 0) {
        Value::Null => Ok(String::new()),
        number => match number.as_u64() {
            Some(milliseconds) => Ok(occasion.locale.language.duration(Duration::from_millis(milliseconds))),
            None => failed("\"duration\" wants milliseconds, such as data.instance.duration_ms"),
        },
    }
}

/// The time from one instant to another, or to the making of the message: a difference stays true however late the message
/// arrives, which "3 minutes ago" does not. Nothing for less than a second: a clock of the source's that is ahead is no
/// news.
fn elapsed(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    let ends: [Option<&Value>; 2] = [Some(value(helper, 0)), helper.param(1).map(|end| end.value())];
    if ends.iter().flatten().any(|end| end.is_null()) {
        return Ok(String::new());
    }
    let read = |end: Option<&Value>| end.map_or(Some(occasion.now), instant);
    let (Some(from), Some(to)) = (read(ends[0]), read(ends[1])) else {
        return failed("\"elapsed\" wants instants, such as data.alert.starts_at");
    };
    Ok(span(occasion, from, to))
}

fn span(occasion: &Occasion, from: Timestamp, to: Timestamp) -> String {
    match u64::try_from(to.duration_since(from).as_secs()) {
        Ok(seconds) if seconds > 0 => occasion.locale.language.duration(Duration::from_secs(seconds)),
        _ => String::new(),
    }
}

/// How long after its beginning an alert was noticed, which the making of its first message tells. A message that was held
/// back, or that goes to further people, is made long after that, and tells nothing of it; and of its own trouble Nightbell
/// knows at once and waits before it notifies anybody.
fn noticed(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    let alert = value(helper, 0);
    let Some(from) = alert.get("starts_at").and_then(instant) else {
        return failed("\"noticed\" wants an alert, as data.alert is one");
    };
    // Before it was due nobody could notice that it was late, however long its run had been under way by then.
    let due = alert.get("due_at").and_then(instant);
    let from = due.map_or(from, |due| due.max(from));
    let is_late = ["escalation", "held_back"].iter().any(|key| alert.get(key).is_some_and(|late| !late.is_null()));
    let is_own = alert.get("rule").and_then(Value::as_str).is_some_and(|rule| rule.starts_with(OWN_PREFIX));
    Ok(if is_late || is_own { String::new() } else { span(occasion, from, occasion.now) })
}

fn range(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    let ends = [0, 1].map(|index| value(helper, index).as_u64().map(Duration::from_millis));
    match ends {
        [Some(from), Some(to)] => Ok(occasion.locale.language.range(from, to)),
        _ => failed("\"range\" wants two numbers of milliseconds, such as usual.from_ms and usual.to_ms"),
    }
}

/// What a gap in a digest means, by its cause.
fn gap(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    let gap = value(helper, 0);
    let Some(from) = gap.get("from").and_then(instant) else {
        return failed("\"gap\" wants a gap, as data.completeness.gaps.shown has them");
    };
    let Locale { timezone, language, .. } = &occasion.locale;
    let short = |at| short_time(at, occasion.now, timezone, *language);
    let until = gap.get("until").and_then(instant).map(short).unwrap_or_default();
    let values =
        [("source", text(value(helper, 1))), ("from", short(from)), ("until", until), ("why", text(value(helper, 2)))];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, said)| (*name, said.as_str())).collect();
    let is_open = gap.get("until").is_none_or(Value::is_null);
    Ok(match gap.get("cause").and_then(Value::as_str) {
        Some("silent") if is_open => language.say("digest.gap_silent_since", &values),
        Some("silent") => language.say("digest.gap_silent", &values),
        Some("unreadable") if is_open => language.say("digest.gap_unreadable_since", &values),
        Some("unreadable") => language.say("digest.gap_unreadable", &values),
        Some("lost") => language.say("digest.gap_lost", &values),
        Some("purged") => language.say("digest.gap_purged", &values),
        _ if is_open => language.say("digest.gap_incomplete_since", &values),
        _ => language.say("digest.gap_incomplete", &values),
    })
}

fn word(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    Ok(occasion.locale.language.word(&text(value(helper, 0))))
}

fn phrase(occasion: &Occasion, helper: &Helper<'_>) -> Result<String, RenderError> {
    let key = text(value(helper, 0));
    let Some(phrase) = occasion.locale.language.phrase(&key) else {
        return failed("\"t\" wants the key of a phrase");
    };
    let said = phrase.fill(&|name| helper.hash_get(name).map(|given| text(given.value())));
    let width = helper.hash_get(PAD).and_then(|pad| pad.value().as_u64()).and_then(|pad| usize::try_from(pad).ok());
    Ok(padded(said, width.unwrap_or(0)))
}

/// What is wrong with a call of `t`: an unknown key, values that the phrase has no place for, values that it lacks.
pub(super) fn problems(key: &str, given: &[&str]) -> Vec<String> {
    let Some(phrase) = Language::default().phrase(key) else {
        let hint = Language::near_key(key).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        return vec![format!("there is no phrase {key:?}{hint}")];
    };
    let (all, needed) = phrase.names();
    let strange = given.iter().filter(|name| **name != PAD && !all.contains(name)).map(|name| {
        let near = crate::yaml::closest(name, all.iter().copied());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        format!("the phrase {key:?} has no place for {name:?}{hint}")
    });
    let lacking = needed.iter().filter(|name| !given.contains(name));
    let lacking = lacking.map(|name| format!("the phrase {key:?} needs a value: {name}=…"));
    strange.chain(lacking).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_wide_letters_twice() {
        assert_eq!(padded("Since".into(), 8), "Since   ");
        assert_eq!(padded("来源".into(), 8), "来源    ");
        assert_eq!(padded("too long".into(), 3), "too long");
    }

    #[test]
    fn calls_of_phrases_are_checked() {
        assert_eq!(problems("retried", &["n", PAD]), Vec::<String>::new());
        assert_eq!(problems("retreid", &[]), ["there is no phrase \"retreid\"; did you mean \"retried\"?"]);
        assert_eq!(problems("retried", &[]), ["the phrase \"retried\" needs a value: n=…"]);
        assert_eq!(
            problems("and_node", &["node", "lg"]),
            ["the phrase \"and_node\" has no place for \"lg\"; did you mean \"log\"?"]
        );
    }
}
