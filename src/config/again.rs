//! `repeat` and `loop` of a rule: what still fires is told again, alert by alert, or by all the steps of `notify`.

use std::time::Duration;

use super::notify::Notify;
use crate::limits::{ESCALATION_AFTER_MAX, ESCALATION_ROUNDS_MAX, GROUP_REPEAT_MAX, GROUP_REPEAT_MIN};
use crate::rule::{Grouping, Rounds};
use crate::yaml::{Key, Keys, Section, Shape, Value, duration_text};

/// `repeat` of a rule.
pub(super) const REPEAT: Key = Key::new(
    "repeat",
    Shape::Duration,
    "After how long without a message an alert that still fires is sent again, until somebody acknowledges it. With a group, \
     what still fires of it is sent again together.",
)
.example("4h");

/// `loop` of a rule.
pub(super) const LOOP: Key = Key::new(
    "loop",
    Shape::Mapping(&LOOP_KEYS),
    "Has the steps of notify begin anew until somebody acknowledges the alert.",
);

static LOOP_KEYS: Keys = Keys::of(
    "loop",
    "How often the steps begin anew while the alert fires and nobody has acknowledged it.",
    &[&[
        Key::new("every", Shape::Duration, "How long after the beginning of one round the next one begins.")
            .required()
            .example("1h"),
        Key::new("times", Shape::Whole, "How many rounds there are behind the first, at most 50.").default("3"),
    ]],
);

/// Reads `repeat`; what it says of a group is put into that.
pub(super) fn read_repeat(rule: &Section<'_>, group: &mut Option<Grouping>) -> Option<Duration> {
    let repeat = rule.optional::<Duration>("repeat")?;
    let help = Some("people look at what is said seldom: 4h is usual".to_string());
    if repeat > GROUP_REPEAT_MAX {
        let message = format!("{} is more than {}", duration_text(repeat), duration_text(GROUP_REPEAT_MAX));
        rule.error("repeat", message, None);
        return None;
    }
    let least = group.as_ref().map_or(Duration::ZERO, |group| group.interval).max(GROUP_REPEAT_MIN);
    if repeat < least {
        rule.error("repeat", format!("{} is less than {}", duration_text(repeat), duration_text(least)), help);
        return None;
    }
    match group {
        Some(Grouping { repeat: Some(_), .. }) => {
            let help = Some("leave one of them out".to_string());
            rule.error("repeat", "the group says already after how long it is sent again", help);
            None
        }
        Some(group) => {
            group.repeat = Some(repeat);
            None
        }
        None => Some(repeat),
    }
}

/// Reads `loop` of a rule that tells `notify`.
pub(super) fn read_loop(rule: &Section<'_>, notify: Option<&Notify>) -> Option<Rounds> {
    let node = rule.node("loop")?;
    if !matches!(node.value, Value::Map(_)) {
        rule.error(
            "loop",
            "expected a mapping with \"every\" and \"times\"",
            Some("write loop: { every: 1h, times: 3 }".into()),
        );
        return None;
    }
    let section = rule.section("loop")?;
    let (every, times) = (section.required::<Duration>("every"), section.or_default::<u32>("times"));
    let rounds = every.and_then(|every| sound(rule, &section, notify?, Rounds { every, times }));
    section.close();
    rounds
}

/// The rounds, if nothing is wrong with them.
fn sound(rule: &Section<'_>, section: &Section<'_>, notify: &Notify, rounds: Rounds) -> Option<Rounds> {
    let Rounds { every, times } = rounds;
    if !(1..=ESCALATION_ROUNDS_MAX).contains(&times) {
        section.error("times", format!("{times} is not between 1 and {ESCALATION_ROUNDS_MAX}"), None);
        return None;
    }
    let least = GROUP_REPEAT_MIN;
    if every < least {
        section.error("every", format!("{} is less than {}", duration_text(every), duration_text(least)), None);
        return None;
    }
    let Notify { hours, later, .. } = notify;
    let last = later.last().map_or(Duration::ZERO, |step| step.after);
    if every <= last {
        let message = format!("a round is not over by then: its last step notifies after {}", duration_text(last));
        section.error("every", message, Some("write more than that".into()));
        return None;
    }
    if every.saturating_mul(times) + last > ESCALATION_AFTER_MAX {
        let message = format!("{times} rounds take more than {}", duration_text(ESCALATION_AFTER_MAX));
        section.error("times", message, Some("write fewer".into()));
        return None;
    }
    if hours.iter().any(|step| step.hours.hold.is_some()) {
        let help = Some("leave out the loop, or what holds back the first step".to_string());
        rule.error("loop", "what is held back is sent hours later, and no step counts from that", help);
        return None;
    }
    Some(rounds)
}
