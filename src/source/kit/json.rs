//! Reading JSON from its raw text: ids stay the text that was sent, an odd item costs only itself, and every value knows
//! where it stands.
//!
//! Pure. Places are JSON pointers (RFC 6901). It knows no scheduler's fields.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::excerpt::without_secrets;
use super::text::{checked_text, is_broken, no_json, readable};
use crate::http::snippet;
use crate::model::SetAside;

/// Times before this (1973, in milliseconds) are seconds, or nonsense.
const EARLIEST_MILLISECOND: i64 = 100_000_000_000;

/// The text of a JSON string, or a number as the text that was sent. `None` for anything else, and for half a surrogate
/// pair: there is no such text.
pub(in crate::source) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => {
            let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
            let text =
                if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned)? } else { inner.into() };
            Some(readable(text))
        }
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// An id: a text that is not empty, or a whole number, digit by digit as it was sent.
pub(in crate::source) fn id_of(raw: &str) -> Option<Cow<'_, str>> {
    let is_number = !raw.starts_with('"');
    text_of(raw).filter(|id| !id.is_empty()).filter(|id| !is_number || !id.contains(['.', 'e', 'E']))
}

/// An instant in milliseconds; `None` when it is zero, negative, in another unit or beyond the year 9999.
pub(in crate::source) fn instant_of(raw: &str) -> Option<Timestamp> {
    let text = text_of(raw)?;
    let whole = || text.parse::<i64>().ok();
    // Through a float only for what is no integer literal (`1.5e12`), where nothing better was sent.
    let rounded = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number as i64);
    let milliseconds = whole().or_else(rounded).filter(|time| *time >= EARLIEST_MILLISECOND)?;
    Timestamp::from_millisecond(milliseconds).ok()
}

/// The text of a whole answer.
#[derive(Debug)]
pub(in crate::source) struct Json(String);

/// A value in an answer, with its place.
#[derive(Debug, Clone)]
pub(in crate::source) struct Spot<'a> {
    raw: &'a str,
    at: String,
}

impl Json {
    /// The text of a body, which is JSON as a whole and bounded in its depth.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(in crate::source) fn read(body: &[u8]) -> Result<Json, String> {
        let text = checked_text(body)?.into_owned();
        serde_json::from_str::<IgnoredAny>(&text).map_err(|error| no_json(&text, &error))?;
        Ok(Json(text))
    }

    /// The value that the answer is.
    pub(in crate::source) fn root(&self) -> Spot<'_> {
        Spot { raw: self.0.trim(), at: String::new() }
    }
}

impl<'a> Spot<'a> {
    /// A part of an answer that was cut out of it as raw text, with the place where it stood.
    pub(in crate::source) fn of(raw: &'a str, at: &str) -> Spot<'a> {
        Spot { raw: raw.trim(), at: at.to_string() }
    }

    /// Whether it is an object.
    pub(in crate::source) fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// Its own text.
    pub(in crate::source) fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it has this key, be it `null`.
    pub(in crate::source) fn has(&self, key: &str) -> bool {
        self.child(key).is_some()
    }

    /// The value at a pointer from here on; `None` where there is none, and for `null`.
    pub(in crate::source) fn find(&self, pointer: &str) -> Option<Spot<'a>> {
        let mut spot = self.clone();
        if !pointer.is_empty() {
            for token in pointer.strip_prefix('/')?.split('/') {
                spot = spot.child(token)?;
            }
        }
        (spot.raw != "null").then_some(spot)
    }

    /// The child behind one token of a pointer.
    fn child(&self, token: &str) -> Option<Spot<'a>> {
        let key = token.replace("~1", "/").replace("~0", "~");
        let raw = match self.raw.as_bytes().first()? {
            b'{' => member(self.raw, &key)?,
            b'[' => items(self.raw)?.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
        Some(Spot { raw: raw.get(), at: format!("{}/{token}", self.at) })
    }

    /// The items of the list at a pointer; none where there is `null`.
    ///
    /// # Errors
    /// When there is no list, with the place where it should be.
    pub(in crate::source) fn list(&self, pointer: &str) -> Result<Vec<Spot<'a>>, String> {
        let at = format!("{}{pointer}", self.at);
        let missing =
            |raw: &str| format!("no list at {}: {}", if at.is_empty() { "the top" } else { &at }, snippet(raw));
        let parent = match pointer.rsplit_once('/') {
            Some((parent, last)) => self.find(parent).and_then(|spot| spot.child(last)),
            None => Some(self.clone()),
        };
        let spot = parent.ok_or_else(|| missing(self.raw))?;
        if spot.raw == "null" {
            return Ok(Vec::new());
        }
        let items = items(spot.raw).ok_or_else(|| missing(spot.raw))?;
        let numbered = items.into_iter().enumerate();
        Ok(numbered.map(|(index, raw)| Spot { raw: raw.get(), at: format!("{at}/{index}") }).collect())
    }

    /// A text, or a number as the text that was sent.
    pub(in crate::source) fn text(&self) -> Option<Cow<'a, str>> {
        text_of(self.raw)
    }

    /// An id: a text that is not empty and whose bytes are all text, or a whole number as it was sent.
    pub(in crate::source) fn id(&self) -> Option<Cow<'a, str>> {
        id_of(self.raw).filter(|_| !is_broken(self.raw))
    }

    /// A count, which may be sent as a text.
    pub(in crate::source) fn count(&self) -> Option<u64> {
        self.text()?.parse().ok()
    }

    /// A flag; `None` when it is neither `true` nor `false`.
    pub(in crate::source) fn flag(&self) -> Option<bool> {
        self.raw.trim_matches('"').to_ascii_lowercase().parse().ok()
    }

    /// An instant: in milliseconds, or as RFC 3339 writes it.
    pub(in crate::source) fn instant(&self) -> Option<Timestamp> {
        instant_of(self.raw).or_else(|| self.text()?.trim().parse().ok())
    }

    /// The item as one that could not be understood.
    pub(in crate::source) fn set_aside(&self, reason: impl Into<String>, job: Option<String>) -> SetAside {
        set_aside(self.raw, reason, job, self.at.clone())
    }
}

/// An item that could not be understood, by its raw text and its place.
pub(in crate::source) fn set_aside(
    raw: &str,
    reason: impl Into<String>,
    job: Option<String>,
    at: impl Into<String>,
) -> SetAside {
    let snippet = without_secrets(&snippet(raw)).into_owned();
    SetAside { reason: reason.into(), snippet, job, at: at.into() }
}

/// The value of a key; `None` when it is not there, or stands there twice.
fn member<'a>(object: &'a str, wanted: &str) -> Option<&'a RawValue> {
    let (mut found, mut count) = (None, 0);
    let visitor = Members(|key: String, raw: &'a RawValue| {
        if key == wanted {
            (found, count) = (Some(raw), count + 1);
        }
    });
    serde_json::Deserializer::from_str(object).deserialize_map(visitor).ok()?;
    found.filter(|_| count == 1)
}

fn items(list: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(list).ok()
}

/// Gives every member of an object away.
struct Members<F>(F);

impl<'de, F: FnMut(String, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            (self.0)(key, map.next_value::<&'de RawValue>()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"total": 2, "data": {"runs": [{"id": 9007199254740993, "a/b": {"~": "x"}, "none": null,
        "at": "2026-11-21T08:00:00+08:00", "ms": 1551671580000, "twice": 1, "twice": 2}, 7]}}"#;

    #[test]
    fn values_are_found_by_pointer_and_know_their_place() {
        let json = Json::read(BODY.as_bytes()).unwrap();
        let root = json.root();
        let runs = root.list("/data/runs").unwrap();
        assert_eq!(runs.iter().map(|run| run.at.as_str()).collect::<Vec<_>>(), ["/data/runs/0", "/data/runs/1"]);
        let text = |pointer: &str| runs[0].find(pointer).and_then(|spot| spot.text().map(Cow::into_owned));
        assert_eq!(text("/id").as_deref(), Some("9007199254740993"), "never through a float");
        assert_eq!(text("/a~1b/~0").as_deref(), Some("x"));
        for absent in ["/none", "/twice", "/gone", "/id/x", "id"] {
            assert_eq!(text(absent), None, "{absent}");
        }
        assert_eq!(root.find("/data/runs/0/a~1b").unwrap().at, "/data/runs/0/a~1b");
        let instants = ["/at", "/ms"].map(|key| runs[0].find(key).unwrap().instant().unwrap().to_string());
        assert_eq!(instants, ["2026-11-21T00:00:00Z", "2019-03-04T03:53:00Z"]);
        assert_eq!(root.find("/total").unwrap().count(), Some(2));
        let item = runs[1].set_aside("no object", None);
        assert_eq!((item.at.as_str(), item.snippet.as_str()), ("/data/runs/1", "7"));
    }

    #[test]
    fn a_list_that_is_none_is_told_with_its_place() {
        let json = Json::read(BODY.as_bytes()).unwrap();
        let root = json.root();
        for (pointer, words) in
            [("/data", "no list at /data: {"), ("/rows", "no list at /rows: {"), ("", "no list at the top")]
        {
            let error = root.list(pointer).unwrap_err();
            assert!(error.starts_with(words), "{pointer}: {error}");
        }
        assert!(root.list("/data/runs/0/none").unwrap().is_empty());
        assert_eq!(Json::read(b"[1, 2]").unwrap().root().list("").unwrap().len(), 2);
        for (body, words) in [("<html>", "an HTML page?"), ("", "empty"), ("{\"a\": [1", "breaks off after 8 bytes")] {
            let error = Json::read(body.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn flags_ids_and_broken_bytes() {
        let json =
            Json::read(b"{\"yes\": true, \"word\": \"False\", \"no\": 1, \"id\": \"a\xffb\", \"float\": 1.5}").unwrap();
        let root = json.root();
        let flag = |key: &str| root.find(key).and_then(|spot| spot.flag());
        assert_eq!([flag("/yes"), flag("/word"), flag("/no")], [Some(true), Some(false), None]);
        assert_eq!(root.find("/id").unwrap().id(), None, "what identifies must be clean");
        assert_eq!(root.find("/id").unwrap().text().as_deref(), Some("a\u{fffd}b"));
        assert_eq!(root.find("/float").unwrap().id(), None);
    }
}
