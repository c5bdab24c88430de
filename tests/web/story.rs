//! The story of an alert, on its page and over the API: what was found, what was sent and how it was answered, what people did,
//! and how it ended.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::model::{
    Ack, Alert, AlertId, AlertState, Attempt, AttemptOutcome, Concerns, DeliveryId, DeliveryState, EndReason, Ended,
    Escalation, HeldBack, NodePart, Notification, ReceiverId, RuleId, SilenceId, Status, StepTaken, Suppression,
};
use nightbell::store::{Desk as _, NewSilence, Outbox as _, PollLedger as _, Settled, SqlStore, Steps as _};

use super::Served;
use crate::sample::{Place, alert, at, commit, delivery, instance, resolved};

const RULES: &str = "web: { listen: \"127.0.0.1:0\" }\nsources:\n  \
    s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t } }\nreceivers:\n  \
    hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\n  boss: { type: webhook, url: \"http://127.0.0.1:9/\" }\nrules:\n  \
    failed: { when: { status: [fail] }, notify: [{ to: hook }, { after: 30m, to: boss }] }\n";

fn of_rule(alert: Alert) -> Alert {
    let mut alert = Alert { source: "s".into(), rule: RuleId::new("failed"), ..alert };
    alert.facts.alert.rule = RuleId::new("failed");
    alert
}

fn settled(id: &str, number: u32, began: i64, attempt: Attempt, state: DeliveryState) -> Settled {
    Settled {
        id: DeliveryId::new(id),
        attempt_number: number,
        started_at: at(began),
        ended_at: at(began + 1),
        last_error: attempt.error.clone(),
        attempt,
        state,
        next_attempt_at: (state == DeliveryState::Pending).then(|| at(began + 60)),
        patience_spent: Duration::ZERO,
    }
}

/// The last lines of the failing node's log.
const LOG: &str = "loading part 12\nERROR: duplicate key";

/// The alert as it was told, in its second episode.
fn told() -> Alert {
    let mut told = of_rule(alert("told", "etl_orders"));
    told.generation = Some(7);
    let part = &mut told.facts.alert;
    part.episode = 2;
    part.held_back = Some(Box::new(HeldBack {
        by: "silence:9".into(),
        who: Some("li".into()),
        reason: Some("release of Friday".into()),
        until: at(300),
    }));
    told.facts.failing_nodes = vec![NodePart {
        name: "load_orders".into(),
        kind: Some("DWS SQL".into()),
        status: Status::Fail,
        retries: Some(2),
        start_time: Some(at(-505)),
        end_time: Some(at(-500)),
        log_path: Some("obs://dlf-log/etl_orders/load.job".into()),
        log_tail: Some(LOG.into()),
    }];
    told.facts.instance.as_mut().unwrap().error = Some(format!("exit code 7\n{LOG}"));
    told
}

async fn attempt(store: &SqlStore, receiver: &str, now: Timestamp, settled: Settled) {
    let claimed = store.claim(&ReceiverId::new(receiver), now, 9).await.unwrap();
    assert_eq!(claimed.len(), 1, "{receiver} at {now}: {claimed:?}");
    store.settle(&[settled]).await.unwrap();
}

/// It is told, at the second attempt; a step goes to somebody else; somebody is on it, and closes it.
async fn fill(store: &SqlStore) {
    let message = |id: &str, to: &str, seconds: i64| Notification {
        alert: Some(AlertId::new("told")),
        created_at: at(seconds),
        due_at: at(seconds),
        ..delivery(id, to)
    };
    let concerns = Concerns { jobs: vec!["quiet".into()], ..Concerns::default() };
    let silence = NewSilence { concerns, reason: "migration".into(), by: "li".into(), ends_at: at(7200) };
    assert_eq!(store.add_silence(&silence, at(-60)).await.unwrap(), SilenceId(1));
    let quiet = Alert { suppressed_by: Some(Suppression::Silence(SilenceId(1))), ..of_rule(alert("quiet", "quiet")) };
    // Of one run and rule only one alert fires.
    let earlier = resolved(of_rule(alert("earlier", "etl_orders")), at(-400));
    let mut poll = commit(0);
    (poll.source, poll.now) = ("s".into(), at(0));
    poll.instances =
        vec![nightbell::model::Instance { source: "s".into(), ..instance("etl_orders", "7", Status::Fail) }];
    poll.fired = vec![told(), quiet, earlier];
    poll.deliveries = vec![message("d1", "hook", 301)];
    store.commit_poll(&poll).await.unwrap();
    let busy = Attempt::failed(AttemptOutcome::Retry, Some("503".into()), "the gateway is busy");
    attempt(store, "hook", at(310), settled("d1", 1, 310, busy, DeliveryState::Pending)).await;
    let taken = Attempt::delivered("200");
    attempt(store, "hook", at(400), settled("d1", 2, 400, taken.clone(), DeliveryState::Delivered)).await;
    let note = Escalation { step: 2, after_ms: 1_800_000, told: Vec::new(), unreached: Vec::new(), acked_by: None };
    let deliveries = vec![message("d2", "boss", 2100)];
    let step = StepTaken { alert: AlertId::new("told"), number: 2, unless_acked: false, note, deliveries };
    assert_eq!(store.take_steps(&[step], at(2100)).await.unwrap(), 1);
    attempt(store, "boss", at(2110), settled("d2", 1, 2110, taken, DeliveryState::Delivered)).await;
    let ack = Ack { by: "kim".into(), reason: Some("looking into it".into()), at: at(2400) };
    store.ack(&[AlertId::new("told")], &ack).await.unwrap();
    let mut over = told();
    let part = &mut over.facts.alert;
    (part.state, part.ends_at) = (AlertState::Resolved, Some(at(3000)));
    let note = Some("loaded by hand".into());
    part.ended = Some(Box::new(Ended { reason: EndReason::Closed, by: Some("kim".into()), note, at: at(3000) }));
    let mut poll = commit(1);
    (poll.source, poll.now, poll.changed) = ("s".into(), at(3000), vec![over]);
    store.commit_poll(&poll).await.unwrap();
}

async fn served() -> Served {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    store.close().await;
    drop(store);
    Served::start_with(place, RULES, Arc::new(ManualClock::at(at(3600)))).await
}

/// The texts stand in `body` in this order.
fn in_order(body: &str, texts: &[&str]) {
    let mut from = 0;
    for text in texts {
        let found = body[from..].find(text);
        from += found.unwrap_or_else(|| panic!("{text:?} does not follow in {body}")) + text.len();
    }
}

fn story(page: &str) -> &str {
    let story = page.split("<ol class=\"story\">").nth(1).and_then(|rest| rest.split("</ol>").next());
    story.unwrap_or_else(|| panic!("no story in {page}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_the_whole_story_of_an_alert_in_order() {
    let served = served().await;
    let page = served.get("/alerts/told", &[]).await.body;
    in_order(
        story(&page),
        &[
            "Condition met",
            "Nightbell decided that it fires",
            "under configuration 7",
            "episode 2: it failed again",
            "sent after all: silence 9 is over",
            "release of Friday",
            "/deliveries/d1",
            "hook: delivered",
            "attempt 1 at 00:05: failed, tried again, 503 the gateway is busy",
            "attempt 2 at 00:06: confirmed, 200",
            "Step 2: boss",
            "boss: delivered",
            "Acknowledged by kim",
            "looking into it",
            "closed by a person",
            "by kim",
            "loaded by hand",
            "etl_orders failed",
        ],
    );
    let node = page.split("<div class=\"item node").nth(1).unwrap_or_else(|| panic!("no node in {page}"));
    in_order(
        node,
        &[
            "load_orders",
            "DWS SQL",
            "5s",
            "retried twice",
            "obs://dlf-log/etl_orders/load.job",
            "The end of its log",
            "loading part 12",
            "ERROR: duplicate key",
        ],
    );
    // Where the node has the end of its log, what the run said stands without it.
    in_order(&page, &["What the run said", "exit code 7", "load_orders"]);
    assert_eq!(page.matches("ERROR: duplicate key").count(), 1, "{page}");
    in_order(
        &page,
        &["Other alerts of this job", "/alerts/earlier", "Last runs", "/explain?source=s&#38;job=etl_orders"],
    );
    let quiet = served.get("/alerts/quiet", &[]).await.body;
    in_order(story(&quiet), &["held back: silence 1", "migration", "by li, until 02:00"]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_tells_the_same_story() {
    let served = served().await;
    let told = served.get("/api/v1/alerts/told", &[]).await.json();
    for (pointer, expected) in [
        ("/generation", serde_json::json!(7)),
        ("/alert/episode", 2.into()),
        ("/alert/ended/reason", "closed".into()),
        ("/alert/ended/by", "kim".into()),
        ("/alert/ended/note", "loaded by hand".into()),
        ("/failing_nodes/0/name", "load_orders".into()),
        ("/failing_nodes/0/log_path", "obs://dlf-log/etl_orders/load.job".into()),
        ("/failing_nodes/0/log_tail", LOG.into()),
        ("/deliveries/0/id", "d1".into()),
        ("/deliveries/0/attempt_log/0/status", "503".into()),
        ("/deliveries/0/attempt_log/0/error", "the gateway is busy".into()),
        ("/deliveries/0/attempt_log/1/outcome", "delivered".into()),
        ("/steps/0/step", 2.into()),
        ("/steps/0/receiver", "boss".into()),
        ("/actions/0/action", "ack".into()),
        ("/actions/0/by", "kim".into()),
    ] {
        assert_eq!(told.pointer(pointer), Some(&expected), "{pointer}: {told:#}");
    }
    assert_eq!(served.get("/api/v1/alerts/quiet", &[]).await.json()["suppressed_by"], "silence:1");
    served.stop().await;
}
