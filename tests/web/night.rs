//! A night in the store: jobs, runs, alerts, deliveries and silences with names as hostile as a scheduler's may be.

use std::sync::Arc;

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::desk::{hash_of, new_token};
use nightbell::model::{
    Ack, AlertId, Attempt, AttemptOutcome, Concerns, Content, DeliveryId, DeliveryState, LabelMatch, MessageKind,
    NodePart, ReceiverId, Role, RuleId, Status,
};
use nightbell::store::{Access as _, Desk as _, NewSilence, NewToken, Outbox as _, PollLedger as _, Settled, SqlStore};

use super::Served;
use crate::sample::{Place, alert, at, commit, delivery, instance, resolved};

/// What a browser would run if it were let, in every place that a text can stand in.
pub(crate) const HOSTILE: &str =
    "<img src=x onerror=alert(1)>\"'`</script><script>alert(2)</script>\u{202e}&amp;{{7*7}}";

/// Where everything is served, with a token for each role.
pub(crate) struct Night {
    pub(crate) served: Served,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) viewer: String,
    pub(crate) responder: String,
}

/// When it is.
pub(crate) fn now() -> Timestamp {
    at(7200)
}

/// Adds a token of this role, and returns its header.
pub(crate) async fn token(store: &SqlStore, role: Role) -> String {
    let token = new_token().unwrap();
    let name = format!("{role} {HOSTILE}").chars().filter(|c| !c.is_control()).collect();
    store
        .add_token(
            &NewToken { hash: hash_of(&token), name, role, scope: LabelMatch::default(), expires_at: None },
            at(0),
        )
        .await
        .unwrap();
    format!("Bearer {token}")
}

/// The one attempt of a delivery that is in this state now.
pub(crate) fn attempted(id: &str, state: DeliveryState) -> Settled {
    let attempt = match state {
        DeliveryState::Delivered => Attempt::delivered("200"),
        _ => Attempt::failed(AttemptOutcome::Rejected, Some("404".into()), HOSTILE),
    };
    Settled {
        id: DeliveryId::new(id),
        attempt_number: 1,
        started_at: at(3600),
        ended_at: at(4000),
        attempt,
        state,
        last_error: Some(HOSTILE.into()),
        next_attempt_at: (state == DeliveryState::Pending).then(|| at(90_000)),
        patience_spent: std::time::Duration::ZERO,
    }
}

/// Puts the night into the store.
pub(crate) async fn fill(store: &SqlStore) {
    let mut poll = commit(0);
    poll.source = "s".into();
    poll.now = at(3600);
    let mut runs = Vec::new();
    for (id, status) in [("1", Status::Success), ("2", Status::Fail), ("3", Status::Running)] {
        for job in ["etl_orders", HOSTILE] {
            let mut run = instance(job, id, status);
            run.source = "s".into();
            run.raw_status = HOSTILE.into();
            run.plan_time = Some(at(3600 + id.parse::<i64>().unwrap() * 300));
            run.start_time = run.plan_time;
            run.end_time = status.has_ended().then(|| at(5400));
            runs.push(run);
        }
    }
    poll.instances = runs;
    for (id, job) in [("a1", "etl_orders"), ("a2", HOSTILE), ("a3", HOSTILE)] {
        let mut one = alert(id, job);
        (one.source, one.rule) = ("s".into(), "failed".into());
        one.facts.alert.rule = RuleId::new("failed");
        one.facts.alert.summary = format!("{job} failed");
        one.facts.job.more.owner = Some(HOSTILE.into());
        one.facts.node_details = HOSTILE.into();
        one.facts.alert.labels = [(HOSTILE.to_string(), HOSTILE.to_string())].into();
        if let Some(run) = &mut one.facts.instance {
            run.id = format!("{HOSTILE}{id}");
            run.error = Some(format!("{HOSTILE}\n{HOSTILE}"));
            run.raw_status = HOSTILE.into();
        }
        let node = NodePart {
            name: HOSTILE.into(),
            kind: Some(HOSTILE.into()),
            status: Status::Fail,
            retries: Some(2),
            start_time: None,
            end_time: None,
            log_path: Some(format!("javascript:alert(1)//{HOSTILE}")),
            log_tail: Some(format!("{HOSTILE}\n{HOSTILE}")),
        };
        one.facts.failing_nodes = vec![node];
        poll.fired.push(if id == "a3" { resolved(one, at(5000)) } else { one });
    }
    let mut settled = Vec::new();
    for (id, state, kind) in [
        ("d1", DeliveryState::Delivered, MessageKind::AlertFiring),
        ("d2", DeliveryState::Dead, MessageKind::AlertFiring),
        ("d3", DeliveryState::Pending, MessageKind::AlertFiring),
        ("d4", DeliveryState::Delivered, MessageKind::Digest),
    ] {
        let mut one = delivery(id, "hook");
        one.kind = kind;
        one.alert = (kind != MessageKind::Digest).then(|| AlertId::new("a2"));
        one.rule = Some(RuleId::new("failed"));
        // Who looks at a message has not received it: the signature of its link is not theirs.
        let sign = if one.alert.is_some() { "sign=canary-signature-of-the-link-in-a-messagexx" } else { "" };
        let text = format!("{HOSTILE} https://bell.example.com/ack/a2?until=1&{sign}");
        let parts = ["subject", "text", "html"].map(|part| (part.to_string(), text.clone()));
        one.content = Content { parts: parts.into() };
        poll.deliveries.push(one);
        settled.push(attempted(id, state));
    }
    store.commit_poll(&poll).await.unwrap();
    assert_eq!(store.claim(&ReceiverId::new("hook"), at(3600), 9).await.unwrap().len(), settled.len());
    store.settle(&settled).await.unwrap();
    let ack = Ack { by: HOSTILE.into(), reason: Some(HOSTILE.into()), at: at(6000) };
    store.ack(&[AlertId::new("a2")], &ack).await.unwrap();
    let concerns = Concerns { jobs: vec![HOSTILE.replace(['[', '{', '/'], "?")], ..Concerns::default() };
    let new = NewSilence { concerns, reason: HOSTILE.into(), by: HOSTILE.into(), ends_at: at(100_000) };
    store.add_silence(&new, at(6000)).await.unwrap();
}

/// Waits until what is pending has been tried, as it is at the start: for the last time in a while.
pub(crate) async fn tried(served: &Served, viewer: &str) {
    for _ in 0..300 {
        let waits = served.get("/api/v1/deliveries/d3", &[("authorization", viewer)]).await.json();
        if waits["attempts"] == 2 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("what is pending is not tried");
}

/// The night, served to whoever has a token.
pub(crate) async fn night() -> Night {
    night_with(async |_| {}).await
}

/// The same with more in its store.
pub(crate) async fn night_with(more: impl AsyncFnOnce(&SqlStore)) -> Night {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    more(&store).await;
    let (viewer, responder) = (token(&store, Role::Viewer).await, token(&store, Role::Responder).await);
    store.close().await;
    drop(store);
    let clock = Arc::new(ManualClock::at(now()));
    let served = Served::start_in(place, "web: { listen: \"127.0.0.1:0\", tokens: true }\n", clock.clone()).await;
    Night { served, clock, viewer, responder }
}
