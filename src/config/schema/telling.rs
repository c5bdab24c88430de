//! The keys that say how alerts are told: steps of `notify`, `group`, and `inhibit`.

use serde_json::{Value, json};

use super::rules::alert_match;
use super::values::{Key, duration, key, mapping, must, one_or_many, or_text, texts, word};
use crate::limits::ESCALATION_STEPS_MAX;
use crate::rule::GroupBy;
use crate::rule::inhibit::Shared;

/// `notify` of a rule: names, or steps.
pub(super) fn notify_or_steps() -> Key {
    // There are so many steps at most; of names there may be more.
    let mut steps =
        vec![or_text(mapping("Who is told later, while the alert still fires.", step(true))); ESCALATION_STEPS_MAX];
    steps[0] = or_text(mapping("Who is told at once.", step(false)));
    let steps = json!({ "type": ["string", "number", "boolean", "array"], "prefixItems": steps });
    let says =
        "Whom to tell: names from \"receivers\", or steps: [{ to: oncall }, { after: 30m, unless: acked, to: lead }].";
    key("notify", steps, says)
}

fn step(is_later: bool) -> [Key; 3] {
    let after = key("after", duration(), "How long after the first telling; not in the first step.");
    [
        must("to", texts(), "The receivers."),
        if is_later { after.required() } else { after },
        key("unless", word(&["acked"]), "acked: nobody is told when somebody has acknowledged the alert."),
    ]
}

/// `group` of a rule.
pub(super) fn group() -> Key {
    let by = word(&GroupBy::ALL.map(GroupBy::as_str));
    let by = json!({ "anyOf": [one_or_many(&by), { "type": "array", "maxItems": 0 }] });
    let span = || json!({ "anyOf": [duration(), { "enum": [0, "0", "0s"] }] });
    let keys = [
        key("by", by, "What the alerts of a group share. Without it all are one group."),
        key("wait", span(), "How long the first alert waits for others. Default: 30s."),
        key("interval", span(), "How often a group is told at most. Default: 5m."),
        key(
            "repeat",
            duration(),
            "How long after the last telling it is told again what still fires. Without it, never.",
        ),
    ];
    let says = "One message for many alerts.";
    key("group", mapping(says, keys), says)
}

/// One of `inhibit`.
pub(super) fn inhibition() -> Value {
    let shared = word(&Shared::ALL.map(Shared::as_str));
    let keys = [
        must("by", alert_match(), "The alerts upstream."),
        must("match", alert_match(), "The alerts that they hold back."),
        key("equal", one_or_many(&shared), "What both must have in common."),
    ];
    mapping("While an alert upstream fires, those that only follow from it are not told.", keys)
}
