//! Whatever happens to three processes in whatever order, a lease has one writer at a time: the statements of the store on a
//! real server, whose clock stands still unless the test moves it.

use std::collections::BTreeMap;
use std::time::Duration;

use nightbell::limits::LEASE_SPAN;
use nightbell::model::ReceiverId;
use nightbell::store::{Fence, Leases as _, Mode, Outbox as _, Replica, SqlStore, StoreError};
use nightbell::worker::lease::trusted_until;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::cluster;
use crate::program::Random;
use crate::sample::{at, fresh_database, replica};

/// Lives of a lease, and what happens in each.
const LIVES: u64 = 40;
const STEPS: u64 = 90;
const PROCESSES: usize = 3;

/// A clock of the database's own: the name of the real one is found in another schema first. What it says begins far ahead
/// of the real one, so that nothing that asks that one would pass.
const CLOCK: &str = "\
    CREATE SCHEMA fake; CREATE TABLE fake.instant (ms BIGINT NOT NULL); INSERT INTO fake.instant VALUES (4000000000000); \
    CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS \
      'SELECT to_timestamp(ms / 1000.0) FROM fake.instant'; \
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, fake, pg_catalog', current_database()); END $$";

/// What a process believes.
#[derive(Debug, Default)]
struct Process {
    /// An answer that it has not heard yet: the token, and when it was asked for.
    answer: Option<(i64, u64)>,
    /// The token that it holds, and when it asked for that last.
    held: Option<(i64, u64)>,
    is_frozen: bool,
}

/// What the accepted writes of one life were: who wrote under each token, and the last token.
#[derive(Debug, Default)]
struct Accepted {
    by_token: BTreeMap<i64, usize>,
    last: i64,
    writes: u64,
    refused: u64,
}

struct World {
    store: SqlStore,
    clock: AnyConnection,
    /// Milliseconds since the test began.
    now: u64,
    origin: tokio::time::Instant,
}

impl World {
    async fn pass(&mut self, ms: u64) {
        self.now += ms;
        let text = AssertSqlSafe(format!("UPDATE fake.instant SET ms = ms + {ms}"));
        sqlx::raw_sql(text).execute(&mut self.clock).await.unwrap();
    }

    /// Whether a process that asked at `asked` trusts its lease still.
    fn trusts(&self, held: Option<(i64, u64)>) -> bool {
        let after = |ms| self.origin + Duration::from_millis(ms);
        held.is_some_and(|(_, asked)| after(self.now) < trusted_until(after(asked)))
    }
}

fn me(life: u64, which: usize) -> Replica {
    replica(&format!("{life}/{which}"), "f")
}

/// One thing happens to one process.
async fn step(
    world: &mut World,
    random: &mut Random,
    (life, which): (u64, usize),
    all: &mut [Process],
    accepted: &mut Accepted,
) {
    let name = format!("life/{life}");
    let fence = |token| Fence { name: name.clone(), token };
    let what = random.below(50);
    match what {
        0..=5 => return world.pass([16_000, 1, 100, 700, 2_000, 5_000][usize::try_from(what).unwrap()]).await,
        6 | 7 => all[which].is_frozen = true,
        8..=13 => all[which].is_frozen = false,
        _ if all[which].is_frozen => {}
        // It asks; what it is told it hears later, or never.
        14..=23 => {
            let held = all[which].held;
            let renewed = match held {
                Some((token, _)) => {
                    !world.store.renew(&[(fence(token), None)], 1, LEASE_SPAN).await.unwrap().is_empty()
                }
                None => false,
            };
            let taken = match held {
                Some((token, _)) if renewed => Some(token),
                _ => {
                    let taken =
                        world.store.take(std::slice::from_ref(&name), &me(life, which), LEASE_SPAN).await.unwrap();
                    taken.first().map(|fence| fence.token)
                }
            };
            all[which].answer = taken.map(|token| (token, world.now));
        }
        24..=35 => {
            if let Some(answer) = all[which].answer.take() {
                all[which].held = Some(answer);
            }
        }
        36 | 37 => {
            if let Some((token, _)) = all[which].held.take() {
                all[which].answer = None;
                world.store.give_up(&[fence(token)]).await.unwrap();
            }
        }
        // It writes by whatever it believes, however old that is.
        _ => {
            let Some((token, _)) = all[which].held else { return };
            let receiver = ReceiverId::new(name.as_str());
            match world.store.fenced(fence(token)).keep_pause(&receiver, at(0)).await {
                Ok(()) => {
                    accepted.writes += 1;
                    let writer = *accepted.by_token.entry(token).or_insert(which);
                    assert_eq!(writer, which, "two have written under token {token}");
                    assert!(token >= accepted.last, "an older token was accepted after a newer one");
                    accepted.last = token;
                }
                Err(StoreError::Fenced(_)) => accepted.refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_lease_has_one_writer_at_a_time_whatever_happens() {
    let mut random = Random::from_environment();
    let url = fresh_database();
    let admin = url.clone();
    tokio::task::spawn_blocking(move || cluster::run(&admin, CLOCK)).await.unwrap();
    let store = SqlStore::open(&url, Mode::Work).await.unwrap();
    let shown = store.look(None).await.unwrap().now.as_millisecond();
    assert_eq!(shown, 4_000_000_000_000, "the store asks another clock");
    let clock = AnyConnection::connect(&url).await.unwrap();
    let mut world = World { store, clock, now: 0, origin: tokio::time::Instant::now() };
    let (mut writes, mut refused, mut tokens) = (0, 0, 0);
    for life in 0..LIVES {
        let mut all: Vec<Process> = (0..PROCESSES).map(|_| Process::default()).collect();
        let mut accepted = Accepted::default();
        for _ in 0..STEPS {
            let which = usize::try_from(random.below(PROCESSES as u64)).unwrap();
            step(&mut world, &mut random, (life, which), &mut all, &mut accepted).await;
            // Who trusts its lease may begin a request, whether the database would take its word by now or not.
            let trusting: Vec<usize> = (0..PROCESSES).filter(|which| world.trusts(all[*which].held)).collect();
            assert!(trusting.len() <= 1, "{trusting:?} trust one lease: {all:?}");
            if let Some(which) = trusting.first() {
                let leases = world.store.look(None).await.unwrap().leases;
                let lease = leases.iter().find(|lease| lease.name == format!("life/{life}")).unwrap();
                let holder = lease.holder.as_deref();
                assert_eq!(holder, Some(me(life, *which).id.as_str()), "it trusts what another one has: {all:?}");
            }
        }
        writes += accepted.writes;
        refused += accepted.refused;
        tokens += accepted.by_token.len();
    }
    println!("{writes} writes under {tokens} tokens, {refused} refused");
    // About 70, 50 and 27 of them: chance seldom has half of that.
    assert!(writes > 20 && refused > 5 && tokens > 10, "hardly anything happened");
    world.clock.close().await.unwrap();
    world.store.close().await;
    tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
}
