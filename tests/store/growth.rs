//! What the store answers again and again takes no longer the more is stored, and for each thing that is open no longer the more
//! is open.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nightbell::limits::INHIBITING_MAX;
use nightbell::model::{AlertId, DeliveryId, MessageKind, Notification, ReceiverId, RuleId, RuleStep};
use nightbell::store::{
    Desk as _, FallbackDeliveries as _, FallbackDelivery, Groups as _, Outbox as _, OwnAlerts as _, PollLedger as _,
    SqlStore, Steps as _,
};

use crate::sample::{Place, alert, at, delivery, source};

/// A store, and a way to it beside it by which what was measured is undone.
struct Held {
    store: SqlStore,
    aside: sqlx::AnyPool,
    stored: usize,
    open: usize,
    _place: Place,
}

impl Held {
    async fn execute(&self, statements: &[&str]) {
        for statement in statements {
            sqlx::query(sqlx::AssertSqlSafe((*statement).to_string())).execute(&self.aside).await.unwrap();
        }
    }
}

/// A store with `open` alerts that fire, each with a delivery that waits for its group, one that is due, and one that waits for
/// a group of them all, and `stored` runs, deliveries and alerts of the past, one every ten minutes.
async fn holding(stored: usize, open: usize) -> Held {
    let place = Place::new();
    place.open().await.close().await;
    let facts = serde_json::to_string(&alert("a", "etl").facts).unwrap().replace('\'', "''");
    let now = at(0).as_millisecond();
    let rows = format!(
        "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {}) ",
        stored + open
    );
    let alerts = format!(
        "{rows} INSERT INTO alert (id, source, job, instance, rule, state, facts, resolves_on_end, receivers, created_at, ended_at) \
         SELECT 'a' || i, 'warehouse', 'job' || (i % 500), i, 'etl-failed', \
           CASE WHEN i > {stored} THEN 'firing' ELSE 'resolved' END, '{facts}', 0, '[\"pager\"]', {now} - 100000 + i, \
           CASE WHEN i > {stored} THEN NULL ELSE {now} - 600000 * ({stored} - i) END FROM n"
    );
    let runs = format!(
        "{rows} INSERT INTO instance (source, job, id, status, raw_status, kind, plan_time, start_time, end_time, ended, changed_at) \
         SELECT 'warehouse', 'job' || (i % 500), i, 'fail', 'fail', 'scheduled', {now} - 600000 * ({stored} - i), \
           {now} - 600000 * ({stored} - i), {now} - 600000 * ({stored} - i) + 60000, 1, {now} FROM n WHERE i <= {stored}"
    );
    let told = |prefix: &str, receiver: &str, group: &str, told: &str| {
        format!(
            "{rows} INSERT INTO delivery (id, alert, rule, receiver, kind, state, attempts, done, created_at, next_attempt_at, \
               delivered_at, content, urgency, group_key, group_interval, group_repeat, group_told_at) \
             SELECT '{prefix}' || i, 'a' || i, 'etl-failed', '{receiver}', 'alert.firing', \
               CASE WHEN i > {stored} THEN 'pending' ELSE 'delivered' END, 0, '[]', {now} - 100000 + i, \
               CASE WHEN i > {stored} THEN {now} - 1000 END, CASE WHEN i > {stored} THEN NULL ELSE {now} END, \
               '{{\"body\":\"b\"}}', 3, {group}, {told} FROM n"
        )
    };
    let waiting = told(
        "w",
        "pager",
        "'g' || (i % 5), 60000, 60000",
        &format!("CASE WHEN i > {stored} THEN NULL ELSE {now} - 90000000 END"),
    );
    let due = told("d", "mail", "NULL, NULL, NULL", "NULL");
    let gathering = told("t", "team", "'all', 60000, 60000", "NULL") + &format!(" WHERE i > {stored}");
    let attempts = format!(
        "{rows} INSERT INTO attempt (delivery, number, started_at, ended_at, outcome) \
         SELECT 'd' || i, 1, {now} - 90000000, {now} - 90000000, 'delivered' FROM n WHERE i <= {stored}"
    );
    sqlx::any::install_default_drivers();
    let aside = sqlx::AnyPool::connect(&place.raw_url()).await.unwrap();
    let polled = format!(
        "INSERT INTO source (id, generation, known_rules, polled_at, read_until) VALUES ('warehouse', 1, '[]', {now}, {now})"
    );
    for statement in [polled, runs, alerts, waiting, due, gathering, attempts] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&aside).await.unwrap();
    }
    let store = place.open().await;
    Held { store, aside, stored, open, _place: place }
}

/// How long a question took.
struct Took {
    name: &'static str,
    time: Duration,
    /// Whether it answers or changes all that is open, and so may take as much longer as there is more of that.
    is_of_all: bool,
}

/// The shortest time of some, of each question.
async fn times(held: &Held) -> Vec<Took> {
    let Held { store, stored, open, .. } = held;
    let (stored, open) = (*stored, *open);
    let [pager, mail, team] = ["pager", "mail", "team"].map(ReceiverId::new);
    let now = at(0);
    let opened: Vec<String> = (stored + 1..=stored + open).map(|number| number.to_string()).collect();
    let named =
        |prefix: &str| opened.iter().map(|number| DeliveryId::new(format!("{prefix}{number}"))).collect::<Vec<_>>();
    let (gathering, due) = (named("t"), named("d"));
    let whole = Notification { kind: MessageKind::AlertGroup, ..delivery("whole", "team") };
    let instead = |number: &String| FallbackDelivery {
        original: DeliveryId::new(format!("w{number}")),
        delivery: Notification {
            alert: Some(AlertId::new(format!("a{number}"))),
            ..delivery(&format!("f{number}"), "other")
        },
    };
    let instead: Vec<FallbackDelivery> = opened.iter().take(100).map(instead).collect();
    let end = |number: &String| Notification {
        alert: Some(AlertId::new(format!("a{number}"))),
        follows: Some(DeliveryId::new(format!("d{number}"))),
        kind: MessageKind::AlertResolved,
        ..delivery(&format!("e{number}"), "mail")
    };
    let ends: Vec<Notification> = opened.iter().map(end).collect();
    let step =
        RuleStep { rule: RuleId::new("etl-failed"), number: 2, after: Duration::from_secs(1), unless_acked: true };
    let mut best: Vec<Took> = Vec::new();
    for round in 0..4 {
        let mut place = 0;
        macro_rules! timed {
            ($name:literal, $asked:expr) => {
                timed!($name, $asked, false)
            };
            ($name:literal, $asked:expr, $is_of_all:literal) => {{
                let began = Instant::now();
                let answer = $asked.await.unwrap();
                let time = began.elapsed();
                match round {
                    0 => best.push(Took { name: $name, time, is_of_all: $is_of_all }),
                    _ => best[place].time = best[place].time.min(time),
                }
                place += 1;
                answer
            }};
        }
        assert_eq!(timed!("told_and_firing", store.told_and_firing(&[source()], 100)).len(), 100);
        assert_eq!(timed!("queue", store.queue(&mail, now, 100)).len(), 100);
        let claimed = timed!("claim", store.claim(&mail, now, 100));
        assert_eq!(claimed.len(), 100);
        let claimed: Vec<_> = claimed.into_iter().map(|one| one.notification.id).collect();
        timed!("release", store.release(&claimed));
        assert_eq!(timed!("mergeable", store.mergeable(&claimed)).len(), 100);
        timed!("next_due", store.next_due(&mail, now));
        timed!("next_due of what waits", store.next_due(&pager, now));
        assert_eq!(timed!("count_due", store.count_due(&mail, now)), open as u64);
        assert_eq!(timed!("attempts_since", store.attempts_since(now)).len(), 0);
        assert_eq!(timed!("due_groups", store.due_groups(&pager, now, now)).len(), 5);
        assert_eq!(timed!("gathered", store.gathered(&pager, "g1", 100)).len(), 100);
        timed!("unrepeated", store.unrepeated(now));
        timed!("undelivered", store.undelivered(&mail, (now, now), 10, now));
        timed!("oldest_undelivered", store.oldest_undelivered(&mail));
        timed!("due_steps", store.due_steps(std::slice::from_ref(&step), (at(-200), at(500)), None, 10));
        timed!("next_step", store.next_step(std::slice::from_ref(&step), now));
        timed!("escalated_ends", store.escalated_ends(10));
        timed!("own_state", store.own_state(now));
        timed!("reclaim", store.reclaim(now));
        timed!("active_silences", store.active_silences(now));
        let day_before = (at(-86_400 - 3600), at(-86_400));
        assert!(!timed!("planned_jobs", store.planned_jobs(&source(), day_before.0, day_before.1)).is_empty());
        assert_eq!(timed!("add_fallbacks", store.add_fallbacks(&instead)), 100);
        held.execute(&[
            "UPDATE delivery SET fallback = NULL WHERE receiver = 'pager' AND fallback IS NOT NULL",
            "DELETE FROM delivery WHERE receiver = 'other'",
        ])
        .await;
        // What is answered, or changed, for all that is open.
        let loaded = timed!("load_source", store.load_source(&source()), true);
        assert_eq!(loaded.firing.firing().count(), open);
        let firing = timed!("told_and_firing, all", store.told_and_firing(&[source()], INHIBITING_MAX + 1), true);
        assert_eq!(firing.len(), open);
        assert_eq!(timed!("gathered, all", store.gathered(&team, "all", open), true).len(), open);
        assert_eq!(timed!("mergeable, all", store.mergeable(&due), true).len(), open);
        assert!(timed!("merge, all", store.merge(&whole, &gathering), true), "they are pending");
        timed!("ends of what is pending, all", store.tell_again(&ends), true);
        held.execute(&[
            &format!(
                "UPDATE delivery SET state = 'pending', merged_into = NULL, next_attempt_at = {} WHERE merged_into = 'whole'",
                now.as_millisecond() - 1000
            ),
            "DELETE FROM delivery WHERE id = 'whole' OR kind = 'alert.resolved'",
        ])
        .await;
        assert_eq!(place, best.len());
    }
    best
}

/// Asks the same of both stores, and prints what came of it. A busy machine has its moments: what is slow once may have been
/// disturbed, what is slow each time is slow. What is answered for all that is open may take as much longer as there is more
/// of that, and two and a half times that.
async fn slow(small: &Held, large: &Held, bar: u32) -> BTreeSet<&'static str> {
    let slack = Duration::from_millis(3);
    let more = u32::try_from(large.open / small.open).unwrap();
    let mut slow = BTreeSet::new();
    for round in 0..3 {
        let (few, many) = (times(small).await, times(large).await);
        let mut now_slow = BTreeSet::new();
        for (few, many) in few.iter().zip(&many) {
            let allowed = if few.is_of_all { few.time * more * 5 / 2 } else { few.time * bar };
            let is_slow = many.time > allowed + slack;
            let ratio = many.time.as_secs_f64() / few.time.as_secs_f64();
            let of_all = if few.is_of_all { format!(", of {more} times as many") } else { String::new() };
            let mark = if is_slow { " SLOW" } else { "" };
            println!("{}: {:?}, {:?}: {ratio:.1}x{of_all}{mark}", few.name, few.time, many.time);
            if is_slow {
                now_slow.insert(few.name);
            }
        }
        slow = if round == 0 { now_slow } else { &slow & &now_slow };
        if slow.is_empty() {
            break;
        }
    }
    slow
}

/// Four times as much is open, and forty times as much is stored: a scan of what is stored, and what grows with the square of
/// what is open, stands out.
#[tokio::test]
async fn what_is_asked_often_grows_no_faster_than_what_is_open_and_not_with_what_is_stored() {
    let (small, large) = (holding(1_000, 500).await, holding(40_000, 2_000).await);
    let slow = slow(&small, &large, 8).await;
    assert!(slow.is_empty(), "{slow:#?}");
}

/// The same at the size of a large installation after a bad night. It prints what each question takes in both.
#[tokio::test]
#[ignore = "it fills a store for minutes: cargo test --release --test it -- --ignored --nocapture with_300_000_deliveries"]
async fn with_300_000_deliveries_and_5_000_due_nothing_takes_ten_times_as_long_as_with_3_000() {
    let (small, large) = (holding(3_000, 500).await, holding(300_000, 5_000).await);
    let slow = slow(&small, &large, 10).await;
    assert!(slow.is_empty(), "{slow:#?}");
}
