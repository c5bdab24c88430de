//! Cursors of lists: where a page ends, as a text that says nothing to its reader and is the same as long as its row is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::fault::Fault;
use crate::store::Place;

/// Longer than any cursor of ours.
const LONGEST: usize = 512;

/// The cursor of a place.
pub(super) fn write(place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", place.at.as_millisecond(), place.id))
}

/// The place of a cursor.
pub(super) fn read(text: &str) -> Result<Place, Fault> {
    let place = || {
        let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= LONGEST)?).ok()?;
        let (at, id) = std::str::from_utf8(&bytes).ok()?.split_once(' ')?;
        Some(Place { at: Timestamp::from_millisecond(at.parse().ok()?).ok()?, id: id.to_string() })
    };
    place().ok_or_else(|| Fault::bad_request("the cursor is none of an answer from here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_and_nothing_else_is_one() {
        let place = Place { at: Timestamp::from_millisecond(1_795_224_000_123).unwrap(), id: "a b/c".into() };
        let text = write(&place);
        assert_eq!(read(&text).unwrap(), place);
        for wrong in ["", "x", "MQ", &text[1..], &"A".repeat(600), "MTIzIA==", "é"] {
            if let Ok(read) = read(wrong) {
                assert_ne!(read, place, "{wrong}");
            }
        }
        assert!(read("").is_err() && read("!!").is_err());
    }
}
