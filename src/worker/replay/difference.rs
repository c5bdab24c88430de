//! What one version of the rules tells, and another does not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::telling::Telling;
use crate::model::{ReceiverId, RuleId, SourceId};

/// One telling that the two versions do not share.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What is told; where both tell it, as the new version does.
    pub telling: Telling,
    /// Whom the difference concerns.
    pub receivers: BTreeSet<ReceiverId>,
    /// What differs.
    pub how: How,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Only the old version tells it.
    OnlyOld,
    /// Only the new version tells it.
    OnlyNew,
    /// Both tell it; the old one did at this time.
    Moved(Timestamp),
}

/// What is told of: a beginning, its going further by a step, or an end, of one rule for one subject.
type Subject<'a> = (&'a SourceId, &'a str, Option<&'a str>, &'a RuleId, bool, Option<u32>);

/// Everything that the versions tell differently, in the order of time. Tellings are the same when they are of the same
/// rule and subject, and are as many before them.
pub fn differences(old: &[Telling], new: &[Telling]) -> Vec<Difference> {
    let (old, new) = (by_subject(old), by_subject(new));
    let subjects: BTreeSet<&Subject<'_>> = old.keys().chain(new.keys()).collect();
    let mut differences = Vec::new();
    for subject in subjects {
        let [mut old, mut new] = [&old, &new].map(|all| all.get(subject).into_iter().flatten().copied());
        loop {
            let (before, after) = (old.next(), new.next());
            if before.is_none() && after.is_none() {
                break;
            }
            compare(before, after, &mut differences);
        }
    }
    differences.sort_by(|one, other| {
        let order = |it: &Difference| (it.telling.at, it.telling.rule.clone(), it.telling.job.clone());
        order(one).cmp(&order(other))
    });
    differences
}

fn by_subject(tellings: &[Telling]) -> BTreeMap<Subject<'_>, Vec<&Telling>> {
    let mut all: BTreeMap<Subject<'_>, Vec<&Telling>> = BTreeMap::new();
    for telling in tellings {
        let (job, instance) = (telling.job.as_str(), telling.instance.as_deref());
        let subject = (&telling.source, job, instance, &telling.rule, telling.is_end(), telling.step);
        all.entry(subject).or_default().push(telling);
    }
    all
}

fn compare(old: Option<&Telling>, new: Option<&Telling>, into: &mut Vec<Difference>) {
    let receivers = |telling: Option<&Telling>| telling.map(Telling::receivers).unwrap_or_default();
    let (before, after) = (receivers(old), receivers(new));
    let mut push = |telling: Option<&Telling>, receivers: BTreeSet<ReceiverId>, how: How| {
        if let Some(telling) = telling.filter(|_| !receivers.is_empty()) {
            into.push(Difference { telling: telling.clone(), receivers, how });
        }
    };
    push(old, before.difference(&after).cloned().collect(), How::OnlyOld);
    push(new, after.difference(&before).cloned().collect(), How::OnlyNew);
    if let (Some(old), Some(new)) = (old, new)
        && old.at != new.at
    {
        push(Some(new), before.intersection(&after).cloned().collect(), How::Moved(old.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AlertId, MessageKind, Severity};

    fn telling(minute: i64, job: &str, rule: &str, receivers: &[&str]) -> Telling {
        Telling {
            at: Timestamp::from_second(1_800_000_000 + minute * 60).unwrap(),
            alert: AlertId::new(format!("{minute}-{job}-{rule}")),
            rule: RuleId::new(rule),
            severity: Severity::Error,
            kind: MessageKind::AlertFiring,
            step: None,
            source: SourceId::new("warehouse"),
            job: job.into(),
            instance: Some("1".into()),
            summary: String::new(),
            messages: receivers.iter().map(|id| (ReceiverId::new(*id), Default::default())).collect(),
        }
    }

    /// Each as "minute job how receivers".
    fn told(old: &[Telling], new: &[Telling]) -> Vec<String> {
        let minute = |at: Timestamp| (at.as_second() - 1_800_000_000) / 60;
        let line = |it: &Difference| {
            let how = match it.how {
                How::OnlyOld => "-".to_string(),
                How::OnlyNew => "+".to_string(),
                How::Moved(from) => format!("from {}", minute(from)),
            };
            let receivers: Vec<&str> = it.receivers.iter().map(ReceiverId::as_str).collect();
            format!("{} {} {how} {}", minute(it.telling.at), it.telling.job, receivers.join(","))
        };
        differences(old, new).iter().map(line).collect()
    }

    #[test]
    fn what_differs_is_told_for_each_receiver() {
        let old = [telling(1, "a", "r", &["x", "y"]), telling(2, "b", "r", &["x"]), telling(9, "b", "r", &["x"])];
        assert!(told(&old, &old).is_empty());
        let new = [telling(1, "a", "r", &["y", "z"]), telling(5, "b", "r", &["x"]), telling(6, "c", "r", &["x"])];
        assert_eq!(told(&old, &new), ["1 a - x", "1 a + z", "5 b from 2 x", "6 c + x", "9 b - x"]);
        assert_eq!(told(&[], &old).len(), 3);
        // Another rule is another telling.
        assert_eq!(told(&old[..1], &[telling(1, "a", "s", &["x", "y"])]), ["1 a - x,y", "1 a + x,y"]);
        // A step is another telling, and not the subject's next time.
        let step = |minute| Telling { step: Some(2), ..telling(minute, "b", "r", &["y"]) };
        let with_step = [old[1].clone(), step(7), old[2].clone()];
        assert_eq!(told(&old[1..], &with_step), ["7 b + y"]);
        assert_eq!(told(&with_step, &[old[1].clone(), step(8), old[2].clone()]), ["8 b from 7 y"]);
    }
}
