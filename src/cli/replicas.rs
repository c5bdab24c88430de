//! `nightbell replicas`: who works on a store that several machines share, and which loops each of them runs.
//!
//! Reads the store alone, by the clock of its database. Exits with 1 when nobody is there, or a loop has nobody who runs it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ground::{Exit, Failure};
use super::output::{complain, local, print, table};
use super::place::Desk;
use crate::limits::REPLICA_GONE_AFTER;
use crate::store::{Lease, Leases as _, Mode, Present, SqlStore, Standing};
use crate::template::display_text;
use crate::yaml::duration_text;

pub(super) async fn replicas(desk: &Desk, as_json: bool) -> Result<Exit, Failure> {
    let address = &desk.config.store;
    if !address.is_shared() {
        return Err(Failure::Usage(format!(
            "the store {address} is a file, on which one process works: `nightbell status` says which"
        )));
    }
    let standing = SqlStore::open(address, Mode::Read).await?.look(None).await?;
    if as_json {
        print(object(&standing))?;
    } else {
        print(as_text(&standing, &desk.config.timezone).trim_end())?;
    }
    let nobody = loops(&standing).filter(|lease| !is_held(lease, &standing)).count();
    if living(&standing).next().is_none() {
        complain("nightbell is not running on this store");
    } else if nobody > 0 {
        complain(format_args!("{nobody} loops are run by nobody; they are taken over within seconds"));
    } else {
        return Ok(Exit::Done);
    }
    Ok(Exit::Failed)
}

/// The replicas that were there a moment ago.
pub(super) fn living(standing: &Standing) -> impl Iterator<Item = &Present> {
    standing.replicas.iter().filter(|one| age(standing.now, one.seen_at) < REPLICA_GONE_AFTER)
}

fn age(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

pub(super) fn is_held(lease: &Lease, standing: &Standing) -> bool {
    lease.holder.is_some() && lease.until > standing.now
}

/// The loops: what an earlier configuration had and nobody runs is none any more.
pub(super) fn loops(standing: &Standing) -> impl Iterator<Item = &Lease> {
    let is_one = |lease: &&Lease| is_held(lease, standing) || lease.configuration == standing.in_force.0;
    standing.leases.iter().filter(is_one)
}

/// How a replica's configuration stands to the one in force.
fn configuration(one: &Present, standing: &Standing) -> String {
    match one.replica.fingerprint == standing.in_force.1 {
        true => format!("{} (in force)", standing.in_force.0),
        false => format!("{} (stands by: {} is in force)", one.replica.configuration, standing.in_force.0),
    }
}

fn as_text(standing: &Standing, zone: &TimeZone) -> String {
    let ago = |at: Timestamp| duration_text(Duration::from_secs(age(standing.now, at).as_secs()));
    let rows = standing.replicas.iter().map(|one| {
        let is_there = age(standing.now, one.seen_at) < REPLICA_GONE_AFTER;
        let own = standing.leases.iter().filter(|lease| lease.holder.as_ref() == Some(&one.replica.id));
        vec![
            display_text(&one.replica.host),
            one.replica.pid.to_string(),
            one.replica.version.clone(),
            local(one.started_at, zone),
            if is_there { "yes".into() } else { format!("no, last seen {} ago", ago(one.seen_at)) },
            own.filter(|lease| is_held(lease, standing)).count().to_string(),
            format!("{:+} ms", one.replica.clock_ahead_ms),
            configuration(one, standing),
        ]
    });
    let header = ["HOST", "PROCESS", "VERSION", "SINCE", "THERE", "LOOPS", "CLOCK", "CONFIGURATION"];
    let replicas = table(&header, rows.collect());
    let by_id: BTreeMap<&str, &Present> = standing.replicas.iter().map(|one| (one.replica.id.as_str(), one)).collect();
    let rows = loops(standing).map(|lease| {
        let holder = lease.holder.as_deref().filter(|_| is_held(lease, standing));
        let holder = holder.map(|id| match by_id.get(id) {
            Some(one) => format!("{} {}", display_text(&one.replica.host), one.replica.pid),
            None => id.to_string(),
        });
        let since = holder.as_ref().map(|_| local(lease.taken_at, zone)).unwrap_or_default();
        let status = lease.status.as_deref().map(display_text).unwrap_or_default();
        vec![lease.name.clone(), holder.unwrap_or_else(|| "nobody".into()), since, status]
    });
    format!("{replicas}\n\n{}", table(&["LOOP", "RUN BY", "SINCE", "STATUS"], rows.collect()))
}

fn object(standing: &Standing) -> Value {
    let replicas = standing.replicas.iter().map(|one| {
        json!({
            "id": one.replica.id,
            "host": one.replica.host,
            "process": one.replica.pid,
            "version": one.replica.version,
            "since": one.started_at,
            "seen_at": one.seen_at,
            "is_there": age(standing.now, one.seen_at) < REPLICA_GONE_AFTER,
            "clock_ahead_ms": one.replica.clock_ahead_ms,
            "configuration": one.replica.configuration,
            "is_in_force": one.replica.fingerprint == standing.in_force.1,
        })
    });
    let loops = loops(standing).map(|lease| {
        json!({
            "name": lease.name,
            "replica": lease.holder.as_ref().filter(|_| is_held(lease, standing)),
            "since": lease.taken_at,
            "until": lease.until,
            "token": lease.token,
            "status": lease.status,
        })
    });
    json!({
        "now": standing.now,
        "configuration": standing.in_force.0,
        "replicas": replicas.collect::<Vec<_>>(),
        "loops": loops.collect::<Vec<_>>(),
    })
}
