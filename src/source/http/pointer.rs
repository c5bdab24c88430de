//! Places in JSON, as the configuration writes them.
//!
//! Pure: a place that is checked once, when the configuration is read, and what stands there in an answer.

use std::borrow::Cow;
use std::fmt;

use crate::source::kit::json::Spot;

/// A place in JSON (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(String);

impl Pointer {
    /// The whole answer.
    pub(super) const fn whole() -> Pointer {
        Pointer(String::new())
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Pointer, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("{text:?} is not a valid pointer: write \"/{}\"", text.replace('.', "/")));
        }
        Ok(Pointer(text.to_string()))
    }

    /// What stands there from `spot` on; nothing where there is nothing, `null`, or a key on the way that stands twice.
    pub(super) fn find<'a>(&self, spot: &Spot<'a>) -> Option<Spot<'a>> {
        spot.find(&self.0)
    }

    /// The text, the number or the truth value that stands there, as a text.
    pub(super) fn word<'a>(&self, spot: &Spot<'a>) -> Option<Cow<'a, str>> {
        let found = self.find(spot)?;
        found.text().or_else(|| matches!(found.raw(), "true" | "false").then(|| Cow::Borrowed(found.raw())))
    }

    /// The items of the list that stands there.
    ///
    /// # Errors
    /// When there is none, with the place where it should be.
    pub(super) fn list<'a>(&self, spot: &Spot<'a>) -> Result<Vec<Spot<'a>>, String> {
        spot.list(&self.0)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the whole answer" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kit::json::Json;

    #[test]
    fn words_are_found_where_pointers_point() {
        let json =
            Json::read(br#"{"data": {"rows": [{"id": 9007199254740993, "n": null}]}, "ok": true, "t": "x"}"#).unwrap();
        let word = |pointer: &str| Pointer::parse(pointer).unwrap().word(&json.root()).map(Cow::into_owned);
        for (pointer, expected) in [
            ("/data/rows/0/id", Some("9007199254740993")),
            ("/data/rows/0/n", None),
            ("/data/rows/1/id", None),
            ("/ok", Some("true")),
            ("/ok/deeper", None),
            ("/t", Some("x")),
            ("/data", None),
        ] {
            assert_eq!(word(pointer).as_deref(), expected, "{pointer}");
        }
        assert!(Pointer::parse("data.rows").unwrap_err().contains("\"/data/rows\""));
        assert!(Pointer::parse("/data").unwrap().list(&json.root()).unwrap_err().contains("no list at /data"));
    }
}
