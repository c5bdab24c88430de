//! How often a channel may be told something: limits as data. Pure; who keeps to them is the worker's affair.
//!
//! Each kind's file has its vendor's own limits where they are known, and lower ones for chats: more than twenty messages
//! a minute are read by nobody. What does not fit is merged into fewer messages, so that a low limit costs no news.

use std::time::Duration;

use crate::limits::{RATE_MAX, RETRY_AFTER_MAX};
use crate::yaml::{Key, Keys, Section, Shape, Value};

static KEYS: Keys = Keys::of(
    "rate",
    "How often a receiver may be notified. What a key does not say stays as its type has it.",
    &[&[
        Key::new("per_second", Shape::Whole, "At most this many messages in any second.").example("1"),
        Key::new("per_minute", Shape::Whole, "At most this many messages in any minute.").example("20"),
        Key::new("burst", Shape::Whole, "How many of a minute's messages may go at once.").example("5"),
        Key::new(
            "penalty",
            Shape::Duration,
            "How long the receiver is left alone when it says \"too often\" and names no time; at most 1h.",
        )
        .example("1m"),
    ]],
);

/// How often a destination may be told something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Most messages in any second; none for no such limit.
    pub per_second: Option<u32>,
    /// Most messages in any minute; none for no such limit.
    pub per_minute: Option<u32>,
    /// How many of a minute's messages may go at once after a quiet time; the rest of them are spread over the minute.
    pub burst: u32,
    /// How long the channel is left alone when it says "too often" without naming a time; zero leaves that to the
    /// delivery's own schedule.
    pub penalty: Duration,
}

impl Rate {
    /// The keys of `rate` of a receiver.
    pub const KEYS: &'static Keys = &KEYS;

    /// No limit.
    pub const UNLIMITED: Rate = Rate { per_second: None, per_minute: None, burst: 0, penalty: Duration::ZERO };

    /// So many a second, so many a minute, so many of them at once, and so many seconds of rest after "too often".
    pub(super) const fn of(per_second: Option<u32>, per_minute: u32, burst: u32, penalty: u64) -> Rate {
        Rate { per_second, per_minute: Some(per_minute), burst, penalty: Duration::from_secs(penalty) }
    }

    /// Whether there is no limit at all.
    pub fn is_unlimited(&self) -> bool {
        self.per_second.is_none() && self.per_minute.is_none()
    }

    /// What keeps to both, for receivers that share a destination.
    #[must_use]
    pub fn stricter(self, other: Rate) -> Rate {
        let least = |one: Option<u32>, other: Option<u32>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let burst = match (self.per_minute, other.per_minute) {
            (Some(_), Some(_)) => self.burst.min(other.burst),
            (Some(_), None) => self.burst,
            _ => other.burst,
        };
        Rate {
            per_second: least(self.per_second, other.per_second),
            per_minute: least(self.per_minute, other.per_minute),
            burst,
            penalty: self.penalty.max(other.penalty),
        }
    }

    /// The key `rate` of a receiver: the kind's limits, `known`, with what the configuration says in their place. `None` means that
    /// something in it was reported.
    pub fn read(receiver: &Section<'_>, known: Rate) -> Option<Rate> {
        if !receiver.has("rate") {
            let _ = receiver.node("rate");
            return Some(known);
        }
        if receiver.node("rate").is_some_and(|node| !matches!(node.value, Value::Map(_))) {
            let help = Some("for example rate: { per_minute: 20, burst: 5 }".to_string());
            receiver.error("rate", "expected a mapping of limits to numbers", help);
            return None;
        }
        let section = receiver.section("rate")?;
        let mut right = true;
        let mut number = |key: &'static str| {
            let number = section.optional::<u32>(key);
            right &= number.is_some() || !section.has(key);
            if number.is_some_and(|number| !(1..=RATE_MAX).contains(&number)) {
                section.error(key, format!("{key:?} is from 1 to {RATE_MAX}"), None);
                right = false;
            }
            number
        };
        let (per_second, per_minute, burst) = (number("per_second"), number("per_minute"), number("burst"));
        let penalty = section.optional::<Duration>("penalty");
        right &= penalty.is_some() || !section.has("penalty");
        if penalty.is_some_and(|penalty| penalty > RETRY_AFTER_MAX) {
            section.error("penalty", "longer than an hour is not waited", None);
            right = false;
        }
        let minute = per_minute.or(known.per_minute);
        match (burst, minute) {
            (Some(burst), Some(minute)) if burst > minute => {
                section.error("burst", format!("{burst} at once are more than {minute} in a minute"), None);
                right = false;
            }
            (Some(_), None) => {
                let help = Some("add per_minute".to_string());
                section.error("burst", "\"burst\" says how many of a minute's messages may go at once", help);
                right = false;
            }
            _ => {}
        }
        section.close();
        // A quarter of the minute's messages at once leaves the rest of them for the rest of the minute.
        let usual = |minute: u32| if per_minute.is_some() { (minute / 4).max(1) } else { known.burst };
        right.then(|| Rate {
            per_second: per_second.or(known.per_second),
            per_minute: minute,
            burst: burst.or_else(|| minute.map(usual)).unwrap_or(0),
            penalty: penalty.unwrap_or(known.penalty),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_share_a_destination_keep_to_the_stricter() {
        let slack = Rate::of(None, 20, 5, 60);
        let slow = Rate { per_second: Some(1), per_minute: Some(5), burst: 1, penalty: Duration::from_secs(10) };
        let both = Rate { penalty: Duration::from_secs(60), ..slow };
        assert_eq!(slack.stricter(slow), both);
        assert_eq!(slow.stricter(slack), both);
        assert_eq!(Rate::UNLIMITED.stricter(slack), slack);
    }
}
