//! Where what a poll owes is given its group: the delivery then waits for others of it instead of going out at once.

use jiff::Timestamp;

use super::Addressee;
use crate::model::{Alert, Delivery};
use crate::rule::Rule;

/// The delivery with the group that the alert's rule asks for. A receiver that is told of each alert alone has none.
pub(super) fn placed(
    delivery: Delivery,
    alert: &Alert,
    rule: Option<&Rule>,
    addressee: &Addressee,
    now: Timestamp,
) -> Delivery {
    let grouping = rule.and_then(|rule| rule.group.as_ref()).filter(|_| addressee.renderer.merges());
    let Some((group, due)) = grouping.map(|grouping| grouping.place(&alert.facts, now)) else { return delivery };
    Delivery { group: Some(group), next_attempt_at: Some(due), ..delivery }
}
