//! Silences and acknowledgements in the store, written beside the process that works on it.

use nightbell::model::{Ack, AlertId, Concerns, Severity, SilenceId, Suppression};
use nightbell::store::{Desk as _, Mode, NewSilence, PollCommit, PollLedger as _, SqlStore, StoreError, Upkeep as _};

use super::super::sample::{Place, alert, at, commit, resolved};

fn silence(job: &str, ends: i64) -> NewSilence {
    let concerns = Concerns {
        jobs: vec![job.into()],
        rules: vec!["etl-failed".into()],
        severities: vec![Severity::Error],
        ..Concerns::default()
    };
    NewSilence { concerns, reason: "部署 \"x\"".into(), by: "wang".into(), ends_at: at(ends) }
}

async fn beside(place: &Place) -> SqlStore {
    SqlStore::open(&place.url(), Mode::Amend).await.unwrap()
}

#[tokio::test]
async fn a_silence_is_made_and_ended_beside_a_process_that_works() {
    let place = Place::new();
    let worker = place.open().await;
    let note = beside(&place).await;
    assert_eq!(note.add_silence(&silence("etl_*", 60), at(0)).await.unwrap(), SilenceId(1));
    assert_eq!(note.add_silence(&silence("b", 120), at(1)).await.unwrap(), SilenceId(2));
    let active = worker.active_silences(at(59)).await.unwrap();
    assert_eq!(active.iter().map(|silence| silence.id.0).collect::<Vec<_>>(), [1, 2]);
    let new = silence("etl_*", 60);
    assert_eq!((&active[0].concerns, &active[0].reason), (&new.concerns, &new.reason));
    assert_eq!((active[0].created_at, active[0].ends_at), (at(0), at(60)));
    // The instant at which it ends does not belong to it.
    assert_eq!(worker.active_silences(at(60)).await.unwrap().len(), 1);
    let expired = note.expire_silence(SilenceId(2), "li", at(30)).await.unwrap().unwrap();
    assert_eq!(expired.expired, Some((at(30), "li".to_string())));
    assert_eq!(worker.active_silences(at(59)).await.unwrap().len(), 1);
    // Ended already, it stays as it was.
    let again = note.expire_silence(SilenceId(2), "zhao", at(40)).await.unwrap().unwrap();
    assert_eq!(again.expired, Some((at(30), "li".to_string())));
    assert_eq!(note.expire_silence(SilenceId(1), "li", at(60)).await.unwrap().unwrap().expired, None);
    assert_eq!(note.expire_silence(SilenceId(9), "li", at(60)).await.unwrap(), None);
    assert_eq!(worker.silences().await.unwrap().iter().map(|(one, _)| one.id.0).collect::<Vec<_>>(), [2, 1]);
    note.close().await;
    worker.close().await;
}

/// A word can be left only where a worker has been: another version's file, or none, is not touched.
#[tokio::test]
async fn a_word_is_left_in_a_store_of_this_version_only() {
    let place = Place::file();
    let missing = SqlStore::open(&place.url(), Mode::Amend).await.unwrap_err().to_string();
    assert!(missing.contains("`nightbell run` makes it"), "{missing}");
    assert!(!place.path().exists());
    place.open().await.close().await;
    let note = beside(&place).await;
    note.add_silence(&silence("a", 60), at(0)).await.unwrap();
    note.close().await;
    // The worker's lock is free: a word does not take it.
    let worker = place.open().await;
    assert_eq!(worker.active_silences(at(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn there_is_an_end_to_silences() {
    let place = Place::new();
    let store = place.open().await;
    for _ in 0..nightbell::limits::SILENCES_ACTIVE_MAX {
        store.add_silence(&silence("a", 60), at(0)).await.unwrap();
    }
    let refused = store.add_silence(&silence("a", 60), at(0)).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(_)) && refused.to_string().contains("expire some"), "{refused}");
    // Those that have ended do not count.
    store.add_silence(&silence("a", 120), at(60)).await.unwrap();
}

#[tokio::test]
async fn a_silence_is_forgotten_when_no_alert_names_it_and_its_number_is_not_given_again() {
    let place = Place::new();
    let store = place.open().await;
    for _ in 0..3 {
        store.add_silence(&silence("a", 60), at(0)).await.unwrap();
    }
    let mut held = alert("held", "etl");
    held.suppressed_by = Some(Suppression::Silence(SilenceId(1)));
    store.commit_poll(&PollCommit { fired: vec![held], ..commit(0) }).await.unwrap();
    store.purge(at(1_000), &Default::default(), &jiff::tz::TimeZone::UTC).await.unwrap();
    let left = store.silences().await.unwrap();
    assert_eq!(left.iter().map(|(silence, held)| (silence.id.0, *held)).collect::<Vec<_>>(), [(3, 0), (1, 1)]);
    assert_eq!(store.add_silence(&silence("a", 60), at(0)).await.unwrap(), SilenceId(4));
}

#[tokio::test]
async fn a_later_acknowledgement_replaces_the_earlier_one_and_it_goes_with_the_alert() {
    let place = Place::new();
    let store = place.open().await;
    let alerts = vec![alert("aabb01", "etl"), alert("aabb02", "b"), alert("cc", "c")];
    store.commit_poll(&PollCommit { fired: alerts.clone(), ..commit(0) }).await.unwrap();
    let note = beside(&place).await;
    let ack = |by: &str| Ack { by: by.into(), reason: Some("looking".into()), at: at(5) };
    let (aabb01, cc) = (AlertId::new("aabb01"), AlertId::new("cc"));
    assert!(note.ack(std::slice::from_ref(&aabb01), &ack("wang")).await.unwrap().is_empty());
    let replaced = note.ack(&[aabb01.clone(), cc.clone()], &ack("li")).await.unwrap();
    assert_eq!(replaced.into_iter().collect::<Vec<_>>(), [(aabb01.clone(), ack("wang"))]);
    // An alert that is not there takes no acknowledgement, and nothing of the rest is kept.
    note.ack(&[AlertId::new("aabb02"), AlertId::new("none")], &ack("li")).await.unwrap_err();
    let acks = store.acks().await.unwrap();
    assert_eq!(acks.len(), 2);
    assert_eq!((&acks[&aabb01], &acks[&cc]), (&ack("li"), &ack("li")));
    let named = |alerts: Vec<nightbell::model::Alert>| -> Vec<String> {
        alerts.iter().map(|alert| alert.id.to_string()).collect()
    };
    for (prefix, expected) in
        [("aabb", vec!["aabb01", "aabb02"]), ("aabb02", vec!["aabb02"]), ("a%", vec![]), ("zz", vec![]), ("CC", vec![])]
    {
        assert_eq!(named(store.alerts_named(prefix).await.unwrap()), expected, "{prefix}");
    }
    let changed = vec![resolved(alerts[2].clone(), at(10))];
    store.commit_poll(&PollCommit { changed, ..commit(1) }).await.unwrap();
    store.purge(at(1_000), &Default::default(), &jiff::tz::TimeZone::UTC).await.unwrap();
    assert_eq!(store.acks().await.unwrap().len(), 1);
    let removed = note.unack(&[aabb01.clone(), AlertId::new("aabb02")], "li", at(70)).await.unwrap();
    assert_eq!(removed.into_keys().collect::<Vec<_>>(), [aabb01]);
    assert!(store.acks().await.unwrap().is_empty());
}
