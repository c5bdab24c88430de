//! Pages of lists: what one shows, and the cursor that leads to the next, a text that says nothing to its reader and is the
//! same as long as its row is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;
use crate::model::{Alert, Delivery};
use crate::store::Place;
use crate::words::Saying;

/// Longer than any cursor of ours.
const LONGEST: usize = 512;

/// The cursor of a place.
pub(super) fn write(place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", place.at.as_millisecond(), place.id))
}

/// The cursor that leads to what stands after an alert.
pub(super) fn of_alert(alert: &Alert) -> String {
    write(&Place { at: alert.created_at, id: alert.id.to_string() })
}

/// The same for a delivery.
pub(super) fn of_delivery(delivery: &Delivery) -> String {
    write(&Place { at: delivery.created_at, id: delivery.id.to_string() })
}

/// The cursor that leads to what stands after a row whose place in its list is no time and id.
pub(super) fn of(place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!(place).to_string())
}

/// What a page of at most `limit` rows shows of those that were `found`, one more than it can, and the cursor to the next
/// page, if there is one.
pub(super) fn page<T>(mut found: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> (Vec<T>, Option<String>) {
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(cursor);
    (found, next)
}

/// Where the page begins that a request asks for; at the head of the list without a cursor.
pub(super) fn after(cursor: Option<&str>) -> Result<Option<Place>, Fault> {
    cursor.map(read).transpose()
}

/// The same in a list whose cursors are those of [`of`].
pub(super) fn after_place<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Fault> {
    let read = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    cursor.map(|text| read(text).ok_or_else(none_of_ours)).transpose()
}

/// The place of a cursor.
fn read(text: &str) -> Result<Place, Fault> {
    let place = || {
        let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= LONGEST)?).ok()?;
        let (at, id) = std::str::from_utf8(&bytes).ok()?.split_once(' ')?;
        Some(Place { at: Timestamp::from_millisecond(at.parse().ok()?).ok()?, id: id.to_string() })
    };
    place().ok_or_else(none_of_ours)
}

/// What is said of a cursor that no answer of ours had.
pub(super) fn none_of_ours() -> Fault {
    Fault::bad_request(Saying::of("refused.cursor"))
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
