//! Dead letters: which are sent again, and what comes with them.

use nightbell::model::{Attempt, AttemptOutcome, DeliveryId, DeliveryState, NotRevived, ReceiverId, Revival};
use nightbell::store::{
    DeadLetters, Deliveries as _, FallbackDeliveries as _, KnownReceiver, Mode, Outbox as _, PollCommit,
    PollLedger as _, SqlStore,
};
use nightbell::words::not_revived;

use super::super::sample::{Place, alert, at, commit, delivery, resolution};
use super::{claimed, dead, outbox, pager, settled};

fn named(ids: &[&str]) -> DeadLetters {
    DeadLetters::Named(ids.iter().map(DeliveryId::new).collect())
}

#[tokio::test]
async fn a_dead_letter_is_pending_again_under_its_id_and_what_died_with_it_behind_it() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("f1", "pager"), resolution("r1", "pager", "f1"), delivery("f2", "pager")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    claimed(&store, at(1), 9).await;
    store.settle(&[dead("f1"), dead("f2")]).await.unwrap();
    // Beside the process that holds the store.
    let beside = SqlStore::open(&place.url(), Mode::Amend).await.unwrap();
    let revived = beside.revive(&named(&["f1", "nobody"]), "kim", at(100)).await.unwrap();
    assert_eq!(revived.revived, ["f1", "r1"].map(DeliveryId::new));
    assert_eq!(revived.refused, [(DeliveryId::new("nobody"), NotRevived::Unknown)]);
    assert_eq!(outbox(&store).await, ["f1 pending 1 gone", "f2 dead 1 gone", "r1 pending 0 -"]);
    let claimed = store.claim(&pager(), at(100), 9).await.unwrap();
    assert_eq!(claimed.len(), 1, "the follower waits");
    assert_eq!(claimed[0].revived, Some(Revival { at: at(100), attempts: 1 }));
    assert_eq!((claimed[0].pending_since(), claimed[0].attempts_since(), claimed[0].created_at), (at(100), 0, at(0)));
    store.settle(&[settled("f1", 2, Attempt::delivered("200"), DeliveryState::Delivered, None)]).await.unwrap();
    let record = store.delivery_record(&DeliveryId::new("f1")).await.unwrap().unwrap();
    let log: Vec<(u32, &str)> = record.attempts.iter().map(|one| (one.number, one.outcome.as_str())).collect();
    assert_eq!(log, [(1, "rejected"), (2, "delivered")]);
}

/// Somebody has mended the channel and does not wait for the next attempt.
#[tokio::test]
async fn what_is_pending_is_due_at_once_when_somebody_asks_for_it() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = ["busy", "held", "new", "sent", "under-way"].map(|id| delivery(id, "pager"));
    store.commit_poll(&PollCommit { deliveries: deliveries.into(), ..commit(0) }).await.unwrap();
    store.claim(&pager(), at(1), 9).await.unwrap();
    let failed = || Attempt::failed(AttemptOutcome::Retry, Some("503".into()), "answered 503");
    let again = |id: &str| settled(id, 1, failed(), DeliveryState::Pending, Some(at(3600)));
    let delivered = settled("sent", 1, Attempt::delivered("200"), DeliveryState::Delivered, None);
    store.settle(&[again("busy"), again("held"), delivered]).await.unwrap();
    store.release(&[DeliveryId::new("new")]).await.unwrap();
    let revived = store.revive(&named(&["busy", "sent", "under-way"]), "kim", at(100)).await.unwrap();
    assert_eq!(revived.revived, [DeliveryId::new("busy")]);
    let refused = [
        (DeliveryId::new("sent"), NotRevived::Settled(DeliveryState::Delivered)),
        (DeliveryId::new("under-way"), NotRevived::UnderWay),
    ];
    assert_eq!(revived.refused, refused);
    // All of a receiver: what waits for its next attempt, and not what is due anyway.
    let all = DeadLetters::Of { receiver: pager(), since: at(0) };
    assert_eq!(store.revive(&all, "kim", at(101)).await.unwrap().revived, [DeliveryId::new("held")]);
    let due = store.claim(&pager(), at(101), 9).await.unwrap();
    assert_eq!(due.len(), 3, "{due:?}");
}

#[tokio::test]
async fn an_answer_is_not_sent_again_without_the_message_that_it_answers() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("f1", "pager"), resolution("r1", "pager", "f1")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    claimed(&store, at(1), 9).await;
    store.settle(&[dead("f1")]).await.unwrap();
    let refused = store.revive(&named(&["r1"]), "kim", at(2)).await.unwrap();
    assert!(
        refused.revived.is_empty() && not_revived(&refused.refused[0].1).in_english().contains("f1, is dead"),
        "{refused:?}"
    );
    let both = store.revive(&named(&["r1", "f1"]), "kim", at(2)).await.unwrap();
    assert_eq!((both.revived.len(), both.refused.len()), (2, 0));
}

/// What is pending for a receiver that is gone would stay so until the next start.
#[tokio::test]
async fn what_was_meant_for_a_receiver_that_is_gone_is_not_sent_again_until_it_is_back() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("f1", "pager"), resolution("r1", "pager", "f1")];
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    let known = |id: &str| KnownReceiver { id: ReceiverId::new(id), fallback: None };
    store.keep_receivers(&[known("pager"), known("team")], None, at(1)).await.unwrap();
    store.keep_receivers(&[known("team")], None, at(2)).await.unwrap();
    assert!(outbox(&store).await.iter().all(|line| line.contains(" dead 0 ")), "{:?}", outbox(&store).await);
    let all = DeadLetters::Of { receiver: pager(), since: at(0) };
    for which in [named(&["f1", "r1"]), all.clone()] {
        let refused = store.revive(&which, "kim", at(3)).await.unwrap();
        let gone = |id: &str| (DeliveryId::new(id), NotRevived::NoReceiver(pager()));
        assert_eq!((refused.revived.len(), refused.refused), (0, vec![gone("f1"), gone("r1")]));
    }
    store.keep_receivers(&[known("pager"), known("team")], None, at(4)).await.unwrap();
    assert_eq!(store.revive(&all, "kim", at(5)).await.unwrap().revived.len(), 2);
}

#[tokio::test]
async fn the_dead_letters_of_a_receiver_are_taken_by_their_age_and_five_thousand_at_once() {
    let place = Place::new();
    let store = place.open().await;
    let mut deliveries = Vec::new();
    for number in 0..5000 {
        deliveries.push(delivery(&format!("d{number:04}"), "pager"));
    }
    let mut old = deliveries[0].clone();
    (old.id, old.created_at) = (DeliveryId::new("old"), at(-1));
    let mut other = deliveries[0].clone();
    (other.id, other.receiver) = (DeliveryId::new("other"), ReceiverId::new("team"));
    deliveries.extend([old, other]);
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    super::meddle(&place, "UPDATE delivery SET state = 'dead', next_attempt_at = NULL").await;
    let which = DeadLetters::Of { receiver: pager(), since: at(0) };
    assert_eq!(store.revive(&which, "kim", at(9)).await.unwrap().revived.len(), 5000);
    assert_eq!(store.count_due(&pager(), at(9)).await.unwrap(), 5000);
    assert_eq!(store.revive(&which, "kim", at(9)).await.unwrap().revived.len(), 0);
}

#[tokio::test]
async fn an_amending_process_makes_no_store_and_works_on_no_other_version() {
    let place = Place::file();
    let refused = SqlStore::open(&place.url(), Mode::Amend).await.unwrap_err().to_string();
    assert!(refused.contains("there is no such file") && !place.path().exists(), "{refused}");
    drop(place.open().await);
    super::meddle(&place, "DELETE FROM _sqlx_migrations WHERE version > 1").await;
    let refused = SqlStore::open(&place.url(), Mode::Amend).await.unwrap_err().to_string();
    assert!(refused.contains("of an older nightbell"), "{refused}");
}

#[tokio::test]
async fn a_follower_knows_the_channel_s_name_of_what_it_follows() {
    let place = Place::new();
    let store = place.open().await;
    let deliveries = vec![delivery("f1", "pager"), resolution("r1", "pager", "f1")];
    store.commit_poll(&PollCommit { deliveries, fired: vec![alert("a1", "etl")], ..commit(0) }).await.unwrap();
    claimed(&store, at(1), 9).await;
    let told = Attempt { reference: Some("C1 1.2".into()), ..Attempt::delivered("200") };
    store.settle(&[settled("f1", 1, told, DeliveryState::Delivered, None)]).await.unwrap();
    let failed = Attempt::failed(AttemptOutcome::Retry, None, "busy");
    for number in 1..3 {
        let answer = store.claim(&pager(), at(9), 9).await.unwrap().remove(0);
        assert_eq!((answer.id.as_str(), answer.in_reply_to.as_deref()), ("r1", Some("C1 1.2")));
        let again = settled("r1", number, failed.clone(), DeliveryState::Pending, Some(at(9)));
        store.settle(&[again]).await.unwrap();
    }
}
