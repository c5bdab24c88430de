//! The helpers that templates may call, and the engine set up for one kind of output. Those that depend on the receiver
//! (`local`, `duration`, `range`, `elapsed`, `noticed`, `gap`, `t`, `word`) stand in `say`.
//!
//! | helper | gives |
//! |---|---|
//! | `local t` | the instant in the receiver's zone, `2026-11-21 08:05:03 +08:00`; nothing for null |
//! | `local t "short"` | `08:05` on the day of the message, `20 Nov 23:10` on another |
//! | `local t "date"` | `20 Nov 23:10`, whatever the day |
//! | `local t "day"` | `Sat 21 Nov` |
//! | `duration ms` | `1m`; nothing for null |
//! | `range ms ms` | `6 to 8m` |
//! | `elapsed a`, `elapsed a b` | how long from the instant `a` to the making of the message, or to `b`: `1m 3s` |
//! | `noticed a` | (of `data.alert`) how long after its beginning it was noticed; nothing where the message itself is late |
//! | `gap x name why` | (digests) what a gap in `data.completeness` means, with the name of its source and its reason |
//! | `t "key" n=x …` | the phrase of the key in the receiver's language, with its values; `pad=11` fills up with blanks |
//! | `word x` | a status, severity or type in the receiver's language; any other text as it is |
//! | `truncate x 200` | at most 200 characters, the last one `…` when something was cut; of an error of several lines what stands around the one that says what went wrong |
//! | `upper x` | in capitals |
//! | `pad x 11` | filled up with blanks to 11 columns |
//! | `mark x` | the mark of a level, a verdict or an alert, and a blank: `🔴 ` |
//! | `color x "hex"` | its colour; the palettes are `hex`, `page`, `names`, `styles` and `fonts` |
//! | `labels x 200` | (of `data.alert.labels`) all of them, `team=finance tier=1`, at most 200 characters |
//! | `label x "team"` | one of them, nothing if there is none of that name |
//! | `shorten x m n 9000` | the names of a list, in full, or as short as it takes for the `m` alerts of the message and the `n` that wait to be named in the messages of a minute, of which each has room for 9,000 characters of names |
//! | `prose description 500` | a rule's description: what its author wrote whole, the values in it escaped |
//! | `link x` | an address of the web as the destination of a link; nothing for anything else |
//! | `count n` | a number with its thousands apart, `1,204` |
//! | `pick x fail="…" else="…"` | the text after the key that `x` equals, or after `else` |
//! | `code x 500` | (chats) `x` for a code span: only what could end the span is changed |
//! | `json x` | (JSON) `x` as JSON, quotes and all |
//! | `eq ne gt gte lt lte and or not len` | for `{{#if (…)}}` |

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
    ScopedJson,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::kind::OutputKind;
use super::marks;
use super::names::listed;
use crate::words::{cut, grouped, shortened};

/// A helper as the check sees it.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Fewest and most values it takes.
    pub(super) values: (usize, usize),
    /// Whether it takes `key=value` pairs.
    pub(super) pairs: bool,
    /// The kinds of output it works in; none for all.
    pub(super) only: &'static [OutputKind],
}

/// The kinds that have code spans.
const CODE: &[OutputKind] =
    &[OutputKind::Slack, OutputKind::DingTalk, OutputKind::WeCom, OutputKind::Discord, OutputKind::Telegram];

const fn takes(name: &'static str, least: usize, most: usize) -> Signature {
    Signature { name, values: (least, most), pairs: false, only: &[] }
}

/// Every helper that is no block.
pub(super) const HELPERS: [Signature; 32] = [
    takes("local", 1, 2),
    takes("duration", 1, 1),
    takes("range", 2, 2),
    takes("elapsed", 1, 2),
    takes("noticed", 1, 1),
    takes("gap", 3, 3),
    takes("word", 1, 1),
    Signature { name: "t", values: (1, 1), pairs: true, only: &[] },
    takes("truncate", 2, 2),
    takes("upper", 1, 1),
    takes("pad", 2, 2),
    takes("mark", 1, 1),
    takes("color", 2, 2),
    takes("labels", 2, 2),
    takes("label", 2, 2),
    takes("shorten", 4, 4),
    takes("prose", 2, 2),
    takes("link", 1, 1),
    takes("count", 1, 1),
    Signature { name: "pick", values: (1, 1), pairs: true, only: &[] },
    Signature { name: "code", values: (1, 2), pairs: false, only: CODE },
    Signature { name: "json", values: (1, 1), pairs: false, only: &[OutputKind::Json] },
    takes("eq", 2, 2),
    takes("ne", 2, 2),
    takes("gt", 2, 2),
    takes("gte", 2, 2),
    takes("lt", 2, 2),
    takes("lte", 2, 2),
    takes("and", 2, 2),
    takes("or", 2, 2),
    takes("not", 1, 1),
    takes("len", 1, 1),
];

/// Every helper that is a block.
pub(super) const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

/// The engine for one kind of output: strict, its values escaped for the kind, without helpers that log or look up.
pub(super) fn registry(kind: OutputKind) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(move |text| kind.escaped(text));
    for unwanted in ["log", "lookup", "raw"] {
        registry.unregister_helper(unwanted);
    }
    for (name, answer) in PLAIN {
        registry.register_helper(name, Box::new(Shown(kind, answer)));
    }
    for (name, answer) in OWN {
        registry.register_helper(name, Box::new(WrittenByAuthor(kind, answer)));
    }
    for (name, answer) in RAW {
        registry.register_helper(name, Box::new(Written(kind, answer)));
    }
    registry
}

/// An instant in a zone, to the second, with the offset: `2026-11-21 08:05:03 +08:00`.
pub fn local_time(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// The value at `index`; the check has seen to it that it is there.
pub(super) fn value<'a>(helper: &'a Helper<'_>, index: usize) -> &'a Value {
    helper.param(index).map_or(&Value::Null, |param| param.value())
}

/// A value as text: null is empty.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn failed<T>(reason: &str) -> Result<T, RenderError> {
    Err(RenderErrorReason::Other(reason.to_string()).into())
}

pub(super) fn derived<'rc>(text: impl Into<String>) -> Result<ScopedJson<'rc>, RenderError> {
    Ok(ScopedJson::Derived(Value::String(text.into())))
}

/// `said` with blanks behind it up to `width` columns; the letters of Chinese take two each.
pub(super) fn padded(mut said: String, width: usize) -> String {
    let columns: usize = said.chars().map(|c| if c < '\u{1100}' { 1 } else { 2 }).sum();
    said.extend(std::iter::repeat_n(' ', width.saturating_sub(columns)));
    said
}

/// A number of characters, given as the helper's second value.
fn max_characters(helper: &Helper<'_>) -> Result<usize, RenderError> {
    match value(helper, 1).as_u64().and_then(|max| usize::try_from(max).ok()) {
        Some(max) if max > 0 => Ok(max),
        _ => failed("the number of characters must be a whole number above zero"),
    }
}

/// Answers one call of a helper whose answer depends on the kind of output alone.
type Plain = fn(OutputKind, &Helper<'_>) -> Result<String, RenderError>;

/// The helpers that are values, each with the function that answers for it.
const PLAIN: [(&str, Plain); 8] = [
    ("truncate", |kind, helper| Ok(shortened(&text(value(helper, 0)), max_characters(helper)?, |c| kind.width(c)))),
    ("upper", |_, helper| Ok(text(value(helper, 0)).to_uppercase())),
    ("shorten", names_as_they_fit),
    ("count", |_, helper| match value(helper, 0).as_u64() {
        Some(number) => Ok(grouped(number)),
        None => failed("\"count\" wants a number, such as data.totals.ended"),
    }),
    ("pick", |_, helper| {
        let picked = helper.hash_get(&text(value(helper, 0))).or_else(|| helper.hash_get("else"));
        Ok(picked.map_or_else(String::new, |picked| text(picked.value())))
    }),
    ("pad", |_, helper| {
        let width = value(helper, 1).as_u64().and_then(|width| usize::try_from(width).ok()).unwrap_or(0);
        Ok(padded(text(value(helper, 0)), width))
    }),
    ("mark", |_, helper| Ok(marks::mark(&level_of(value(helper, 0))))),
    ("color", |_, helper| match marks::Palette::named(&text(value(helper, 1))) {
        Some(palette) => Ok(marks::color(&level_of(value(helper, 0)), palette).to_string()),
        None => failed("the palettes of \"color\" are \"hex\", \"page\", \"names\", \"styles\" and \"fonts\""),
    }),
];

/// How bad something is: a word says so itself, an alert by its state and its severity.
fn level_of(value: &Value) -> String {
    match value {
        Value::Object(alert) => {
            let of = |key: &str| alert.get(key).map(text).unwrap_or_default();
            if of("state") == "resolved" { of("state") } else { of("severity") }
        }
        other => text(other),
    }
}

/// The helpers whose answer is what the configuration's author wrote. Written to the output it stays whole; inside another
/// helper it is a text like others.
const OWN: [(&str, Plain); 2] = [
    ("labels", all_labels),
    ("label", |_, helper| Ok(value(helper, 0).get(text(value(helper, 1))).map_or_else(String::new, text))),
];

/// All labels in one line. One that does not fit is left out whole, for half an address leads nowhere.
fn all_labels(kind: OutputKind, helper: &Helper<'_>) -> Result<String, RenderError> {
    let Value::Object(labels) = value(helper, 0) else {
        return failed("\"labels\" wants labels, such as data.alert.labels");
    };
    let max = max_characters(helper)?;
    let width = |said: &str| said.chars().map(|c| kind.width(c)).sum::<usize>();
    let mut said = String::new();
    for (name, value) in labels {
        let more = format!("{}{name}={}", if said.is_empty() { "" } else { " " }, text(value));
        if width(&said) + width(&more) + 2 > max {
            said.push_str(if said.is_empty() { "…" } else { " …" });
            break;
        }
        said.push_str(&more);
    }
    Ok(said)
}

/// A text in pieces: what the configuration's author wrote stays whole, what was filled in is escaped like any other value.
fn prose(kind: OutputKind, helper: &Helper<'_>) -> Result<String, RenderError> {
    let Value::Array(pieces) = value(helper, 0) else {
        return if value(helper, 0).is_null() { Ok(String::new()) } else { failed("\"prose\" wants description") };
    };
    let mut room = max_characters(helper)?;
    let mut said = String::new();
    for piece in pieces {
        let whole = piece.get("text").map(text).unwrap_or_default();
        let part = if room == 0 { String::new() } else { cut(&whole, room, |c| kind.width(c)) };
        room = room.saturating_sub(part.chars().map(|c| kind.width(c)).sum());
        let is_own = piece.get("is_own").is_some_and(|own| own == true);
        said.push_str(&if is_own { kind.own(&part) } else { kind.escaped(&part) });
        if part != whole {
            break;
        }
    }
    Ok(said)
}

/// Names, as full as there is room for all that are to be told.
fn names_as_they_fit(kind: OutputKind, helper: &Helper<'_>) -> Result<String, RenderError> {
    let Value::Array(names) = value(helper, 0) else {
        return failed("\"shorten\" wants names, such as the jobs of a line");
    };
    let number = |index| value(helper, index).as_u64().and_then(|number| usize::try_from(number).ok());
    let (Some(here), Some(waiting), Some(room)) = (number(1), number(2), number(3)) else {
        return failed(
            "\"shorten\" wants three numbers: how many are named here, how many wait, and the room for names",
        );
    };
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    Ok(listed(&names, here.saturating_add(waiting), room, |c| kind.width(c)))
}

/// The helpers that write their output themselves, because it is escaped in a way of its own.
const RAW: [(&str, Plain); 4] = [
    ("prose", prose),
    ("link", |kind, helper| Ok(kind.link(&text(value(helper, 0))))),
    ("code", |kind, helper| {
        let mut shown = text(value(helper, 0));
        if helper.param(1).is_some() {
            shown = shortened(&shown, max_characters(helper)?, |c| kind.width(c));
        }
        Ok(kind.code(&shown).unwrap_or_default())
    }),
    ("json", |_, helper| Ok(value(helper, 0).to_string())),
];

/// A helper of [`PLAIN`].
struct Shown(OutputKind, Plain);

impl HelperDef for Shown {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        derived((self.1)(self.0, helper)?)
    }
}

/// A helper of [`OWN`].
struct WrittenByAuthor(OutputKind, Plain);

impl HelperDef for WrittenByAuthor {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        derived((self.1)(self.0, helper)?)
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        Ok(out.write(&self.0.own(&(self.1)(self.0, helper)?))?)
    }
}

/// A helper of [`RAW`].
struct Written(OutputKind, Plain);

impl HelperDef for Written {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        Ok(out.write(&(self.1)(self.0, helper)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_for_slack_counts_what_slack_counts() {
        let cut = shortened("<<<<", 10, |c| OutputKind::Slack.width(c));
        assert_eq!(cut, "<<…");
    }
}
