//! `nightbell deliveries`: what was delivered to whom, what is pending or dead; one delivery in full; dead ones sent again.

mod named;
mod retry;
mod show;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::ground::{Exit, Failure, Listing, instant, now_of};
use super::names;
use super::output::{complain, complain_of_left_out, fail, local, print, table};
use super::place::Desk;

use crate::clock::{Clock as _, SystemClock};
use crate::desk::json;
use crate::model::{AlertId, Delivery, DeliveryState, MessageKind, ReceiverId, RuleId};
use crate::store::{Counts as _, Deliveries as _, DeliveryQuery, Desk as _, Mode, SqlStore};
use crate::template::display_text;

/// The command's arguments, without the configuration file.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All of one delivery: its alert, every attempt with the channel's answer, and what is sent.
    Show(show::Arguments),
    /// Send dead or pending deliveries now, under their old ids. Works beside a running nightbell, which notices within a minute.
    Retry(retry::Arguments),
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
struct Filter {
    /// Only those in this state: pending, delivered, dead or merged.
    #[arg(long, value_parser = state)]
    state: Option<DeliveryState>,
    /// Only those to this receiver.
    #[arg(long)]
    receiver: Option<String>,
    /// Only those of this rule's alerts.
    #[arg(long)]
    rule: Option<String>,
    /// Only those about this alert, by its id or its beginning.
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// Only those made since: 6h, 2d, 2026-11-21, 2026-11-21T03:00 (in the configured zone), or with a zone.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

pub(super) async fn deliveries(desk: &Desk, arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.action.is_some() && arguments.filter != Filter::default() {
        fail("the filters go with the listing, or behind `retry`");
        return Ok(Exit::Usage);
    }
    let as_json = arguments.listing.json;
    match &arguments.action {
        None => list(desk, &arguments.filter, &arguments.listing).await,
        Some(Action::Show(show)) => show::show(&desk.config, show, as_json).await,
        Some(Action::Retry(retry)) => retry::retry(desk, retry, as_json).await,
    }
}

async fn list(desk: &Desk, filter: &Filter, listing: &Listing) -> Result<Exit, Failure> {
    let config = &desk.config;
    let since = |now| filter.since.as_deref().map(|text| instant(text, &config.timezone, now)).transpose();
    // What makes no sense is refused before the store is opened; what "6h" is, its clock says.
    since(SystemClock.now()).map_err(Failure::Usage)?;
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let since = since(now_of(&store).await?).map_err(Failure::Usage)?;
    names::rules(desk, &store, filter.rule.as_slice()).await?;
    names::receivers(desk, &store, filter.receiver.as_slice()).await?;
    let query = DeliveryQuery {
        state: filter.state,
        receiver: filter.receiver.as_ref().map(ReceiverId::new),
        rule: filter.rule.as_ref().map(RuleId::new),
        alert: match &filter.alert {
            Some(name) => Some(alert_named(&store, name).await?),
            None => None,
        },
        since,
    };
    let deliveries = store.find_deliveries(&query, listing.limit).await?;
    if listing.json {
        for delivery in &deliveries {
            print(json::delivery(delivery))?;
        }
        return left_out(&store, &query, deliveries.len(), listing.limit).await;
    }
    if deliveries.is_empty() {
        complain(if query == DeliveryQuery::default() { "no deliveries" } else { "no such deliveries" });
        return Ok(Exit::Done);
    }
    let alerts: Vec<AlertId> = deliveries.iter().filter_map(|delivery| delivery.alert.clone()).collect();
    let jobs = store.jobs_of_alerts(&alerts).await?;
    let job_of = |delivery: &Delivery| delivery.alert.as_ref().and_then(|alert| jobs.get(alert));
    let rows = deliveries.iter().map(|delivery| row(delivery, job_of(delivery), &config.timezone)).collect();
    let header = ["ID", "CREATED", "RECEIVER", "KIND", "JOB", "RULE", "STATE", "ATTEMPTS", "LAST ERROR"];
    print(table(&header, rows))?;
    left_out(&store, &query, deliveries.len(), listing.limit).await
}

/// Says how many deliveries are not shown.
async fn left_out(store: &SqlStore, query: &DeliveryQuery, shown: usize, limit: usize) -> Result<Exit, Failure> {
    if shown >= limit {
        complain_of_left_out(
            "the newest",
            shown,
            store.count_deliveries(query).await?,
            "deliveries",
            "--since and --receiver",
        );
    }
    Ok(Exit::Done)
}

/// The alert whose id is, or begins with, `name`. One that is not known has no deliveries either.
async fn alert_named(store: &SqlStore, name: &str) -> Result<AlertId, Failure> {
    let mut found = store.alerts_named(&name.to_ascii_lowercase()).await?;
    match (found.pop(), found.is_empty()) {
        (Some(alert), true) => Ok(alert.id),
        (Some(_), false) => Err(Failure::Usage(format!("several alerts' ids begin with {name:?}; write more of it"))),
        (None, _) => Err(Failure::Usage(format!("no alert's id begins with {name:?}; nightbell alerts shows them"))),
    }
}

/// What a delivery tells of: its job; of several alerts, and of none, what it is.
fn about(delivery: &Delivery, job: Option<&String>) -> String {
    match (job, delivery.kind) {
        (Some(job), _) => display_text(job),
        (None, MessageKind::AlertGroup) => "(several)".to_string(),
        (None, _) => String::new(),
    }
}

fn row(delivery: &Delivery, job: Option<&String>, zone: &TimeZone) -> Vec<String> {
    let next = delivery.next_attempt_at.map(|at| format!("next attempt {}", local(at, zone)));
    let merged = delivery.merged_into.as_ref().map(|id| format!("merged into {}", id.short()));
    let outcome = delivery.last_error.as_deref().map(display_text).into_iter().chain(merged).chain(next);
    vec![
        delivery.id.short().to_string(),
        local(delivery.created_at, zone),
        delivery.receiver.to_string(),
        delivery.kind.to_string(),
        about(delivery, job),
        delivery.rule.as_ref().map(ToString::to_string).unwrap_or_default(),
        delivery.state.as_str().to_string(),
        delivery.attempts.to_string(),
        outcome.collect::<Vec<_>>().join("; "),
    ]
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let words = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
    DeliveryState::from_word(text).ok_or_else(|| format!("the states are {words}"))
}
