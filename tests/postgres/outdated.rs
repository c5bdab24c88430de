//! Nightbell tells of a replica whose configuration is not the one in force.

use std::sync::Arc;

use jiff::SignedDuration;
use nightbell::store::{Archive as _, Leases as _, Mode, Replica, SqlStore, Upkeep as _};

use crate::own::{config, watch};
use crate::sample::{at, fresh_database};

#[tokio::test]
async fn a_replica_with_another_file_is_told_of_after_five_minutes_and_its_end_too() {
    let store = Arc::new(SqlStore::open(&fresh_database(), Mode::Work).await.unwrap());
    store.begin_generation("older", false, at(0)).await.unwrap();
    store.begin_generation("newer", false, at(0)).await.unwrap();
    let replica = |host: &str, fingerprint: &str, configuration| Replica {
        id: format!("{host}-7"),
        host: host.into(),
        pid: 7,
        version: "1".into(),
        clock_ahead_ms: 0,
        configuration,
        fingerprint: fingerprint.into(),
    };
    let mut watch = watch(&config("self: { notify: [team] }"), &store, at(0));
    let mut look = async |minutes: i64, second: &str| {
        store.look(Some(&replica("bell1", "newer", 2))).await.unwrap();
        store.look(Some(&replica("bell2", second, 1))).await.unwrap();
        watch.pass(at(0) + SignedDuration::from_mins(minutes)).await.unwrap()
    };
    assert_eq!(look(0, "older").await, 0);
    assert_eq!(look(4, "older").await, 0, "files are changed on one machine after the other");
    assert_eq!(look(5, "older").await, 1);
    assert_eq!(look(9, "older").await, 0, "once");
    assert_eq!(look(10, "newer").await, 1, "and once that it is over");
    let alerts = store.alerts(9).await.unwrap();
    assert_eq!(alerts.len(), 1);
    let part = &alerts[0].facts.alert;
    assert_eq!((part.rule.as_str(), alerts[0].facts.job.name.as_str()), ("self/replica-outdated", "bell2 (7)"));
    let words = "replica bell2 (7) of Nightbell no longer stands by with another configuration after 10m 0s";
    assert_eq!(part.summary, words);
}
