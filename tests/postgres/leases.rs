//! Leases on a real server: one holder at a time, old tokens refused, heirs that take over what is left.

use std::time::{Duration, Instant};

use nightbell::model::{Attempt, AttemptOutcome, DeliveryState, ReceiverId};
use nightbell::store::{
    Deliveries as _, FallbackDeliveries as _, Fence, KnownReceiver, Leases as _, Mode, Outbox as _, PollCommit,
    PollLedger as _, Replica, Settled, SqlStore, StoreError, Upkeep as _,
};
use sqlx::{Connection as _, Executor as _};

use crate::sample::{at, commit, delivery, fresh_database, replica, source};

const LONG: Duration = Duration::from_secs(60);

fn fence(name: &str, token: i64) -> Fence {
    Fence { name: name.into(), token }
}

/// Takes a lease, if it is free. Returns the token.
async fn take(store: &SqlStore, name: &str, me: &Replica, span: Duration) -> Option<i64> {
    store.take(&[name.to_string()], me, span).await.unwrap().pop().map(|fence| fence.token)
}

/// Takes a lease as soon as it is free.
async fn taken(store: &SqlStore, name: &str, me: &Replica, span: Duration) -> i64 {
    let began = Instant::now();
    loop {
        if let Some(token) = take(store, name, me, span).await {
            return token;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the lease was never free");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_write_under_an_old_token_is_refused_and_leaves_nothing() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let (one, two) = (replica("one", "f"), replica("two", "f"));
    let first = take(&store, "poll/warehouse", &one, Duration::from_millis(300)).await.unwrap();
    assert_eq!(take(&store, "poll/warehouse", &two, LONG).await, None, "it is held");
    let old = store.fenced(fence("poll/warehouse", first));
    old.commit_poll(&commit(0)).await.unwrap();
    let second = taken(&store, "poll/warehouse", &two, LONG).await;
    assert!(second > first);
    let refused = old.commit_poll(&PollCommit { deliveries: vec![delivery("d1", "pager")], ..commit(1) }).await;
    assert_eq!(refused, Err(StoreError::Fenced("poll/warehouse".into())));
    assert!(store.deliveries(9).await.unwrap().is_empty());
    assert_eq!(store.renew(&[(fence("poll/warehouse", first), None)], 1, LONG).await.unwrap(), Vec::<String>::new());
    let heir = store.fenced(fence("poll/warehouse", second));
    heir.commit_poll(&commit(1)).await.unwrap();
    store.give_up(&[fence("poll/warehouse", second)]).await.unwrap();
    assert!(matches!(heir.commit_poll(&commit(2)).await, Err(StoreError::Fenced(_))), "it was given up");
    assert_eq!(store.load_source(&source()).await.unwrap().generation, 2);
    assert!(take(&store, "poll/warehouse", &one, LONG).await.is_some(), "what is given up is free at once");
}

#[tokio::test]
async fn a_write_under_way_keeps_others_from_taking_the_lease_and_not_its_holder_from_renewing() {
    let url = fresh_database();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let (one, two) = (replica("one", "f"), replica("two", "f"));
    let token = take(&store, "watch", &one, Duration::from_millis(400)).await.unwrap();
    let mut write = sqlx::AnyConnection::connect(&url).await.unwrap();
    write.execute(sqlx::raw_sql("BEGIN; SELECT 1 FROM lease WHERE name = 'watch' FOR KEY SHARE")).await.unwrap();
    let held = [(fence("watch", token), Some("looks".into()))];
    let renewed = store.renew(&held, 2, Duration::from_millis(400));
    let renewed = tokio::time::timeout(Duration::from_secs(5), renewed).await.expect("renewing waited").unwrap();
    assert_eq!(renewed, ["watch"]);
    assert_eq!(store.look(None).await.unwrap().leases[0].configuration, 2, "its loop goes by another one by now");
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Who takes does not wait for it, and gets what else is free.
    let both = ["own", "watch"].map(String::from);
    let taking = tokio::time::timeout(Duration::from_secs(5), store.take(&both, &two, LONG));
    let taken = taking.await.expect("taking waited for a write").unwrap();
    let names: Vec<&str> = taken.iter().map(|fence| fence.name.as_str()).collect();
    assert_eq!(names, ["own"], "a lease was taken while a write under it is open, or another one was not");
    write.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
    assert!(take(&store, "watch", &two, LONG).await.is_some_and(|next| next > token));
}

/// What was claimed under the token of one lease is not taken for what was claimed under that of another one: receivers share
/// a lease when the configuration has them share a destination, and then it has another name.
#[tokio::test]
async fn an_heir_by_a_lease_of_another_name_takes_back_what_was_claimed() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let pager = ReceiverId::new("pager");
    let deliveries = (0..3).map(|number| delivery(&format!("p{number}"), "pager")).collect();
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    let (one, two) = (replica("one", "f"), replica("two", "f"));
    let first = take(&store, "deliver/pager", &one, Duration::from_millis(300)).await.unwrap();
    let old = store.fenced(fence("deliver/pager", first));
    assert_eq!(old.claim(&pager, at(1), 2).await.unwrap().len(), 2);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(matches!(old.claim(&pager, at(1), 2).await, Err(StoreError::Fenced(_))));
    let second = take(&store, "deliver/pager+team", &two, LONG).await.unwrap();
    assert_ne!(first, second);
    let heir = store.fenced(fence("deliver/pager+team", second));
    assert_eq!(heir.inherit(&pager, at(2)).await.unwrap(), 2, "what was claimed is stuck for ever");
    assert_eq!(heir.claim(&pager, at(2), 9).await.unwrap().len(), 3);
}

/// A standby that takes over may not have heard of the last taking. Its holder believes in its lease still, and whoever takes
/// it next must not have the same token.
#[tokio::test]
async fn a_token_that_a_failover_of_the_database_has_lost_is_not_given_again() {
    let url = fresh_database();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let (one, two) = (replica("one", "f"), replica("two", "f"));
    let before = take(&store, "watch", &one, Duration::from_millis(1)).await.unwrap();
    let lost = taken(&store, "watch", &one, LONG).await;
    let mut standby = sqlx::AnyConnection::connect(&url).await.unwrap();
    let forgets = format!("UPDATE lease SET token = {before}, until = taken_at WHERE name = 'watch'");
    standby.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(forgets))).await.unwrap();
    let second = taken(&store, "watch", &two, LONG).await;
    assert!(second > lost, "{lost} was given to two");
    let old = store.fenced(fence("watch", lost));
    assert!(matches!(old.keep_pause(&ReceiverId::new("pager"), at(1)).await, Err(StoreError::Fenced(_))));
    let renewed = store.renew(&[(fence("watch", lost), None)], 1, LONG).await.unwrap();
    assert_eq!(renewed, Vec::<String>::new(), "it was renewed for who has it no longer");
}

#[tokio::test]
async fn an_heir_takes_back_what_was_claimed_before_and_leaves_living_claims_alone() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let (pager, team) = (ReceiverId::new("pager"), ReceiverId::new("team"));
    let mut deliveries: Vec<_> = (0..4).map(|number| delivery(&format!("p{number}"), "pager")).collect();
    deliveries.extend((0..4).map(|number| delivery(&format!("t{number}"), "team")));
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    let (one, two) = (replica("one", "f"), replica("two", "f"));
    let first = take(&store, "deliver/pager", &one, Duration::from_millis(300)).await.unwrap();
    let living = take(&store, "deliver/team", &one, LONG).await.unwrap();
    let (old, alive) = (store.fenced(fence("deliver/pager", first)), store.fenced(fence("deliver/team", living)));
    assert_eq!(old.claim(&pager, at(1), 3).await.unwrap().len(), 3);
    assert_eq!(alive.claim(&team, at(1), 4).await.unwrap().len(), 4);
    let heir = store.fenced(fence("deliver/pager", taken(&store, "deliver/pager", &two, LONG).await));
    assert_eq!(heir.inherit(&pager, at(2)).await.unwrap(), 3);
    assert_eq!(heir.inherit(&pager, at(2)).await.unwrap(), 0, "once");
    assert_eq!(alive.inherit(&team, at(2)).await.unwrap(), 0, "its own claims live");
    let again = heir.claim(&pager, at(2), 9).await.unwrap();
    assert_eq!(again.iter().map(|one| one.attempts).sum::<u32>(), 3, "each may have been sent once");
    assert_eq!(again.len(), 4);
    assert_eq!(heir.inherit(&pager, at(3)).await.unwrap(), 0, "and are not taken from itself");
    let states = store.deliveries(20).await.unwrap();
    assert!(states.iter().all(|one| one.state == DeliveryState::Pending));
}

#[tokio::test]
async fn a_restart_with_older_files_does_not_put_them_in_force_and_a_reload_does() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    assert_eq!(store.begin_generation("old", false, at(0)).await.unwrap(), 1);
    assert_eq!(store.begin_generation("old", true, at(1)).await.unwrap(), 1, "another replica has read the same");
    assert_eq!(store.begin_generation("new", false, at(2)).await.unwrap(), 2);
    assert_eq!(store.begin_generation("old", false, at(3)).await.unwrap(), 1);
    assert_eq!(store.look(None).await.unwrap().in_force, (2, "new".to_string()));
    assert_eq!(store.begin_generation("old", true, at(4)).await.unwrap(), 3);
    assert_eq!(store.look(Some(&replica("one", "old"))).await.unwrap().in_force, (3, "old".to_string()));
    let standing = store.look(None).await.unwrap();
    assert_eq!(standing.replicas.iter().map(|one| one.replica.id.as_str()).collect::<Vec<_>>(), ["one"]);
    store.leave("one").await.unwrap();
    assert!(store.look(None).await.unwrap().replicas.is_empty());
}

#[tokio::test]
async fn a_pause_that_a_channel_asked_for_outlives_who_heard_it() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let (pager, team) = (ReceiverId::new("pager"), ReceiverId::new("team"));
    // It is stored with the outcome: who dies the moment after has left it.
    store.commit_poll(&PollCommit { deliveries: vec![delivery("t1", "team")], ..commit(0) }).await.unwrap();
    let claimed = store.claim(&team, at(1), 1).await.unwrap();
    let throttled = Settled {
        id: claimed[0].notification.id.clone(),
        attempt_number: 1,
        started_at: at(1),
        ended_at: at(2),
        attempt: Attempt {
            retry_after: Some(LONG),
            ..Attempt::failed(AttemptOutcome::Throttled, Some("429".into()), "")
        },
        state: DeliveryState::Pending,
        last_error: None,
        next_attempt_at: Some(at(300)),
        patience_spent: Duration::ZERO,
    };
    store.settle(&[throttled]).await.unwrap();
    assert_eq!(store.paused_until(&team).await.unwrap(), Some(at(62)));
    assert_eq!(store.paused_until(&pager).await.unwrap(), None);
    store.keep_pause(&pager, at(60)).await.unwrap();
    store.keep_pause(&pager, at(90)).await.unwrap();
    assert_eq!(store.paused_until(&pager).await.unwrap(), Some(at(90)));
}

/// A replica that still has the older file, which restarts or wakes, must not give up what the newer one has pending.
#[tokio::test]
async fn only_the_configuration_in_force_says_which_receivers_are_gone() {
    let url = fresh_database();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let known = |ids: &[&str]| -> Vec<KnownReceiver> {
        ids.iter().map(|id| KnownReceiver { id: ReceiverId::new(*id), fallback: None }).collect()
    };
    store.begin_generation("old", false, at(0)).await.unwrap();
    store.keep_receivers(&known(&["pager"]), Some("old"), at(0)).await.unwrap();
    store.begin_generation("new", false, at(1)).await.unwrap();
    store.keep_receivers(&known(&["pager", "added"]), Some("new"), at(1)).await.unwrap();
    let deliveries = ["a1", "a2", "a3"].map(|id| delivery(id, "added")).to_vec();
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    assert!(store.keep_receivers(&known(&["pager"]), Some("old"), at(2)).await.unwrap().is_empty());
    let states = async || {
        let all = store.deliveries(9).await.unwrap();
        (all.iter().filter(|one| one.state == DeliveryState::Pending).count(), all.len())
    };
    assert_eq!(states().await, (3, 3), "the older file gave up what the newer one has pending");
    // One is claimed by a lane that dies, and has no heir once its receiver is gone.
    assert_eq!(store.claim(&ReceiverId::new("added"), at(3), 1).await.unwrap().len(), 1);
    let gone = store.keep_receivers(&known(&["pager"]), Some("new"), at(4)).await.unwrap();
    assert_eq!((gone, states().await), (known(&["added"]), (1, 3)), "one is under way");
    store.keep_receivers(&known(&["pager"]), Some("new"), at(3 + 20 * 60 + 1)).await.unwrap();
    assert_eq!(states().await, (0, 3));

    // While it is being said, no other configuration takes effect; and a lease that is lost says nothing.
    let mut saying = sqlx::AnyConnection::connect(&url).await.unwrap();
    saying.execute(sqlx::raw_sql("BEGIN; SELECT 1 FROM generation WHERE fingerprint = 'new' FOR SHARE")).await.unwrap();
    let newest = store.begin_generation("newest", false, at(5));
    tokio::pin!(newest);
    tokio::select! {
        _ = &mut newest => panic!("another configuration took effect half-way"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    saying.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
    assert_eq!(newest.await.unwrap(), 3);
    let token = take(&store, "fallback", &replica("one", "newest"), LONG).await.unwrap();
    let held = store.fenced(fence("fallback", token));
    store.give_up(&[fence("fallback", token)]).await.unwrap();
    let refused = held.keep_receivers(&known(&[]), Some("newest"), at(6)).await;
    assert_eq!(refused, Err(StoreError::Fenced("fallback".into())));
}

/// How long a lease is free is counted from when it was given up: who gave it up leaves it to others for a while.
#[tokio::test]
async fn a_lease_is_free_from_when_it_was_given_up() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let one = replica("one", "f");
    let token = take(&store, "watch", &one, LONG).await.unwrap();
    store.give_up(&[fence("watch", token)]).await.unwrap();
    let standing = store.look(None).await.unwrap();
    let free = standing.now.duration_since(standing.leases[0].until).unsigned_abs();
    assert!(standing.leases[0].holder.is_none() && free < Duration::from_secs(5), "{free:?}");
}

/// Several replicas that see the same leases become free take each of them once, and wait for nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_take_all_at_once_one_has_each() {
    let url = fresh_database();
    let names: Vec<String> = (0..13).map(|number| format!("deliver/{number:02}")).collect();
    let mut tokens = std::collections::BTreeMap::new();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(std::sync::Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap()));
    }
    for round in 0..20 {
        let takers = stores.iter().enumerate().map(|(number, store)| {
            let (store, names) = (std::sync::Arc::clone(store), names.clone());
            tokio::spawn(async move {
                let taken = store.take(&names, &replica(&format!("{round}/{number}"), "f"), LONG).await.unwrap();
                (number, taken)
            })
        });
        let mut all = Vec::new();
        for taker in takers {
            all.push(taker.await.unwrap());
        }
        // Who finds one locked leaves it to who has locked it; so all of them are somebody's.
        let taken: Vec<&Fence> = all.iter().flat_map(|(_, taken)| taken).collect();
        assert_eq!(taken.len(), names.len(), "round {round}: {all:?}");
        for Fence { name, token } in taken {
            let before = tokens.insert(name.clone(), *token);
            assert!(before.is_none_or(|before| before < *token), "round {round}: {name}: {before:?}, {token}");
        }
        for (number, taken) in &all {
            stores[*number].give_up(taken).await.unwrap();
        }
    }
}

/// What is free, or will be in a moment, is seen without a whole look: given up, over, or held by who has said goodbye.
#[tokio::test]
async fn a_free_lease_is_seen_at_once() {
    let store = SqlStore::open(&fresh_database(), Mode::Work).await.unwrap();
    let (one, names) = (replica("one", "f"), ["own", "watch"].map(String::from));
    store.look(Some(&one)).await.unwrap();
    let is_free = async || store.is_one_free(&names).await.unwrap();
    let held = store.take(&names, &one, LONG).await.unwrap();
    assert_eq!((held.len(), is_free().await), (2, false));
    store.give_up(&held[..1]).await.unwrap();
    assert!(is_free().await, "it was given up");
    assert!(!store.is_one_free(&["other".into()]).await.unwrap(), "no loop is by it");
    assert!(take(&store, &held[0].name, &one, Duration::from_millis(1)).await.is_some());
    while !is_free().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(take(&store, &held[0].name, &one, LONG).await.is_some());
    assert!(!is_free().await);
    store.leave("one").await.unwrap();
    assert!(is_free().await, "its holder stops");
}
