//! The kinds of receiver there are, a line for each.

use super::channel::Kind;
use crate::yaml::{Section, closest};

/// Every kind of receiver.
pub static KINDS: &[Kind] = &[
    super::slack::KIND,
    super::email::KIND,
    super::webhook::KIND,
    super::dingtalk::KIND,
    super::wecom::KIND,
    super::feishu::KIND,
    super::pagerduty::KIND,
    super::teams::KIND,
    super::discord::KIND,
    super::telegram::KIND,
    super::smn::KIND,
    super::ntfy::KIND,
];

/// The kind that the key `type` of a receiver names. `None` means that it is missing or wrong, and reported.
pub fn kind_of(receiver: &Section<'_>) -> Option<&'static Kind> {
    let word = receiver.required::<String>("type")?;
    let found = KINDS.iter().find(|kind| kind.word == word);
    if found.is_none() {
        let words = KINDS.iter().map(|kind| kind.word);
        let called = KINDS.iter().find(|kind| kind.also.contains(&word.to_ascii_lowercase().as_str()));
        let near = called.map(|kind| kind.word).or_else(|| closest(&word, words.clone()));
        let help = near.map_or_else(
            || format!("the types are {}", words.collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near:?}?"),
        );
        receiver.error("type", format!("{word:?} is not a valid receiver type"), Some(help));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_kind_has_limits_that_make_sense() {
        for Kind { word, rate, .. } in KINDS {
            assert_eq!(rate.is_unlimited(), ["webhook", "email"].contains(word), "{word}");
            if let Some(minute) = rate.per_minute {
                // Some room is left for what comes after the burst, and a low limit leaves some for what is critical.
                assert!(rate.burst >= 2 && rate.burst <= minute / 2, "{word}");
                assert!(rate.penalty >= Duration::from_secs(60), "{word}");
            }
        }
    }

    /// Whatever makes a message of an alert makes the same parts of a group and of a digest.
    #[test]
    fn every_kind_makes_the_same_parts_of_every_message() {
        for kind in KINDS {
            let parts = |all: &[crate::template::BuiltIn]| all.iter().map(|it| it.part).collect::<Vec<_>>();
            let (alert, group, digest) = (parts(kind.alert), parts(kind.group), parts(kind.digest));
            assert!(!kind.word.is_empty() && !alert.is_empty(), "{}", kind.word);
            assert!(group.is_empty() || group == alert, "{}", kind.word);
            assert_eq!(digest, alert, "{}", kind.word);
        }
    }
}
