//! What a server with several clients does differently from a file with one writer, each shown on a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use nightbell::limits;
use nightbell::model::{Ack, AlertId, ReceiverId, SourceId, Status};
use nightbell::store::{
    Archive as _, Deliveries as _, Desk as _, Mode, NewSilence, Outbox as _, PollCommit, PollLedger as _, SqlStore,
    StoreError, Upkeep as _,
};
use sqlx::{Connection as _, Executor as _, Row as _};

use crate::cluster;
use crate::sample::{alert, at, commit, delivery, fresh_database, instance, source};

/// Several stores on one fresh database, as replicas have them.
async fn replicas<const N: usize>() -> (String, [Arc<SqlStore>; N]) {
    let url = fresh_database();
    let mut stores = Vec::new();
    for _ in 0..N {
        stores.push(Arc::new(SqlStore::open(&url, Mode::Work).await.unwrap()));
    }
    (url, stores.try_into().ok().unwrap())
}

/// A connection beside the stores.
async fn beside(url: &str) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    sqlx::AnyConnection::connect(url).await.unwrap()
}

async fn number(connection: &mut sqlx::AnyConnection, query: &'static str) -> i64 {
    sqlx::query(query).fetch_one(connection).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_claimed_once_however_many_claim() {
    let (_url, stores) = replicas::<4>().await;
    let deliveries: Vec<_> = (0..400).map(|number| delivery(&format!("d{number:03}"), "pager")).collect();
    stores[0].commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    let claims = stores.iter().map(|store| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let some = store.claim(&ReceiverId::new("pager"), at(1), 7).await.unwrap();
                if some.is_empty() {
                    return claimed;
                }
                claimed.extend(some.iter().map(|one| one.id.clone()));
            }
        })
    });
    let claimed: Vec<_> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), claimed.len(), "a delivery was claimed twice");
    // Whoever looks while the others hold the last rows finds none: they come up again.
    let left = stores[0].claim(&ReceiverId::new("pager"), at(1), 400).await.unwrap().len();
    assert_eq!(claimed.len() + left, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silences_that_are_made_at_once_get_numbers_of_their_own() {
    let (_url, stores) = replicas::<3>().await;
    let new =
        || NewSilence { concerns: Default::default(), reason: "a move".into(), by: "ana".into(), ends_at: at(3600) };
    let made = (0..30).map(|number| {
        let store = Arc::clone(&stores[number % 3]);
        tokio::spawn(async move { store.add_silence(&new(), at(0)).await.unwrap().0 })
    });
    let numbers: BTreeSet<i64> = join_all(made).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, (1..=30).collect());
}

#[tokio::test]
async fn a_nul_in_foreign_text_does_not_refuse_the_commit() {
    let (_url, [store]) = replicas::<1>().await;
    let mut poll = commit(0);
    poll.instances = vec![instance("etl\0orders", "7\0", Status::Fail)];
    poll.instances[0].raw_status = "fa\0il".into();
    poll.fired = vec![alert("a1", "etl\0orders")];
    poll.incomplete = Some("9 of\0 10".into());
    store.commit_poll(&poll).await.unwrap();
    store.record_unreadable(&SourceId::new("lake"), at(0), "50\u{0}3").await.unwrap();
    assert_eq!(store.load_source(&source()).await.unwrap().generation, 1);
    assert_eq!(store.job_names(None).await.unwrap(), ["etl\u{fffd}orders"]);
    assert_eq!(store.alerts(9).await.unwrap()[0].facts.job.name, "etl\u{fffd}orders");
    let reasons: Vec<String> = store
        .sources()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|it| it.incomplete.or(it.unreadable.map(|(_, reason)| reason)))
        .collect();
    assert_eq!(reasons, ["50\u{fffd}3", "9 of\u{fffd} 10"]);
    // What people say is not refused either, whoever lets it in.
    let alert = AlertId::new("a1");
    let ack = Ack { by: "ki\0m".into(), reason: Some("loo\0king".into()), at: at(1) };
    store.ack(std::slice::from_ref(&alert), &ack).await.unwrap();
    assert_eq!(store.acks().await.unwrap()[&alert].by, "ki\u{fffd}m");
    let new =
        NewSilence { concerns: Default::default(), reason: "a\0move".into(), by: "an\0a".into(), ends_at: at(3600) };
    let id = store.add_silence(&new, at(0)).await.unwrap();
    let expired = store.expire_silence(id, "le\0e", at(1)).await.unwrap().unwrap();
    assert_eq!((expired.reason.as_str(), expired.by.as_str()), ("a\u{fffd}move", "an\u{fffd}a"));
}

#[tokio::test]
async fn the_order_of_texts_is_that_of_their_bytes_whatever_the_language_of_the_database() {
    let url = cluster::empty_database("LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0");
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let mut connection = beside(&url).await;
    let in_english = number(&mut connection, "SELECT CASE WHEN 'a' < 'B' THEN 1 ELSE 0 END").await;
    assert_eq!(in_english, 1, "the database does not sort by a language, which would prove nothing");
    let names = ["B", "a", "Z", "é", "b-2", "b_1", "b1"];
    let instances = names.map(|name| instance(name, "1", Status::Success)).to_vec();
    let fired = ["B1", "a1", "Z1"].map(|id| alert(id, id)).to_vec();
    store.commit_poll(&PollCommit { instances, fired, ..commit(0) }).await.unwrap();
    let mut sorted = names.map(String::from);
    sorted.sort();
    assert_eq!(store.job_names(None).await.unwrap(), sorted);
    let of_prefix = store.alerts_named("B").await.unwrap();
    assert_eq!(of_prefix.iter().map(|alert| alert.id.as_str()).collect::<Vec<_>>(), ["B1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_poll_remembers_is_of_one_commit() {
    let (_url, [store, other]) = replicas::<2>().await;
    store.commit_poll(&commit(0)).await.unwrap();
    let writing = tokio::spawn(async move {
        for generation in 1..120 {
            let id = format!("{generation}");
            let poll = PollCommit {
                instances: vec![instance("etl", &id, Status::Running)],
                fired: vec![alert(&format!("a{id}"), &format!("etl{id}"))],
                ..commit(generation)
            };
            other.commit_poll(&poll).await.unwrap();
        }
    });
    let mut seen = BTreeSet::new();
    while !writing.is_finished() {
        let memory = store.load_source(&source()).await.unwrap();
        let counts = (memory.generation - 1, memory.runs.len() as i64, memory.firing.firing().count() as i64);
        assert_eq!((counts.1, counts.2), (counts.0, counts.0), "two commits were mixed");
        seen.insert(counts.0);
    }
    writing.await.unwrap();
    assert!(seen.len() > 3, "{seen:?}");
}

#[tokio::test]
async fn a_transaction_that_a_deadlock_ends_is_done_again() {
    let (url, [store]) = replicas::<1>().await;
    store.commit_poll(&commit(0)).await.unwrap();
    let mut other = beside(&url).await;
    // The server looks for deadlocks on behalf of who waits; this one does not have it look.
    other.execute(sqlx::raw_sql("SET deadlock_timeout = '1min'; BEGIN; UPDATE moment SET last = last")).await.unwrap();
    let poll = PollCommit { instances: vec![instance("etl", "1", Status::Fail)], ..commit(1) };
    let polling = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit_poll(&poll).await })
    };
    let mut watching = beside(&url).await;
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while number(&mut watching, waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The poll has the source and waits for the moment; this has the moment and wants the source.
    other.execute("UPDATE source SET polled_at = polled_at").await.unwrap();
    other.execute("COMMIT").await.unwrap();
    polling.await.unwrap().unwrap();
    assert_eq!(store.load_source(&source()).await.unwrap().generation, 2);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let began = std::time::Instant::now();
    while number(&mut watching, deadlocks).await == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "there was no deadlock");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_leaves_no_transaction_behind() {
    let (url, [store]) = replicas::<1>().await;
    store.commit_poll(&commit(0)).await.unwrap();
    let mut random = crate::program::Random::from_environment();
    for _ in 0..300 {
        let store = Arc::clone(&store);
        let which = random.below(3);
        let call = tokio::spawn(async move {
            match which {
                0 => drop(store.beat(at(0)).await),
                1 => drop(store.load_source(&source()).await),
                _ => drop(store.record_unreadable(&source(), at(1), "401").await),
            }
        });
        tokio::time::sleep(Duration::from_micros(random.below(3000))).await;
        call.abort();
        drop(call.await);
    }
    let mut watching = beside(&url).await;
    let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'nightbell' AND state LIKE 'idle in transaction%'";
    let began = std::time::Instant::now();
    while number(&mut watching, open).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "a transaction was left open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Every connection that is handed out now sees what is committed, and commits what it is given.
    for round in 1..20 {
        store.commit_poll(&commit(round)).await.unwrap();
        assert_eq!(store.load_source(&source()).await.unwrap().generation, round + 1);
    }
}

#[tokio::test]
async fn a_database_that_is_none_of_ours_is_refused_and_left_alone() {
    let refusal = async |url: &str, mode| SqlStore::open(url, mode).await.unwrap_err();
    let another = cluster::empty_database("");
    cluster::run(&another, "CREATE TABLE diary (day TEXT)");
    for mode in [Mode::Work, Mode::Read, Mode::Amend] {
        let words = refusal(&another, mode).await.to_string();
        assert!(words.ends_with("it is the database of another program; give nightbell one of its own"), "{words}");
    }
    // One that keeps account of its schema the same way is another program all the same.
    cluster::run(
        &another,
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ \
           NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL); \
         INSERT INTO _sqlx_migrations VALUES (1, 'first', now(), TRUE, 'abc', 0)",
    );
    let words = refusal(&another, Mode::Work).await.to_string();
    assert!(words.contains("another program"), "{words}");
    let mut connection = beside(&another).await;
    let tables = "SELECT COUNT(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    assert_eq!(number(&mut connection, tables).await, 2, "it was left alone");

    let empty = cluster::empty_database("");
    let words = refusal(&empty, Mode::Read).await.to_string();
    assert!(words.ends_with("it is empty; `nightbell run` fills it"), "{words}");

    let newer = fresh_database();
    cluster::run(
        &newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'to come', TRUE, 'x', 0)",
    );
    for mode in [Mode::Work, Mode::Read] {
        let words = refusal(&newer, mode).await.to_string();
        assert!(words.ends_with("was made by a newer nightbell (its format is 9999); use that one"), "{words}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_hears_why() {
    let url = fresh_database();
    let name = url.rsplit('/').next().unwrap();
    let (base, _) = url.rsplit_once('/').unwrap();
    let gone = SqlStore::open(&format!("{base}/no_such"), Mode::Read).await.unwrap_err();
    let words = "database \"no_such\" does not exist; make it (createdb), or name another one in \"store\"";
    assert!(matches!(&gone, StoreError::Misconfigured(said) if said.ends_with(words)), "{gone}");

    cluster::run(&url, "CREATE ROLE poor LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC");
    let poor = SqlStore::open(&url.replace("nightbell@", "poor@"), Mode::Work).await.unwrap_err();
    assert!(matches!(&poor, StoreError::Unusable(said) if said.contains("grant USAGE and CREATE")), "{poor}");
    cluster::run(&url, &format!("DROP OWNED BY poor; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    let poor = SqlStore::open(&url.replace("nightbell@", "poor@"), Mode::Work).await.unwrap_err();
    assert!(matches!(&poor, StoreError::Misconfigured(said) if said.contains("grant CONNECT")), "{poor}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = SqlStore::open(&format!("postgres://bell:canary@{nobody}/night"), Mode::Read).await.unwrap_err();
    assert!(matches!(away, StoreError::Away(_)) && !away.to_string().contains("canary"), "{away}");

    let tls = SqlStore::open(&format!("{url}?sslmode=require"), Mode::Read).await.unwrap_err();
    assert!(matches!(&tls, StoreError::Misconfigured(said) if said.contains("no TLS with it")), "{tls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_on_an_empty_database_bring_it_up_together() {
    let url = cluster::empty_database("");
    let opened = join_all((0..4).map(|_| SqlStore::open(&url, Mode::Work))).await;
    for store in &opened {
        store.as_ref().unwrap().beat(at(0)).await.unwrap();
    }
    assert!(opened[0].as_ref().unwrap().deliveries(1).await.unwrap().is_empty());
}

/// A migration may take minutes: whoever starts meanwhile waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_waits_for_the_migration_of_another_one() {
    let url = cluster::empty_database("");
    let mut first = beside(&url).await;
    first.execute(sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(1312974188)")).await.unwrap();
    let opening = tokio::spawn({
        let url = url.clone();
        async move { SqlStore::open(&url, Mode::Work).await }
    });
    let mut watching = beside(&url).await;
    let waiting = "SELECT COUNT(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
         WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
    while number(&mut watching, waiting).await == 0 {
        assert!(!opening.is_finished(), "it does not wait for the lock of who brings the database up to date");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Longer than a call waits for a lock otherwise.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(!opening.is_finished(), "it gave up");
    first.execute("COMMIT").await.unwrap();
    opening.await.unwrap().unwrap().beat(at(0)).await.unwrap();
}

/// A step of a migration wants a table for itself, and whoever wants that next waits behind it: it does not wait for a
/// transaction that takes long, but says so and is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_gives_way_to_a_transaction_that_takes_long() {
    let (url, [store]) = replicas::<1>().await;
    cluster::run(&url, "DROP INDEX instance_of_job; DELETE FROM _sqlx_migrations WHERE version = 54");
    let mut first = beside(&url).await;
    first.execute(sqlx::raw_sql("BEGIN; LOCK TABLE instance IN ROW EXCLUSIVE MODE")).await.unwrap();
    let opening = tokio::time::timeout(limits::STORE_WAIT_MAX, SqlStore::open(&url, Mode::Work));
    let held_up = opening.await.expect("it waits for as long as it takes").unwrap_err();
    assert!(matches!(held_up, StoreError::HeldUp(_)) && held_up.passes(), "{held_up}");
    store.commit_poll(&commit(0)).await.unwrap();
    first.execute("COMMIT").await.unwrap();
    SqlStore::open(&url, Mode::Work).await.unwrap().beat(at(0)).await.unwrap();
    let made = "SELECT COUNT(*) FROM pg_indexes WHERE indexname = 'instance_of_job'";
    assert_eq!(number(&mut first, made).await, 1);
}

/// Each limit that the server is told of, as a transaction that writes finds it.
#[tokio::test]
async fn a_connection_tells_the_server_how_long_it_bears_with_it() {
    let url = fresh_database();
    let mut beside = beside(&url).await;
    let notes = "CREATE TABLE seen (name TEXT, value TEXT); \
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
          INSERT INTO seen SELECT name, setting FROM pg_settings; RETURN NULL; END $$; \
        CREATE TRIGGER see AFTER INSERT OR UPDATE ON pulse FOR EACH ROW EXECUTE FUNCTION see()";
    beside.execute(sqlx::raw_sql(notes)).await.unwrap();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    store.beat(at(0)).await.unwrap();
    let third = limits::STORE_SILENCE_MAX / 3;
    let expected = [
        ("statement_timeout", limits::STORE_CALL_MAX.as_millis().to_string()),
        ("lock_timeout", limits::STORE_WAIT_MAX.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", limits::STORE_IDLE_TRANSACTION_MAX.as_millis().to_string()),
        ("tcp_user_timeout", limits::STORE_SILENCE_MAX.as_millis().to_string()),
        ("tcp_keepalives_idle", third.as_secs().to_string()),
        ("tcp_keepalives_interval", third.as_secs().to_string()),
        ("tcp_keepalives_count", "2".to_string()),
        ("application_name", "nightbell".to_string()),
        ("default_transaction_read_only", "off".to_string()),
    ];
    for (name, value) in expected {
        let found =
            sqlx::query("SELECT value FROM seen WHERE name = $1").bind(name).fetch_one(&mut beside).await.unwrap();
        assert_eq!(found.get::<String, _>(0), value, "{name}");
    }
}

/// A firewall forgets a connection that nobody has used for a while, and tells neither end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_idle_is_asked_whether_it_is_there_before_it_is_used() {
    let url = fresh_database();
    let (before, rest) = url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let way = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let by_the_way = format!("{before}@{}/{database}", way.local_addr().unwrap());
    // What comes on those that are old goes nowhere from then on.
    let (forgets, server) = (tokio::sync::watch::Sender::new(0_u64), server.to_string());
    let age = forgets.subscribe();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = way.accept().await {
            let (server, mut age) = (server.clone(), age.clone());
            let born = *age.borrow();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = age.wait_for(|age| *age > born) => {}
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
                }
                // Both ends stay open, and neither hears anything.
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        }
    });
    let store = SqlStore::open(&by_the_way, Mode::Work).await.unwrap();
    store.beat(at(0)).await.unwrap();
    // The driver asks it once more before it puts it by.
    tokio::time::sleep(Duration::from_millis(500)).await;
    forgets.send_replace(1);
    tokio::time::sleep(limits::STORE_IDLE_MAX + Duration::from_millis(200)).await;
    let began = std::time::Instant::now();
    store.beat(at(1)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= limits::STORE_PING_MAX, "the old connection was not asked: {took:?}");
    assert!(took < limits::STORE_PING_MAX + Duration::from_secs(4), "it was waited for: {took:?}");
}

/// A poll and the doctor beside it, or two replicas of which one has lost its lease and does not know: what each has found out
/// is kept, and neither waits for the other, nor for a commit that takes long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_have_learnt_at_once_is_kept_and_neither_waits() {
    let (url, [one, two]) = replicas::<2>().await;
    let learnt = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(question, answer)| (question.to_string(), answer.to_string())).collect()
    };
    let before = learnt(&[("offset", "pages"), ("zone", "UTC")]);
    one.save_learnt(&source(), &BTreeMap::new(), &before).await.unwrap();
    let mut other = beside(&url).await;
    let halfway = format!(
        "BEGIN; LOCK TABLE moment IN EXCLUSIVE MODE; INSERT INTO learnt VALUES ('{source}', 'window', 'plan'); \
         UPDATE learnt SET answer = 'records' WHERE source = '{source}' AND question = 'offset'",
        source = source()
    );
    other.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(halfway))).await.unwrap();
    let after = learnt(&[("offset", "pages"), ("span_days", "3")]);
    let of = source();
    let saving = two.save_learnt(&of, &before, &after);
    let saved = tokio::time::timeout(Duration::from_secs(5), saving).await;
    saved.expect("it waited for what another saves").unwrap();
    other.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
    let both = learnt(&[("offset", "records"), ("span_days", "3"), ("window", "plan")]);
    assert_eq!(one.load_learnt(&source()).await.unwrap(), both);

    // One answer to a question of both is as good as the other; what one alone has found out stays, however they meet.
    let mut known = [both.clone(), both];
    for round in 0..30 {
        let own = |who: &str| (format!("{who}-{round}"), who.to_string());
        let next = ["one", "two"].map(|who| -> BTreeMap<String, String> {
            let which = usize::from(who == "two");
            known[which].clone().into_iter().chain([own(who), ("offset".into(), own(who).0)]).collect()
        });
        let (source, [first, second]) = (source(), &next);
        let saved =
            tokio::join!(one.save_learnt(&source, &known[0], first), two.save_learnt(&source, &known[1], second));
        saved.0.and(saved.1).unwrap();
        let kept = one.load_learnt(&source).await.unwrap();
        assert!([&first["offset"], &second["offset"]].contains(&&kept["offset"]), "round {round}: {kept:?}");
        for who in ["one", "two"] {
            assert_eq!(kept.get(&own(who).0).map(String::as_str), Some(who), "round {round}: {kept:?}");
        }
        known = next;
    }
}
