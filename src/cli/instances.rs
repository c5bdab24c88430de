//! `nightbell instances`: the instances that are remembered; and how instances are chosen on the command line.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::ground::{Exit, Failure, Listing, duration, now_of};
use super::names;
use super::output::{complain, complain_of_left_out, local, print, table};
use super::place::Desk;
use crate::desk::json;
use crate::model::{SourceId, Status};
use crate::rule::Pattern;
use crate::store::{Archive as _, Counts as _, InstanceFilter, Mode, SqlStore};
use crate::template::display_text;
use crate::yaml::{closest, duration_text};

/// Which instances are meant.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// Of this source only.
    #[arg(long)]
    source: Option<String>,
    /// Of jobs whose name matches: a pattern as in the rules, 'etl_*'. May be given several times.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    job: Vec<Pattern>,
    /// In this status. May be given several times, or with commas.
    #[arg(long, value_delimiter = ',', value_parser = status)]
    status: Vec<Status>,
    /// Planned within this time before now.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    since: Duration,
}

impl Chosen {
    /// The filter as the store takes it.
    pub(super) async fn filter(
        &self,
        desk: &Desk,
        store: &SqlStore,
        listing: &Listing,
        now: Timestamp,
    ) -> Result<InstanceFilter, Failure> {
        names::sources(desk, store, self.source.as_slice()).await?;
        let source = self.source.as_deref().map(SourceId::new);
        let jobs = match self.job.as_slice() {
            [] => None,
            patterns => {
                let matchers: Result<Vec<_>, String> = patterns.iter().map(Pattern::matcher).collect();
                let matchers = matchers.map_err(anyhow::Error::msg)?;
                let mut names = store.job_names(source.as_ref()).await?;
                names.retain(|name| matchers.iter().any(|matcher| matcher.matches(name)));
                Some(names)
            }
        };
        let from = now.checked_sub(self.since).unwrap_or(Timestamp::MIN);
        Ok(InstanceFilter { source, jobs, statuses: self.status.clone(), from: Some(from), limit: listing.limit })
    }
}

pub(super) async fn instances(desk: &Desk, chosen: &Chosen, listing: &Listing) -> Result<Exit, Failure> {
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = now_of(&store).await?;
    let filter = chosen.filter(desk, &store, listing, now).await?;
    let instances = store.instances(&filter).await?;
    let shown = instances.len();
    let all = if shown < listing.limit { shown as u64 } else { store.count_instances(&filter).await? };
    if listing.json {
        for instance in &instances {
            print(json::instance(instance, now))?;
        }
        complain_of_left_out("the latest", shown, all, "instances", "--since and --job");
        return Ok(Exit::Done);
    }
    if instances.is_empty() {
        complain(format_args!("no such instances in the last {}", duration_text(chosen.since)));
        return Ok(Exit::Done);
    }
    let time = |time: Option<Timestamp>| time.map_or_else(String::new, |time| local(time, &config.timezone));
    let rows = instances
        .iter()
        .map(|instance| {
            vec![
                time(instance.plan_time),
                time(instance.start_time),
                instance.duration(now).map(duration_text).unwrap_or_default(),
                instance.status.to_string(),
                instance.kind.as_str().to_string(),
                instance.source.to_string(),
                display_text(&instance.job.name),
                display_text(&instance.id),
            ]
        })
        .collect();
    print(table(&["PLANNED", "STARTED", "LASTED", "STATUS", "TYPE", "SOURCE", "JOB", "ID"], rows))?;
    complain_of_left_out("the latest", shown, all, "instances", "--since and --job");
    Ok(Exit::Done)
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text)
}

fn status(word: &str) -> Result<Status, String> {
    Status::from_word(word).ok_or_else(|| {
        let known = Status::ALL.map(Status::as_str);
        closest(word, known)
            .map_or_else(|| format!("the statuses are {}", known.join(", ")), |near| format!("did you mean {near:?}?"))
    })
}
