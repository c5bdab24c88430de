//! Text that the configuration's author wrote, with values of an alert filled in.
//!
//! Plain data. What the author wrote and what was filled in stay apart, because only the first is trusted: a channel shows it
//! as it is and makes its addresses links, while the second is escaped like any foreign text. Stored and sent as one text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prose(pub Vec<Piece>);

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it says.
    pub text: String,
    /// Whether the configuration's author wrote it; otherwise it is a value that was filled in.
    pub is_own: bool,
}

impl Prose {
    /// The whole text.
    pub fn text(&self) -> String {
        self.0.iter().map(|piece| piece.text.as_str()).collect()
    }
}

impl Serialize for Prose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

/// Of a text that was stored nobody knows any more who wrote what, so none of it is trusted.
impl<'de> Deserialize<'de> for Prose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Prose, D::Error> {
        String::deserialize(deserializer).map(|text| Prose(vec![Piece { text, is_own: false }]))
    }
}
