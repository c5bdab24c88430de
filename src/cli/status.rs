//! `nightbell status`: whether Nightbell runs and sees, in a screenful.
//!
//! Reads the store alone, beside the process that works on it; of the configuration it takes when sources are polled, as far
//! as it can be read. Exits with 1 when nobody would hear of a failure: nothing runs, or a source is not read.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ground::{Exit, Failure, is_overdue, now_of};
use super::output::{complain, grouped, local, print, table};
use super::place::Desk;
use super::replicas::{is_held, living, loops};
use crate::limits::LAST_GOOD_POLL_SOUGHT;
use crate::model::{AlertState, PollOutcome, SourceId};
use crate::store::{
    AlertQuery, Archive as _, Backlog, Counts as _, Desk as _, Lease, Leases as _, Mode, OwnAlerts as _, Present,
    ReceiverHealth, SourceCondition, SqlStore, StoreError, Worker,
};
use crate::template::display_text;
use crate::yaml::duration_text;

/// How things stand.
struct Status {
    now: Timestamp,
    /// Who works on the store: nobody, somebody, or that cannot be told.
    worker: Option<Option<Worker>>,
    /// The replicas that work on a store that they share; none for a file.
    replicas: Option<Vec<Present>>,
    /// The loops that they share out among themselves, as far as each has a lease; none for a file, which one process has whole.
    leases: Option<Leased>,
    sources: Vec<Source>,
    /// Sources of the configuration that were never asked.
    never_asked: Vec<SourceId>,
    backlog: Vec<Backlog>,
    health: Vec<ReceiverHealth>,
    firing: u64,
    held_back: u64,
    silences: usize,
}

/// The leases of the loops.
struct Leased {
    /// How many loops there are.
    all: usize,
    /// Those that nobody runs.
    free: Vec<String>,
}

/// How one source stands.
struct Source {
    condition: SourceCondition,
    /// When it was last read, at least in part.
    good: Option<Timestamp>,
    /// Whether it has not been asked although it was due.
    is_overdue: bool,
    /// The same, counted from the start of who works on the store, where that is later than the last poll.
    is_stuck: bool,
}

pub(super) async fn status(desk: &Desk, as_json: bool) -> Result<Exit, Failure> {
    let store = SqlStore::open(&desk.config.store, Mode::Read).await?;
    let status = Status::read(desk, &store, now_of(&store).await?).await?;
    let blind = status.blind();
    if as_json {
        print(object(&status, &blind))?;
    } else {
        print(as_text(&status, &desk.config.timezone).trim_end())?;
        blind.iter().for_each(|why| complain(format_args!("blind: {why}")));
    }
    Ok(if blind.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Why the Nightbell that works on the store is not well, as far as the store tells; nothing when it is. It is well while it is
/// there and asks its sources when they are due, and ready when it has asked all of them since its start.
pub(super) async fn unwell(desk: &Desk, is_ready: bool) -> Result<Vec<String>, StoreError> {
    let store = SqlStore::open(&desk.config.store, Mode::Read).await?;
    Ok(Status::read(desk, &store, now_of(&store).await?).await?.unwell(is_ready))
}

impl Status {
    async fn read(desk: &Desk, store: &SqlStore, now: Timestamp) -> Result<Status, StoreError> {
        let own = store.own_state(now).await?;
        let configured = |id: &SourceId| desk.config.sources.iter().find(|source| source.id == *id);
        let was_asked = |id: &SourceId| own.sources.iter().any(|condition| condition.id == *id);
        let ids = desk.config.sources.iter().map(|source| source.id.clone());
        let never_asked = ids.filter(|id| !was_asked(id)).collect();
        let worker = match store.is_shared() {
            true => None,
            false => Some(SqlStore::worker(&desk.config.store)?),
        };
        let begun = worker.as_ref().and_then(Option::as_ref).and_then(|worker| worker.since);
        let mut sources = Vec::with_capacity(own.sources.len());
        for condition in own.sources {
            let settings = configured(&condition.id);
            // What the configuration has no more is asked no more, and remembered.
            if settings.is_none() && desk.is_whole {
                continue;
            }
            let is_overdue_from =
                |from: Timestamp| settings.is_some_and(|settings| is_overdue(&settings.poll, from, now));
            let is_overdue = is_overdue_from(condition.polled_at);
            let is_stuck = is_overdue_from(begun.unwrap_or(condition.polled_at).max(condition.polled_at));
            let good = match &condition.unreadable {
                None => Some(condition.polled_at),
                Some((since, _)) => last_good_poll(store, &condition, *since).await?,
            };
            sources.push(Source { condition, good, is_overdue, is_stuck });
        }
        let firing = AlertQuery { state: Some(AlertState::Firing), ..AlertQuery::default() };
        let held_back = AlertQuery { is_suppressed: Some(true), ..firing.clone() };
        let standing = if store.is_shared() { Some(store.look(None).await?) } else { None };
        Ok(Status {
            now,
            worker,
            leases: standing.as_ref().map(|standing| {
                let all: Vec<&Lease> = loops(standing).collect();
                let free = all.iter().filter(|lease| !is_held(lease, standing)).map(|lease| lease.name.clone());
                Leased { all: all.len(), free: free.collect() }
            }),
            replicas: standing.as_ref().map(|standing| living(standing).cloned().collect()),
            sources,
            never_asked,
            backlog: store.backlog().await?,
            health: own.health.into_iter().filter(ReceiverHealth::is_bad).collect(),
            firing: store.count_alerts(&firing).await?,
            held_back: store.count_alerts(&held_back).await?,
            silences: store.active_silences(now).await?.len(),
        })
    }

    /// Why a failure might be seen by nobody; nothing when all is well.
    fn blind(&self) -> Vec<String> {
        let mut why: Vec<String> = self.idle().into_iter().collect();
        if let Some(leases) = self.leases.as_ref().filter(|leases| !leases.free.is_empty()) {
            why.push(format!("nobody runs {}", leases.free.join(", ")));
        }
        if self.sources.is_empty() && self.never_asked.is_empty() {
            why.push("no source was ever polled".to_string());
        }
        why.extend(self.never_asked.iter().map(|id| format!("{id} was never polled")));
        for Source { condition, is_overdue, .. } in &self.sources {
            match &condition.unreadable {
                Some((_, reason)) => why.push(format!("{} cannot be read: {}", condition.id, display_text(reason))),
                None if *is_overdue => why.push(format!("{} was not polled when it was due", condition.id)),
                None => {}
            }
        }
        why
    }

    /// That nobody works on the store.
    fn idle(&self) -> Option<String> {
        let is_idle = matches!(self.worker, Some(None)) || self.replicas.as_ref().is_some_and(Vec::is_empty);
        is_idle.then(|| "nightbell is not running on this store".to_string())
    }

    /// Why who works on the store is not well, or not ready. What a source answers is no matter here.
    fn unwell(&self, is_ready: bool) -> Vec<String> {
        let begun = self.worker.as_ref().and_then(Option::as_ref).and_then(|worker| worker.since);
        let mut why: Vec<String> = self.idle().into_iter().collect();
        for Source { condition, is_stuck, .. } in &self.sources {
            // Of several replicas another one takes over what one of them leaves undone.
            if *is_stuck && self.replicas.is_none() {
                why.push(format!("{} was not polled when it was due", condition.id));
            } else if is_ready && begun.is_some_and(|begun| condition.polled_at < begun) {
                why.push(format!("{} was not polled since the start", condition.id));
            }
        }
        let never_asked = self.never_asked.iter().filter(|_| is_ready);
        why.extend(never_asked.map(|id| format!("{id} was never polled")));
        why
    }

    fn pending(&self) -> (u64, Option<Timestamp>) {
        let oldest = self.backlog.iter().filter_map(|one| one.oldest).min();
        (self.backlog.iter().map(|one| one.pending).sum(), oldest)
    }

    fn dead(&self) -> u64 {
        self.backlog.iter().map(|one| one.dead).sum()
    }
}

/// When a source that has been unreadable since then was last read.
async fn last_good_poll(
    store: &SqlStore,
    condition: &SourceCondition,
    since: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let from = since.checked_sub(LAST_GOOD_POLL_SOUGHT).unwrap_or(Timestamp::MIN);
    let polls = store.polls_between(&condition.id, from, since).await?;
    Ok(polls.iter().rev().find(|poll| poll.outcome != PollOutcome::Unread).map(|poll| poll.polled_at))
}

fn as_text(status: &Status, zone: &TimeZone) -> String {
    let ago = |at: Timestamp| duration_text(status.now.duration_since(at).unsigned_abs());
    let mut text = match &status.worker {
        Some(Some(worker)) => {
            let since = worker.since.map(|at| format!(" since {} ({})", local(at, zone), ago(at))).unwrap_or_default();
            let pid = worker.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
            let runs = if worker.since.is_some() { "has been running" } else { "is running" };
            format!("nightbell {runs}{since}{pid}\n")
        }
        Some(None) => "nightbell is not running\n".to_string(),
        None => by_replicas(status.replicas.as_deref().unwrap_or_default(), zone),
    };
    if !status.sources.is_empty() {
        let rows = status.sources.iter().map(|source| row(source, zone)).collect();
        text.push_str(&format!("\n{}\n", table(&["SOURCE", "LAST GOOD POLL", "LAST POLL", "STATE"], rows)));
    }
    let (pending, oldest) = status.pending();
    let oldest = oldest.map(|at| format!(", the oldest from {} ({})", local(at, zone), ago(at))).unwrap_or_default();
    text.push_str(&format!("\npending   {}{oldest}{}\n", grouped(pending), by(status, |one| one.pending)));
    let held = status.backlog.iter().map(|one| one.held).sum();
    if let Some(until) = status.backlog.iter().filter_map(|one| one.held_until).min() {
        let until = local(until, zone);
        text.push_str(&format!("held      {} until {until}{}\n", grouped(held), by(status, |one| one.held)));
    }
    text.push_str(&format!("dead      {}{}\n", grouped(status.dead()), by(status, |one| one.dead)));
    for health in &status.health {
        let since = local(health.since, zone);
        text.push_str(&format!("failing   {} since {since}: {}\n", health.receiver, display_text(&health.error)));
    }
    if let Some(leases) = &status.leases {
        let free =
            if leases.free.is_empty() { String::new() } else { format!(", nobody runs {}", leases.free.join(", ")) };
        text.push_str(&format!("leases    {} of {} held{free}\n", leases.all - leases.free.len(), leases.all));
    }
    let held = if status.held_back == 0 { String::new() } else { format!(", {} held back", grouped(status.held_back)) };
    text.push_str(&format!("firing    {}{held}\nsilences  {}\n", grouped(status.firing), status.silences));
    text
}

/// Who runs where several may.
fn by_replicas(replicas: &[Present], zone: &TimeZone) -> String {
    if replicas.is_empty() {
        return "nightbell is not running\n".into();
    }
    let one = |it: &Present| {
        let host = display_text(&it.replica.host);
        format!(
            "nightbell has been running on {host} since {}, process {}\n",
            local(it.started_at, zone),
            it.replica.pid
        )
    };
    replicas.iter().map(one).collect()
}

/// Where a number comes from: " (oncall 2, pager 1)".
fn by(status: &Status, count: impl Fn(&Backlog) -> u64) -> String {
    let counted = status.backlog.iter().filter(|one| count(one) > 0);
    let parts: Vec<String> = counted.map(|one| format!("{} {}", one.receiver, grouped(count(one)))).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn row(source: &Source, zone: &TimeZone) -> Vec<String> {
    let Source { condition, good, is_overdue, .. } = source;
    let state = match (&condition.unreadable, &condition.incomplete) {
        (Some((since, reason)), _) => {
            format!("unreadable since {}: {}", local(*since, zone), display_text(reason))
        }
        (None, _) if *is_overdue => "was not polled when it was due".to_string(),
        (None, Some(reason)) => format!("read in part: {}", display_text(reason)),
        (None, None) => "ok".to_string(),
    };
    vec![
        condition.id.to_string(),
        good.map(|at| local(at, zone)).unwrap_or_default(),
        local(condition.polled_at, zone),
        state,
    ]
}

fn object(status: &Status, blind: &[String]) -> Value {
    let sources: Vec<Value> = status.sources.iter().map(source_object).collect();
    let never_asked = &status.never_asked;
    let receivers: Vec<Value> = status.backlog.iter().map(backlog_object).collect();
    let failing: Vec<Value> = status
        .health
        .iter()
        .map(|one| json!({ "receiver": one.receiver, "since": one.since, "error": one.error }))
        .collect();
    let worker = status.worker.as_ref().and_then(Option::as_ref);
    let (pending, oldest) = status.pending();
    json!({
        "blind": blind,
        "running": status.replicas.as_ref().map(|all| !all.is_empty()).or(status.worker.as_ref().map(Option::is_some)),
        "pid": worker.and_then(|worker| worker.pid),
        "since": worker.and_then(|worker| worker.since),
        "leases": status.leases.as_ref().map(|leases| json!({ "loops": leases.all, "free": leases.free })),
        "sources": sources,
        "never_asked": never_asked,
        "pending": pending,
        "oldest_pending": oldest,
        "dead": status.dead(),
        "receivers": receivers,
        "failing_receivers": failing,
        "firing": status.firing,
        "held_back": status.held_back,
        "silences": status.silences,
    })
}

fn source_object(source: &Source) -> Value {
    let Source { condition, good, is_overdue, .. } = source;
    json!({
        "source": condition.id,
        "last_poll": condition.polled_at,
        "last_good_poll": good,
        "read_until": condition.read_until,
        "unreadable_since": condition.unreadable.as_ref().map(|(since, _)| since),
        "error": condition.unreadable.as_ref().map(|(_, reason)| reason).or(condition.incomplete.as_ref()),
        "overdue": is_overdue,
    })
}

fn backlog_object(one: &Backlog) -> Value {
    json!({
        "receiver": one.receiver,
        "pending": one.pending,
        "oldest": one.oldest,
        "held": one.held,
        "held_until": one.held_until,
        "dead": one.dead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A source that was asked then.
    fn asked(id: &str, polled_at: Timestamp) -> Source {
        let id = SourceId::new(id);
        let condition = SourceCondition { id, read_until: None, polled_at, unreadable: None, incomplete: None };
        Source { condition, good: None, is_overdue: false, is_stuck: false }
    }

    fn standing(sources: Vec<Source>) -> Status {
        Status {
            now: at(0),
            worker: Some(Some(Worker { pid: Some(1), since: Some(at(-100)) })),
            replicas: None,
            leases: None,
            sources,
            never_asked: Vec::new(),
            backlog: Vec::new(),
            health: Vec::new(),
            firing: 0,
            held_back: 0,
            silences: 0,
        }
    }

    #[test]
    fn who_works_on_the_store_is_unwell_when_it_does_not_ask_and_not_when_it_is_not_answered() {
        let mut status = standing(vec![asked("a", at(-10))]);
        assert_eq!(status.unwell(true), [""; 0]);
        status.sources[0].condition.unreadable = Some((at(-50), "401".to_string()));
        assert_eq!(status.unwell(true), [""; 0], "to start anew would not help");
        status.sources.push(asked("b", at(-200)));
        assert_eq!(status.unwell(false), [""; 0], "it has just started");
        assert_eq!(status.unwell(true), ["b was not polled since the start"]);
        status.sources[1].is_stuck = true;
        assert_eq!(status.unwell(false), ["b was not polled when it was due"]);
        status.sources.truncate(1);
        status.never_asked.push(SourceId::new("c"));
        assert_eq!(status.unwell(false), [""; 0]);
        assert_eq!(status.unwell(true), ["c was never polled"]);
        status.leases = Some(Leased { all: 9, free: vec!["digest".to_string(), "own".to_string()] });
        assert!(as_text(&status, &TimeZone::UTC).contains("leases    7 of 9 held, nobody runs digest, own\n"));
        assert!(status.blind().contains(&"nobody runs digest, own".to_string()), "{:?}", status.blind());
        status.leases = Some(Leased { all: 9, free: Vec::new() });
        assert!(as_text(&status, &TimeZone::UTC).contains("leases    9 of 9 held\n"));
        status.worker = Some(None);
        assert_eq!(status.unwell(false), ["nightbell is not running on this store"]);
    }
}
