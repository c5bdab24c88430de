//! How often each kind of channel may be told something: limits as data. Pure; who keeps to them is the worker's affair.
//!
//! The vendor's own limits stand here where they are known, and lower ones for chats: more than twenty messages a minute
//! are read by nobody. What does not fit is merged into fewer messages, so that a low limit costs no news.

use std::time::Duration;

use crate::limits::{RATE_MAX, RETRY_AFTER_MAX};
use crate::yaml::{Section, Value};

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
    /// No limit.
    pub const UNLIMITED: Rate = Rate { per_second: None, per_minute: None, burst: 0, penalty: Duration::ZERO };

    /// The limits of a kind of receiver, unless the configuration says otherwise.
    pub fn of_kind(kind: &str) -> Rate {
        let rate = |per_second, per_minute, burst, penalty| Rate {
            per_second,
            per_minute: Some(per_minute),
            burst,
            penalty: Duration::from_secs(penalty),
        };
        match kind {
            // A message a second and short bursts, says Slack; a channel with more than twenty a minute is not read.
            "slack" => rate(None, 20, 5, 60),
            // The robot's own limit; whoever passes it is held off for ten minutes.
            "dingtalk" => rate(None, 20, 5, 600),
            // The robot's own limit.
            "wecom" => rate(None, 20, 5, 60),
            // The bot's own limits.
            "feishu" => rate(Some(5), 100, 10, 60),
            // Twenty a minute to a group, about one a second with short bursts to a chat.
            "telegram" => rate(None, 20, 3, 60),
            // The limits are told in each answer only; this many a minute have been borne.
            "discord" => rate(None, 20, 5, 60),
            // Four a second were throttled in the connectors before; a workflow's own budget nobody documents.
            "teams" => rate(Some(2), 20, 5, 60),
            // About so many events a minute and key. They are never merged, so the burst is large.
            "pagerduty" => rate(None, 120, 40, 60),
            // A topic's default is three thousand a minute; each message is a mail or a text message to every subscriber.
            "smn" => rate(None, 60, 20, 60),
            // Mail servers and webhooks are the user's own: no limit unless the configuration names one.
            _ => Rate::UNLIMITED,
        }
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

    /// The key `rate` of a receiver: the kind's limits with what the configuration says in their place. `None` means that
    /// something in it was reported.
    pub fn read(receiver: &Section<'_>, kind: &str) -> Option<Rate> {
        let known = Rate::of_kind(kind);
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
    fn every_kind_has_limits_that_make_sense() {
        for kind in crate::notify::KINDS {
            let rate = Rate::of_kind(kind);
            assert_eq!(rate.is_unlimited(), ["webhook", "email"].contains(&kind), "{kind}");
            if let Some(minute) = rate.per_minute {
                // Some room is left for what comes after the burst, and a low limit leaves some for what is critical.
                assert!(rate.burst >= 2 && rate.burst <= minute / 2, "{kind}");
                assert!(rate.penalty >= Duration::from_secs(60), "{kind}");
            }
        }
    }

    #[test]
    fn two_that_share_a_destination_keep_to_the_stricter() {
        let slack = Rate::of_kind("slack");
        let slow = Rate { per_second: Some(1), per_minute: Some(5), burst: 1, penalty: Duration::from_secs(10) };
        let both = Rate { penalty: Duration::from_secs(60), ..slow };
        assert_eq!(slack.stricter(slow), both);
        assert_eq!(slow.stricter(slack), both);
        assert_eq!(Rate::UNLIMITED.stricter(slack), slack);
    }
}
