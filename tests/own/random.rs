//! Random courses of a source and a receiver, with restarts: at most one episode at a time, each told at most once and
//! ended at most once, and what fires at the end is what is wrong then.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::alert::own::{self, Ailment, OwnSeen, ReceiverSeen, SourceSeen, Watch};
use nightbell::model::{Alert, ReceiverId, SourcePart};
use proptest::prelude::*;

use crate::sample::{at, source};

fn alert_of<'a>(all: &'a [Alert], rule: &str) -> Option<&'a Alert> {
    all.iter().find(|alert| alert.rule.as_str() == rule)
}

proptest! {
    #[test]
    fn episodes_follow_what_is_seen(steps in proptest::collection::vec((0u8..4, 0u8..4, 1i64..40), 1..60)) {
        let watch = Watch {
            notify: vec![ReceiverId::new("oncall"), ReceiverId::new("team")],
            unreadable_after: Duration::from_secs(15 * 60),
            source_unreadable: true, source_incomplete: true, receiver_dead: true, reload_refused: true,
            loop_failing: true, replica_outdated: true,
        };
        let mut now = at(0);
        let (mut firing, mut ids): (Vec<Alert>, Vec<Alert>) = (Vec::new(), Vec::new());
        let (mut unreadable, mut incomplete, mut ailment) = (None, None, None);
        for (source_step, receiver_step, minutes) in steps {
            now += SignedDuration::from_mins(minutes);
            match source_step {
                0 => (unreadable, incomplete) = (None, None),
                1 => unreadable = unreadable.or(Some((now, "out".to_string()))),
                2 => (unreadable, incomplete) = (None, incomplete.or(Some((now, "in part".to_string())))),
                _ => {}
            }
            match receiver_step {
                0 => ailment = None,
                1 | 2 => {
                    let before: Option<Ailment> = ailment.take();
                    let since = before.map_or(now, |before| before.since);
                    ailment = Some(Ailment { since, is_lasting: receiver_step == 2, error: "no".into() });
                }
                _ => {}
            }
            let seen = OwnSeen {
                sources: vec![SourceSeen {
                    source: SourcePart { id: source(), kind: "dataarts".into() },
                    // The step after a restart, in which nobody has asked yet.
                    was_asked: source_step != 3,
                    unreadable: unreadable.clone(),
                    incomplete: incomplete.clone(),
                    past: Vec::new(),
                }],
                receivers: vec![ReceiverSeen { id: ReceiverId::new("oncall"), ailment: ailment.clone() }],
                refused: None,
                loops: Vec::new(),
                outdated: Vec::new(),
            };
            let decided = own::decide(&watch, &seen, &firing, now);
            prop_assert!(decided.changed.is_empty());
            for ended in &decided.ended {
                let at = firing.iter().position(|alert| alert.id == ended.id);
                prop_assert!(at.is_some(), "what does not fire cannot end");
                firing.remove(at.unwrap());
                prop_assert!(ended.facts.alert.ends_at >= Some(ended.facts.alert.starts_at));
            }
            for begun in decided.begun {
                prop_assert!(firing.iter().all(|alert| alert.rule != begun.rule), "two at once");
                prop_assert!(ids.iter().all(|alert| alert.id != begun.id), "the same episode twice");
                prop_assert!(begun.rule.as_str() != own::RECEIVER_DEAD || begun.receivers == [ReceiverId::new("team")]);
                ids.push(begun.clone());
                firing.push(begun);
            }
            let again = own::decide(&watch, &seen, &firing, now);
            prop_assert!(again.begun.is_empty() && again.ended.is_empty(), "looking again changes nothing");
            if source_step != 3 {
                let lasted = |since: Timestamp| now.duration_since(since) >= SignedDuration::from_mins(15);
                let expected = unreadable.as_ref().is_some_and(|(since, _)| lasted(*since));
                prop_assert_eq!(alert_of(&firing, own::SOURCE_UNREADABLE).is_some(), expected);
            }
            if ailment.is_none() {
                prop_assert!(alert_of(&firing, own::RECEIVER_DEAD).is_none());
            }
        }
    }
}
