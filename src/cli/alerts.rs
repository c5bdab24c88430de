//! `nightbell alerts`: what fired, and what became of it.

use clap::Args;
use jiff::tz::TimeZone;

use super::ground::{Exit, Failure, Listing, instant, now_of};
use super::names;
use super::output::{complain, complain_of_left_out, fail, local, print, table};
use super::place::Desk;
use crate::alert::own;
use crate::desk::json;
use crate::model::{Ack, Alert, AlertState, ReceiverId, RuleId, Severity, SourceId};
use crate::rule::Pattern;
use crate::store::{AlertQuery, Archive as _, Counts as _, Desk as _, Mode, SqlStore, StoreError};
use crate::template::display_text;
use crate::words::{Language, summary};
use crate::yaml::closest;

/// Which alerts are meant.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// About jobs whose name matches: a pattern as in the rules, 'etl_*'. May be given several times.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::parse)]
    job: Vec<Pattern>,
    /// Of this rule only, whether the configuration still has it or not.
    #[arg(long)]
    rule: Option<String>,
    /// Of this source only.
    #[arg(long)]
    source: Option<String>,
    /// This bad: critical, error, warning or info. May be given several times, or with commas.
    #[arg(long, value_delimiter = ',', value_parser = severity)]
    severity: Vec<Severity>,
    /// In this state: firing or resolved.
    #[arg(long, value_parser = state)]
    state: Option<AlertState>,
    /// Recorded since: 6h, 2d, 2026-11-21, 2026-11-21T03:00 (in the configured zone), or with a zone.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Those that this receiver was notified of.
    #[arg(long)]
    receiver: Option<String>,
    /// Those that were recorded and not sent.
    #[arg(long, conflicts_with = "receiver")]
    suppressed: bool,
}

impl Filter {
    /// The query as the store takes it; inside, what is wrong with a time.
    async fn query(&self, desk: &Desk, store: &SqlStore) -> Result<Result<AlertQuery, String>, Failure> {
        names::sources(desk, store, self.source.as_slice()).await?;
        names::rules(desk, store, self.rule.as_slice()).await?;
        names::receivers(desk, store, self.receiver.as_slice()).await?;
        let since = match self.since(&desk.config.timezone, now_of(store).await?) {
            Ok(since) => since,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(Ok(AlertQuery {
            source: self.source.as_ref().map(SourceId::new),
            jobs: jobs_matching(&self.job, store).await?,
            rule: self.rule.as_ref().map(RuleId::new),
            severities: self.severity.clone(),
            state: self.state,
            receiver: self.receiver.as_ref().map(ReceiverId::new),
            is_suppressed: self.suppressed.then_some(true),
            since,
        }))
    }

    fn since(&self, zone: &TimeZone, now: jiff::Timestamp) -> Result<Option<jiff::Timestamp>, String> {
        self.since.as_deref().map(|text| instant(text, zone, now)).transpose()
    }
}

/// The jobs with alerts whose names match one of the patterns; none where there are no patterns.
pub(super) async fn jobs_matching(patterns: &[Pattern], store: &SqlStore) -> Result<Option<Vec<String>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let matchers: Result<Vec<_>, String> = patterns.iter().map(Pattern::matcher).collect();
    let matchers = matchers.map_err(anyhow::Error::msg)?;
    let mut names = store.alerted_jobs().await?;
    names.retain(|name| matchers.iter().any(|matcher| matcher.matches(name)));
    Ok(Some(names))
}

pub(super) async fn alerts(desk: &Desk, filter: &Filter, listing: &Listing) -> Result<Exit, Failure> {
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    for source in store.sources().await? {
        if let Some((since, reason)) = source.unreadable {
            let since = local(since, &config.timezone);
            complain(format_args!("source {} has been unreadable since {since}: {}", source.id, display_text(&reason)));
        }
    }
    let query = match filter.query(desk, &store).await? {
        Ok(query) => query,
        Err(reason) => {
            fail(reason);
            return Ok(Exit::Usage);
        }
    };
    let alerts = newest(&store, &query, listing.limit).await?;
    let acks = store.acks().await?;
    if listing.json {
        for alert in &alerts {
            print(json::alert(alert, acks.get(&alert.id)))?;
        }
        return left_out(&store, &query, alerts.len(), listing.limit).await;
    }
    if alerts.is_empty() {
        complain(if query == AlertQuery::default() { "no alerts" } else { "no such alerts" });
        return Ok(Exit::Done);
    }
    let rows = alerts.iter().map(|alert| row(alert, acks.get(&alert.id), &config.timezone)).collect();
    print(table(&["ID", "SINCE", "SEVERITY", "STATE", "RULE", "INSTANCE", "WHAT"], rows))?;
    left_out(&store, &query, alerts.len(), listing.limit).await
}

/// Says how many alerts are not shown.
async fn left_out(store: &SqlStore, query: &AlertQuery, shown: usize, limit: usize) -> Result<Exit, Failure> {
    if shown >= limit {
        complain_of_left_out("the newest", shown, store.count_alerts(query).await?, "alerts", "--since and --job");
    }
    Ok(Exit::Done)
}

/// The alerts that began last, the newest first: by the time that the table shows. The store gives those that were recorded
/// last, and an alert is not recorded before it begins: what is recorded before the beginning of the last one that is wanted
/// cannot be newer.
async fn newest(store: &SqlStore, query: &AlertQuery, limit: usize) -> Result<Vec<Alert>, StoreError> {
    let mut asked = limit;
    loop {
        let mut found = store.find_alerts(query, asked).await?;
        let is_all = found.len() < asked;
        let recorded = found.last().map(|alert| alert.created_at);
        found.sort_by_key(|alert| std::cmp::Reverse(alert.facts.alert.starts_at));
        found.truncate(limit);
        let oldest = found.last().map(|alert| alert.facts.alert.starts_at);
        if is_all || oldest >= recorded || asked >= limit.saturating_mul(16) {
            return Ok(found);
        }
        asked = asked.saturating_mul(4);
    }
}

fn row(alert: &Alert, ack: Option<&Ack>, zone: &TimeZone) -> Vec<String> {
    let facts = &alert.facts;
    let suppressed = alert.suppressed_by.as_ref().map(|by| format!(" (not sent: {by})"));
    let acked = ack.map(|ack| format!(", acknowledged by {}", display_text(&ack.by)));
    vec![
        alert.id.short().to_string(),
        local(facts.alert.starts_at, zone),
        facts.alert.severity.to_string(),
        [facts.alert.state.as_str(), &suppressed.unwrap_or_default(), &acked.unwrap_or_default()].concat(),
        alert.rule.to_string(),
        match &facts.instance {
            Some(instance) => format!("{} #{}", display_text(&facts.job.name), display_text(&instance.id)),
            None => own::subject(alert).unwrap_or_else(|| format!("{} (job)", display_text(&facts.job.name))),
        },
        display_text(&summary(facts, Language::En)),
    ]
}

pub(super) fn severity(word: &str) -> Result<Severity, String> {
    let known = Severity::ALL.map(Severity::as_str);
    Severity::from_word(word).ok_or_else(|| meant(word, "severities", &known))
}

fn state(word: &str) -> Result<AlertState, String> {
    let states = [AlertState::Firing, AlertState::Resolved];
    let known = states.map(AlertState::as_str);
    states.into_iter().find(|state| state.as_str() == word).ok_or_else(|| meant(word, "states", &known))
}

fn meant(word: &str, what: &str, known: &[&str]) -> String {
    let near = closest(word, known.iter().copied());
    near.map_or_else(|| format!("the {what} are {}", known.join(", ")), |near| format!("did you mean {near:?}?"))
}
