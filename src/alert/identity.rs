//! Names of episodes and deliveries.
//!
//! # Design
//! A name is a digest of what it names, not a counter: after a restart, or a restored backup, the same failure gets
//! the same name, so a receiver that was told already can tell. The parts are hashed with their lengths, so that no
//! two different tuples can run together into the same text.
//!
//! An episode is told apart from an earlier one of the same instance by the run's own times, because a rerun has new
//! ones. Should a source show a second failure with the very times of the first, the caller counts up the ordinal.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::coding::hex;
use crate::limits::ESCALATION_STEPS_MAX;
use crate::model::{
    AlertId, DeliveryId, Instance, Job, MessageKind, Notification, ReceiverId, RuleId, Snapshot, SourceId,
};

/// The name of the episode that begins with `rule` holding for `instance` as it is now. `ordinal` is 1 but for a
/// second episode with the same times. A condition that outlasts the end of the run (`spans_end`: a duration) leaves
/// the end out, so that the run's end begins nothing new.
pub fn alert_id(instance: &Instance, rule: &RuleId, spans_end: bool, ordinal: u32) -> AlertId {
    let start = time_text(instance.start_time);
    let end = if spans_end { "-".to_string() } else { time_text(instance.end_time) };
    let ordinal = ordinal.to_string();
    AlertId::new(digest(&[
        instance.source.as_str(),
        &instance.job.name,
        &instance.id,
        rule.as_str(),
        &start,
        &end,
        &ordinal,
    ]))
}

/// The name of the episode that begins with `rule` holding for `job` as it is now. `ordinal` counts the episodes that
/// began since the job was started.
pub fn job_alert_id(job: &Job, rule: &RuleId, ordinal: u32) -> AlertId {
    let start = time_text(job.start_time);
    let ordinal = ordinal.to_string();
    AlertId::new(digest(&[job.source.as_str(), &job.name, "", rule.as_str(), &start, "-", &ordinal]))
}

/// The name of the episode that begins when `rule` finds that what was due at `due` did not come to pass. `instance` is
/// the run concerned, or empty where there is none. The due time stands in the place of the run's own times.
pub fn due_alert_id(source: &SourceId, job: &str, instance: &str, rule: &RuleId, due: Timestamp) -> AlertId {
    let due = time_text(Some(due));
    AlertId::new(digest(&[source.as_str(), job, instance, rule.as_str(), "due", &due]))
}

/// The name of the episode that begins when too many of a job's runs have failed: these, with their times. A run due
/// earlier may be the one that fails last, so the newest of them would not tell two episodes apart.
pub fn rate_alert_id(source: &SourceId, job: &str, rule: &RuleId, failed: &[(&str, &Snapshot)]) -> AlertId {
    let mut parts: Vec<String> = [source.as_str(), job, "", rule.as_str(), "rate"].map(str::to_string).to_vec();
    for (id, run) in failed {
        parts.extend([(*id).to_string(), time_text(run.start_time), time_text(run.end_time)]);
    }
    AlertId::new(digest(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The name of the episode that begins when `rule`, one of Nightbell's own, finds `subject` of `source` in trouble since
/// `since`. No rule of a user's and no source has such a name, so it meets none of the others.
pub fn own_alert_id(rule: &str, source: &SourceId, subject: &str, since: Timestamp) -> AlertId {
    AlertId::new(digest(&[rule, source.as_str(), subject, &time_text(Some(since))]))
}

/// The name of the episode that begins when an alert has ended because none of its receivers was left, and its condition
/// still holds.
pub fn readdressed_alert_id(alert: &AlertId) -> AlertId {
    AlertId::new(digest(&[alert.as_str(), "readdressed"]))
}

/// The name of the delivery that tells `receiver` that the deadline it was warned of has passed.
pub fn overdue_delivery_id(alert: &AlertId, receiver: &ReceiverId) -> DeliveryId {
    DeliveryId::new(digest(&[alert.as_str(), receiver.as_str(), MessageKind::AlertFiring.as_str(), "overdue"]))
}

/// The name of the delivery by which a later step, counted from 2, tells `receiver` of `alert`.
pub fn escalation_id(alert: &AlertId, receiver: &ReceiverId, step: u32) -> DeliveryId {
    let parts = [alert.as_str(), receiver.as_str(), "step", &step.to_string(), MessageKind::AlertFiring.as_str()];
    DeliveryId::new(digest(&parts))
}

/// Which later step of its rule made this delivery; none of a first telling, or of what is no beginning.
pub fn escalation_step(delivery: &Notification) -> Option<u32> {
    let alert = delivery.alert.as_ref().filter(|_| delivery.kind == MessageKind::AlertFiring)?;
    (2..).take(ESCALATION_STEPS_MAX - 1).find(|step| escalation_id(alert, &delivery.receiver, *step) == delivery.id)
}

/// The name of the delivery that tells `receiver` of `alert`.
pub fn delivery_id(alert: &AlertId, receiver: &ReceiverId, kind: MessageKind) -> DeliveryId {
    DeliveryId::new(digest(&[alert.as_str(), receiver.as_str(), kind.as_str()]))
}

/// The name of the delivery that tells `receiver` who acknowledged `alert` at an instant, or that it is not acknowledged any
/// more since.
pub fn ack_delivery_id(alert: &AlertId, receiver: &ReceiverId, kind: MessageKind, at: Timestamp) -> DeliveryId {
    DeliveryId::new(digest(&[alert.as_str(), receiver.as_str(), kind.as_str(), &time_text(Some(at))]))
}

/// The name of the delivery that tells `fallback` of `alert` because `receiver` could not be told.
pub fn fallback_id(alert: &AlertId, receiver: &ReceiverId, fallback: &ReceiverId, kind: MessageKind) -> DeliveryId {
    DeliveryId::new(digest(&[alert.as_str(), receiver.as_str(), fallback.as_str(), kind.as_str()]))
}

/// The name of the delivery that tells `receiver` of what these deliveries were to tell it, all at once; their order is no matter.
pub fn group_id(receiver: &ReceiverId, members: &[DeliveryId]) -> DeliveryId {
    let mut parts: Vec<&str> = members.iter().map(DeliveryId::as_str).collect();
    parts.sort_unstable();
    parts.extend([receiver.as_str(), MessageKind::AlertGroup.as_str()]);
    DeliveryId::new(digest(&parts))
}

/// The name of the delivery that tells `receiver` again what the group `key` was last told at an instant; `part` counts
/// the messages that it takes.
pub fn reminder_id(receiver: &ReceiverId, key: &str, last_told_at: Timestamp, part: usize) -> DeliveryId {
    let last = time_text(Some(last_told_at));
    DeliveryId::new(digest(&["reminder", key, receiver.as_str(), &last, &part.to_string()]))
}

/// The name of the delivery that brings `receiver` the digest that ends at `until`. It ends in a
/// number, and no alert's delivery does: the two cannot meet.
pub fn digest_delivery_id(digest: &str, receiver: &ReceiverId, until: i64) -> DeliveryId {
    DeliveryId::new(self::digest(&["digest", digest, receiver.as_str(), &until.to_string()]))
}

fn time_text(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_string(), |time| time.as_millisecond().to_string())
}

/// 128 bits of SHA-256 over the parts and their lengths, in hexadecimal.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::digest;

    proptest! {
        /// Different tuples get different names, also when separators move between the parts.
        #[test]
        fn tuples_never_run_together(
            a in proptest::collection::vec("[a/:\u{0}é-]{0,4}", 3),
            b in proptest::collection::vec("[a/:\u{0}é-]{0,4}", 3),
        ) {
            let digest_of = |parts: &[String]| digest(&parts.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(a == b, digest_of(&a) == digest_of(&b));
        }
    }

    /// The names are part of the contract with receivers: an upgrade must not change them.
    #[test]
    fn names_are_stable() {
        assert_eq!(digest(&["warehouse", "etl_orders", "34765"]), "46030c6510f53efe0e5acec09eef2c17");
    }
}
