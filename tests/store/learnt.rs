//! What was learnt of sources.

use std::collections::BTreeMap;

use nightbell::model::SourceId;
use nightbell::store::{Mode, PollLedger as _, SqlStore};

use super::super::sample::{Place, source};

/// What the store at `url` holds of a source.
pub(crate) async fn read_learnt(url: &str, source: &str) -> BTreeMap<String, String> {
    let store = SqlStore::open(url, Mode::Read).await.unwrap();
    let learnt = store.load_learnt(&SourceId::new(source)).await.unwrap();
    store.close().await;
    learnt
}

fn learnt(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(question, answer)| (question.to_string(), answer.to_string())).collect()
}

#[tokio::test]
async fn what_was_learnt_is_there_after_a_restart_each_source_by_itself() {
    let place = Place::new();
    let store = place.open().await;
    assert_eq!(store.load_learnt(&source()).await.unwrap(), learnt(&[]));
    let (nothing, first) = (learnt(&[]), learnt(&[("offset", "pages"), ("span_days", "3")]));
    store.save_learnt(&source(), &nothing, &first).await.unwrap();
    store.save_learnt(&SourceId::new("other"), &nothing, &learnt(&[("offset", "records")])).await.unwrap();
    store.save_learnt(&source(), &first, &learnt(&[("offset", "pages"), ("window", "plan")])).await.unwrap();
    assert_eq!(store.generation(&source()).await.unwrap(), 0, "a poll's memory is not touched");
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.load_learnt(&source()).await.unwrap(), learnt(&[("offset", "pages"), ("window", "plan")]));
    assert_eq!(store.load_learnt(&SourceId::new("other")).await.unwrap(), learnt(&[("offset", "records")]));
}

/// The doctor beside a poll, or two replicas of which one has lost its lease: each has found out what the other does not know.
#[tokio::test]
async fn what_one_has_learnt_is_not_lost_when_another_saves() {
    let place = Place::new();
    let store = place.open().await;
    let before = learnt(&[("offset", "pages"), ("zone", "UTC")]);
    store.save_learnt(&source(), &learnt(&[]), &before).await.unwrap();
    let (one, two) = (
        learnt(&[("offset", "pages"), ("zone", "UTC"), ("window", "plan")]),
        learnt(&[("offset", "records"), ("span_days", "3")]),
    );
    store.save_learnt(&source(), &before, &one).await.unwrap();
    store.save_learnt(&source(), &before, &two).await.unwrap();
    let both = learnt(&[("offset", "records"), ("span_days", "3"), ("window", "plan")]);
    assert_eq!(store.load_learnt(&source()).await.unwrap(), both);
    store.save_learnt(&source(), &both, &both).await.unwrap();
    assert_eq!(store.load_learnt(&source()).await.unwrap(), both, "nothing is new");
}
