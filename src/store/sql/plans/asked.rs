//! Everything that loops and whoever looks ask a store again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::lists;
use crate::digest::{Limits, Tally};
use crate::model::{
    Alert, AlertId, Attempt, AttemptOutcome, Content, DeliveryId, DeliveryState, Escalation, GapCause, GapPart,
    GroupPlace, InstanceKey, MessageKind, Notification, PollOutcome, RuleId, RuleStep, SilenceId, SourceId, StepTaken,
};
use crate::store::access::Access as _;
use crate::store::archive::Archive as _;
use crate::store::board::{Board, Place};
use crate::store::counts::Counts as _;
use crate::store::deliveries::Deliveries as _;
use crate::store::desk::Desk as _;
use crate::store::digests::{DigestCommit, DigestCursor, Digests as _, Since};
use crate::store::error::StoreError;
use crate::store::escalation::Steps as _;
use crate::store::fallback::{FallbackDeliveries as _, FallbackDelivery, KnownReceiver};
use crate::store::groups::Groups as _;
use crate::store::inquiry::Inquiry as _;
use crate::store::leases::{Fence, Leases as _, Replica};
use crate::store::ledger::{PollCommit, PollLedger};
use crate::store::outbox::{Hurried, Outbox as _, Settled};
use crate::store::own::{OwnAlerts as _, OwnCommit};
use crate::store::sql::database::SqlStore;
use crate::store::upkeep::{KeptRuns, Upkeep as _};
use crate::template::sample_digest;

/// What loops and whoever looks read.
pub(super) async fn ask_everything(store: &SqlStore) -> Result<(), StoreError> {
    let (source, alert, delivery) = (SourceId::new("warehouse"), AlertId::new("a"), DeliveryId::new("d"));
    let now = Timestamp::from_second(1_795_224_000).unwrap();
    store.generation(&source).await?;
    store.load_source(&source).await?;
    store.snapshots(&source, &[InstanceKey { job: "etl_told".into(), id: "1".into() }]).await?;
    store.known_jobs(&source, &BTreeSet::from(["etl_told".to_string()])).await?;
    PollLedger::runs_between(store, &source, now, now).await?;
    store.planned_jobs(&source, now, now).await?;
    store.known_alerts(std::slice::from_ref(&alert)).await?;
    store.counted_runs(&source, &["etl_told".into()], 5).await?;
    store.past_runs(&source, &["etl_told".into()], 5).await?;
    let alerts: Vec<Alert> = store.told_and_firing(std::slice::from_ref(&source), 5).await?;
    assert!(!alerts.is_empty(), "the store has an alert that fires");
    store.lately(&alerts.iter().collect::<Vec<_>>(), now).await?;
    store.told_and_firing(std::slice::from_ref(&source), 5).await?;
    for receiver in ["hook", "mail"].map(Into::into) {
        store.queue(&receiver, now, 5).await?;
        store.next_due(&receiver, now).await?;
        store.count_queue(&receiver, now).await?;
        store.count_due(&receiver, now).await?;
        for group in store.due_groups(&receiver, now, now).await? {
            store.gathered(&receiver, &group.place.key, 5).await?;
            store.postpone_group(&receiver, &group.place.key, now).await?;
        }
        store.undelivered(&receiver, (now, now), 5, now).await?;
        store.oldest_undelivered(&receiver).await?;
        store.ended_since_told(&receiver, 5).await?;
        let claimed: Vec<DeliveryId> =
            store.claim(&receiver, now, 5).await?.into_iter().map(|one| one.notification.id).collect();
        store.mergeable(&claimed).await?;
        store.release(&claimed).await?;
    }
    store.attempts_since(now).await?;
    store.told_by(&delivery).await?;
    store.facts_of(&delivery).await?;
    store.digest_of(&delivery).await?;
    store.tell_alone(&[delivery], now).await?;
    store.unrepeated(now).await?;
    let after = Duration::from_secs(60);
    let step = RuleStep { rule: RuleId::new("failed"), number: 2, after, unless_acked: true };
    store.due_steps(std::slice::from_ref(&step), (now, now), None, 5).await?;
    store.next_step(&[step], now).await?;
    store.escalated_ends(5).await?;
    store.active_silences(now).await?;
    store.job_names(Some(&source)).await?;
    store.job_names(None).await?;
    store.acks().await?;
    store.alerts_named("a").await?;
    store.told(std::slice::from_ref(&alert)).await?;
    store.told_in_group(&alert).await?;
    let ack = Notification {
        follows: Some(DeliveryId::new("d")),
        ..Notification::new("ack".into(), "hook".into(), MessageKind::AlertUnacknowledged, Content::default(), now)
    };
    store.unack_and_tell(std::slice::from_ref(&alert), "kim", now, &[ack]).await?;
    store.action_page(None, 5).await?;
    store.action_page(Some(&Place { at: now, id: "x".into() }), 5).await?;
    store.closed_between(now, now).await?;
    store.actions_on_alert(&alert).await?;
    store.actions_on_deliveries(&[DeliveryId::new("d")]).await?;
    Board::alerts_of(store, std::slice::from_ref(&alert)).await?;
    Board::told_when(store, std::slice::from_ref(&alert)).await?;
    Board::told_counts(store, &[DeliveryId::new("d")]).await?;
    Board::alerts_told_by(store, &[DeliveryId::new("d")]).await?;
    store.own_state(now).await?;
    store.gauges(now).await?;
    store.firing_counts().await?;
    store.open_counts().await?;
    Board::counts_of(store, &source, "etl_told", (now, 0)).await?;
    Board::read_span(store, &source, now).await?;
    store.token("t", now).await?;
    store.session("s", now).await?;
    store.digest_cursor("hourly").await?;
    store.reclaim(now).await?;
    store.purge(now, &KeptRuns::default(), &TimeZone::UTC).await?;
    Ok(())
}

/// What the page and the API read.
pub(super) async fn look_at_pages(store: &SqlStore) -> Result<(), StoreError> {
    let (source, job, alert) = (SourceId::new("warehouse"), "job7", AlertId::new("a150000"));
    let now = Timestamp::from_second(1_796_574_000).unwrap();
    let (before, place) = (now - Duration::from_secs(12 * 3600), Place { at: now, id: "r150000".into() });
    for (ask, _) in lists::of_alerts() {
        store.alert_page(&ask, 5).await?;
    }
    for (ask, _) in lists::of_deliveries() {
        store.delivery_page(&ask, 5).await?;
    }
    store.alert(&alert).await?;
    store.acks_of(std::slice::from_ref(&alert)).await?;
    store.steps_of(&alert).await?;
    store.job_page(&source, "", 5).await?;
    store.job_page(&source, job, 5).await?;
    store.run_page(&source, job, None, 5).await?;
    store.run_page(&source, job, Some(&place), 5).await?;
    store.open_runs(5).await?;
    Board::runs_between(store, &source, (before, now), 5).await?;
    store.days_of(&source, job, 21_000).await?;
    store.silences().await?;
    store.silence(SilenceId(1)).await?;
    store.delivery_record(&DeliveryId::new("filled150000")).await?;
    store.load_learnt(&source).await?;
    store.jobs_of(&source).await?;
    store.run_named(&source, job, "r150000").await?;
    store.runs_named(&source, "r150000", job, 10).await?;
    store.alerts_about(&source, job, 5).await?;
    store.deliveries_of(&alert, 5).await?;
    store.looked_at(&source).await?;
    let runs = store.runs_of(&source, job, 5).await?;
    let known = store.runs_of(&source, "etl_told", 5).await?;
    let run = runs.first().or(known.first()).expect("the store has a run");
    store.alerts_about_run(run, 5).await?;
    store.transitions(&source, &run.job.name, &run.id).await?;
    Ok(())
}

/// Makes a digest.
pub(super) async fn sum_up(store: &SqlStore) -> Result<(), StoreError> {
    let now = Timestamp::from_second(1_799_000_000).unwrap();
    let from = store.begin_digest("asked", now).await?;
    for since in [Since::Sequence(from.sequence - 5), Since::Ago(Duration::from_secs(86_400))] {
        let selects = Box::new(|_: &SourceId, _: &str, _| true);
        let mut tally = Tally::new([SourceId::new("warehouse")], selects, Limits::default(), TimeZone::UTC, now);
        store.tally(since, &mut tally).await?;
    }
    let to = DigestCursor { sequence: from.sequence + 1, made_at: now, due_at: now };
    let message = Notification::new("digest".into(), "hook".into(), MessageKind::Digest, Content::default(), now);
    let facts = sample_digest(now).digest().cloned().expect("a digest");
    store.commit_digest(&DigestCommit { name: "asked".into(), from, to, facts, deliveries: vec![message] }).await
}

/// Writes what polls, lanes and the other loops write, and what they read for that.
pub(super) async fn write_everything(store: &SqlStore) -> Result<(), StoreError> {
    let (source, now) = (SourceId::new("warehouse"), Timestamp::from_second(1_795_224_000).unwrap());
    let of_hook =
        |id: &str| Notification::new(id.into(), "hook".into(), MessageKind::AlertFiring, Content::default(), now);
    let alert = store.told_and_firing(std::slice::from_ref(&source), 1).await?.remove(0);
    let named = |id: &str| Alert { id: AlertId::new(id), ..alert.clone() };
    let group = GroupPlace { key: "g".into(), interval: Duration::ZERO, repeat: None, told_at: None };
    let gathers = |id: &str| Notification { group: Some(group.clone()), ..of_hook(id).about(&alert) };
    let poll = PollCommit {
        source: source.clone(),
        generation: store.generation(&source).await?,
        now,
        covered: store.load_source(&source).await?.covered,
        outcome: PollOutcome::Whole,
        incomplete: Some("3 of 4 instances could be read".into()),
        known_rules: Some(BTreeSet::from(["failed".to_string()])),
        instances: Vec::new(),
        fired: vec![named("of-poll")],
        changed: vec![alert.clone()],
        deliveries: vec![of_hook("p1").about(&alert)],
    };
    let rendered = [vec![of_hook("p2").about(&alert), of_hook("p3").about(&alert)], vec![gathers("p4"), gathers("p5")]];
    store.commit_rendering(&poll, &mut rendered.into_iter()).await?;
    store.record_unreadable(&source, now, "no answer").await?;
    store.firing_elsewhere(&["other".into()]).await?;
    let deliveries = vec![of_hook("o1")];
    let own = OwnCommit { now, fired: vec![named("own")], changed: vec![named("of-poll")], deliveries };
    store.commit_own(&own).await?;
    let whole = Notification { kind: MessageKind::AlertGroup, ..of_hook("whole") };
    assert!(store.merge(&whole, &["p4".into(), "p5".into()]).await?, "two are told as one");
    let part = GapPart {
        source: source.clone(),
        cause: GapCause::Unreadable,
        from: now,
        until: Some(now + Duration::from_secs(60)),
        reason: "nobody asked".into(),
        runs: None,
        failed: None,
    };
    store.record_gap(&part, now).await?;
    let learnt = |zone: &str| BTreeMap::from([("zone".to_string(), zone.to_string())]);
    store.save_learnt(&source, &learnt("CET"), &learnt("UTC")).await?;
    for is_reload in [false, true] {
        store.begin_generation("asked", is_reload, now).await?;
    }
    store.beat(now).await?;
    for spares_throttled in [false, true] {
        let which = Hurried { attempted_before: now, spares_throttled, except: vec!["d".into()] };
        store.hurry(&"hook".into(), &which, now).await?;
    }
    store.pending().await?;
    let claimed = store.claim(&"hook".into(), now, 99).await?;
    assert!(claimed.len() >= 4, "{claimed:?}");
    let settled = claimed.iter().enumerate().map(|(at, one)| Settled {
        id: one.notification.id.clone(),
        attempt_number: one.attempts + 1,
        started_at: now,
        ended_at: now,
        attempt: if at == 0 {
            Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), "no_service")
        } else {
            Attempt::delivered("200")
        },
        state: if at == 0 { DeliveryState::Dead } else { DeliveryState::Delivered },
        last_error: None,
        next_attempt_at: None,
        patience_spent: Duration::ZERO,
    });
    store.settle(&settled.collect::<Vec<_>>()).await?;
    store.tell_again(&[of_hook("again")]).await?;
    store.rewrite(&"again".into(), &Content::default(), "webhook").await?;
    store.reject(&"again".into(), "it can never be sent").await?;
    let note = Escalation { step: 9, after_ms: 0, told: Vec::new(), unreached: Vec::new(), acked_by: None };
    let deliveries = vec![of_hook("step").about(&alert)];
    let taken = StepTaken { alert: alert.id.clone(), number: 9, unless_acked: true, note, deliveries };
    store.take_steps(&[taken], now).await?;
    let original = claimed[0].notification.id.clone();
    store.add_fallbacks(&[FallbackDelivery { original, delivery: of_hook("instead").about(&alert) }]).await?;
    store.add_answers(&[of_hook("answer").about(&alert)]).await?;
    store.owe_ends(&[(alert.id.clone(), "hook".into())]).await?;
    let ends = store.escalated_ends(5).await?;
    store.settle_ends(&ends).await?;
    let known = |id: &str| KnownReceiver { id: id.into(), fallback: None };
    store.keep_receivers(&[known("hook"), known("gone")], None, now).await?;
    store.keep_receivers(&[known("hook")], None, now).await?;
    store.sources().await?;
    store.backlog().await?;
    Ok(())
}

/// Takes, renews and gives up a lease, and takes over by it.
pub(super) async fn hold_everything(store: &SqlStore) -> Result<(), StoreError> {
    let (now, long) = (Timestamp::from_second(1_795_224_000).unwrap(), Duration::from_secs(600));
    let me = Replica {
        id: "me".into(),
        host: "here".into(),
        pid: 1,
        version: "1".into(),
        clock_ahead_ms: 0,
        configuration: 1,
        fingerprint: "f".into(),
    };
    store.look(Some(&me)).await?;
    let name = "deliver/hook".to_string();
    assert!(!store.is_one_free(std::slice::from_ref(&name)).await?, "nobody has ever had it");
    let fence: Fence = store.take(&[name], &me, long).await?.pop().expect("nobody else is there");
    store.renew(&[(fence.clone(), Some("looks".into()))], 1, long).await?;
    let held = store.fenced(fence.clone());
    held.inherit(&"hook".into(), now).await?;
    held.keep_pause(&"hook".into(), now).await?;
    held.paused_until(&"hook".into()).await?;
    store.give_up(&[fence]).await?;
    store.leave(&me.id).await
}
