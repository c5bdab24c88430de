//! What the page, the API and the metrics ask is answered by a server as it is by a file.

use nightbell::model::{
    Ack, Action, ActionKind, AlertId, AlertState, DeliveryId, DeliveryState, LabelMatch, Role, Status,
};
use nightbell::store::{
    Access as _, AlertAsk, Board, Counts as _, DeadLetters, Deliveries as _, DeliveryAsk, Desk as _, Mode, NewSilence,
    NewToken, Outbox as _, Place, PollCommit, PollLedger as _, SqlStore,
};

use crate::sample::{alert, at, commit, delivery, fresh_database, instance, resolution, resolved, source};

/// A store with alerts that fire and that are over, deliveries in several states, and runs of three jobs.
pub(super) async fn fill(store: &SqlStore) {
    let mut poll = commit(0);
    let statuses = [Status::Fail, Status::Success, Status::Running];
    poll.instances = (0..12)
        .map(|number| instance(["etl_a", "etl_B", "etl\0c"][number % 3], &format!("{number}"), statuses[number % 3]))
        .collect();
    poll.instances[4].plan_time = None;
    poll.instances[7].start_time = None;
    poll.fired = (0..6).map(|number| alert(&format!("a{number}"), &format!("etl_{}", number % 2))).collect();
    for (number, alert) in poll.fired.iter_mut().enumerate() {
        alert.created_at = at(i64::try_from(number).unwrap());
        // One alert of a rule fires for an instance.
        alert.facts.instance.as_mut().unwrap().id = format!("{number}");
    }
    poll.deliveries = (0..8)
        .map(|number| {
            let mut one = delivery(&format!("d{number}"), if number % 2 == 0 { "pager" } else { "team" });
            one.alert = Some(AlertId::new(format!("a{}", number % 6)));
            one.created_at = at(i64::from(number));
            one
        })
        .collect();
    poll.deliveries.push(resolution("d8", "pager", "d0"));
    store.commit_poll(&poll).await.unwrap();
    let over = ["a1", "a4"].map(|id| resolved(alert(id, "etl_1"), at(9))).to_vec();
    store.commit_poll(&PollCommit { changed: over, ..commit(1) }).await.unwrap();
    let claimed = store.claim(&"team".into(), at(20), 1).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let new = NewSilence { concerns: Default::default(), reason: "a move".into(), by: "ana".into(), ends_at: at(3600) };
    store.add_silence(&new, at(0)).await.unwrap();
    let ack = Ack { by: "kim".into(), reason: Some("looking".into()), at: at(30) };
    store.ack(&[AlertId::new("a2")], &ack).await.unwrap();
}

fn said(answers: &mut Vec<String>, what: &str, answer: impl std::fmt::Debug) {
    answers.push(format!("{what}: {answer:?}"));
}

/// Everything that is asked for lists, page by page where there are pages.
async fn lists(store: &SqlStore, answers: &mut Vec<String>) {
    let asks = [
        AlertAsk::default(),
        AlertAsk { state: Some(AlertState::Firing), ..AlertAsk::default() },
        AlertAsk { state: Some(AlertState::Resolved), source: Some(source()), ..AlertAsk::default() },
        AlertAsk { source: Some(source()), job: Some("etl_1".into()), since: Some(at(1)), ..AlertAsk::default() },
        AlertAsk { rule: Some("etl-failed".into()), job: Some("etl\0_0".into()), ..AlertAsk::default() },
    ];
    for mut ask in asks {
        for _ in 0..3 {
            let page = store.alert_page(&ask, 2).await.unwrap();
            said(answers, "alerts", page.iter().map(|one| one.id.clone()).collect::<Vec<_>>());
            let Some(last) = page.last() else { break };
            ask.after = Some(Place { at: last.created_at, id: last.id.as_str().into() });
        }
    }
    let mut asks = vec![
        DeliveryAsk::default(),
        DeliveryAsk { receiver: Some("pager".into()), ..DeliveryAsk::default() },
        DeliveryAsk { alert: Some(AlertId::new("a1")), ..DeliveryAsk::default() },
        DeliveryAsk { digests: true, ..DeliveryAsk::default() },
    ];
    for state in [DeliveryState::Pending, DeliveryState::Dead, DeliveryState::Merged, DeliveryState::Delivered] {
        asks.push(DeliveryAsk { state: Some(state), receiver: Some("pager".into()), ..DeliveryAsk::default() });
    }
    for mut ask in asks {
        for _ in 0..3 {
            let page = store.delivery_page(&ask, 3).await.unwrap();
            said(answers, "deliveries", page.iter().map(|one| (one.id.clone(), one.state)).collect::<Vec<_>>());
            let Some(last) = page.last() else { break };
            ask.after = Some(Place { at: last.created_at, id: last.id.as_str().into() });
        }
    }
}

async fn answers(store: &SqlStore) -> Vec<String> {
    let mut answers = Vec::new();
    fill(store).await;
    lists(store, &mut answers).await;
    said(&mut answers, "alert", store.alert(&AlertId::new("a3")).await.unwrap());
    said(&mut answers, "ack", store.acks_of(&[AlertId::new("a2"), AlertId::new("a3")]).await.unwrap());
    said(&mut answers, "steps", store.steps_of(&AlertId::new("a2")).await.unwrap());
    said(&mut answers, "jobs", store.job_page(&source(), "", 2).await.unwrap());
    said(&mut answers, "more jobs", store.job_page(&source(), "etl_B", 9).await.unwrap());
    let runs = store.run_page(&source(), "etl_B", None, 2).await.unwrap();
    let place = Place { at: runs[1].0, id: runs[1].1.id.clone() };
    said(&mut answers, "runs", runs);
    said(&mut answers, "more runs", store.run_page(&source(), "etl_B", Some(&place), 9).await.unwrap());
    said(&mut answers, "open", store.open_runs(3).await.unwrap());
    said(&mut answers, "between", Board::runs_between(store, &source(), (at(-700), at(0)), 5).await.unwrap());
    said(&mut answers, "days", store.days_of(&source(), "etl_a", 0).await.unwrap());
    let mut gauges = store.gauges(at(40)).await.unwrap();
    gauges.pending.sort();
    gauges.firing.sort_by(|one, other| one.0.cmp(&other.0));
    said(&mut answers, "gauges", gauges);
    let ids = ["d0", "d1", "d2"].map(DeliveryId::new);
    let mut dropped = store.drop_deliveries(&ids, "kim\0", "given\0 up", at(50)).await.unwrap();
    dropped.sort();
    said(&mut answers, "dropped", dropped);
    lists(store, &mut answers).await;
    said(&mut answers, "gauges", store.gauges(at(50)).await.unwrap().dead);
    actions(store, &mut answers).await;
    access(store, &mut answers).await;
    answers
}

/// What people did, row by row and as a whole.
async fn actions(store: &SqlStore, answers: &mut Vec<String>) {
    let alert = AlertId::new("a2");
    store.unack(std::slice::from_ref(&alert), "li\0", at(60)).await.unwrap();
    store.unack(std::slice::from_ref(&alert), "li\0", at(61)).await.unwrap();
    store.revive(&DeadLetters::Named(dropped()), "kim", at(62)).await.unwrap();
    store.record_action(&Action::poll(&source(), "kim", at(63))).await.unwrap();
    store.record_action(&Action::poll(&source(), "kim", at(63))).await.unwrap();
    let all = store.action_page(None, 50).await.unwrap();
    assert!(all.len() > 4 && all.iter().any(|action| action.kind == ActionKind::Unack), "{all:?}");
    let mut after = None;
    for action in &all {
        let page = store.action_page(after.as_ref(), 1).await.unwrap();
        assert_eq!(page.first(), Some(action));
        after = Some(Place { at: action.at, id: action.key() });
    }
    said(answers, "actions", all);
    said(answers, "on an alert", store.actions_on_alert(&alert).await.unwrap());
    said(answers, "on deliveries", store.actions_on_deliveries(&dropped()).await.unwrap());
    said(answers, "told when", store.told_when(std::slice::from_ref(&alert)).await.unwrap());
    let told = store.alerts_of(&[alert, AlertId::new("none")]).await.unwrap();
    said(answers, "alerts", told);
    let mut counts: Vec<_> = store.told_counts(&dropped()).await.unwrap().into_iter().collect();
    counts.sort();
    said(answers, "told counts", counts);
    let mut told: Vec<_> = store.alerts_told_by(&dropped()).await.unwrap().into_iter().collect();
    told.sort();
    said(answers, "told by", told);
}

fn dropped() -> Vec<DeliveryId> {
    ["d0", "d1", "d2"].map(DeliveryId::new).to_vec()
}

async fn access(store: &SqlStore, answers: &mut Vec<String>) {
    let scope = LabelMatch([("team".to_string(), vec!["a\0b".to_string(), "c".to_string()])].into());
    let tokens = [("ab12", "ana\0", Role::Viewer, None), ("ab34", "kim", Role::Responder, Some(at(100)))];
    for (hash, name, role, expires_at) in tokens {
        let new = NewToken { hash: hash.into(), name: name.into(), role, scope: scope.clone(), expires_at };
        store.add_token(&new, at(0)).await.unwrap();
    }
    said(answers, "tokens", store.tokens().await.unwrap());
    for (hash, now) in [("ab12", at(1)), ("ab34", at(1)), ("ab34", at(100)), ("none", at(1))] {
        said(answers, "token", store.token(hash, now).await.unwrap());
    }
    store.begin_session("s1", "ab12", at(1), at(50)).await.unwrap();
    store.begin_session("s2", "ab34", at(60), at(200)).await.unwrap();
    for (hash, now) in [("s1", at(2)), ("s2", at(61)), ("s2", at(150))] {
        said(answers, "session", store.session(hash, now).await.unwrap());
    }
    store.begin_session("s3", "ab34", at(62), at(200)).await.unwrap();
    store.end_session("s3").await.unwrap();
    said(answers, "ended", store.session("s3", at(63)).await.unwrap());
    said(answers, "revoked", store.revoke_tokens("ab3", at(70)).await.unwrap());
    said(answers, "revoked twice", store.revoke_tokens("ab3", at(71)).await.unwrap());
    said(answers, "session of a revoked token", store.session("s2", at(71)).await.unwrap());
    said(answers, "key", [store.link_key("first").await.unwrap(), store.link_key("second").await.unwrap()]);
}

#[tokio::test]
async fn what_the_page_asks_is_answered_alike() {
    let directory = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", directory.path().join("nightbell.db").display());
    let file = SqlStore::open(&file, Mode::Work).await.unwrap();
    let server = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let (by_file, by_server) = (answers(&file).await, answers(&server).await);
    assert!(by_file.len() > 50 && by_file.iter().any(|line| line.contains("a5")), "{by_file:#?}");
    for (one, other) in by_file.iter().zip(&by_server) {
        assert_eq!(one, other);
    }
    assert_eq!(by_file.len(), by_server.len());
}
