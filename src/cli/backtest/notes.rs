//! What a backtest cannot know, said to who reads its result: each only where it bears on that result.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::output::local;
use crate::app::OnRecord;
use crate::config::Config;
use crate::limits::NAMES_SHOWN;
use crate::model::Status;
use crate::rule::Rule;
use crate::worker::replay::Telling;

/// The rules that were played: one version of them, or two.
pub(super) struct Rules<'a> {
    pub(super) config: &'a Config,
    pub(super) other: Option<&'a Config>,
}

impl Rules<'_> {
    /// Of a time that was recorded.
    pub(super) fn of_recorded(&self, told: &[&Telling], sources: &[OnRecord], since: Timestamp) -> Vec<String> {
        let mut notes = Vec::new();
        for source in sources {
            let id = &source.source;
            match source.first_poll {
                None => notes.push(format!("nothing is recorded of {id}")),
                Some(first) if first > since => notes.push(format!(
                    "of {id} nothing is recorded before {}: what happened there earlier is not known",
                    local(first, &self.config.timezone)
                )),
                Some(_) => {}
            }
            if source.unread > 0 {
                let (unread, polls) = (source.unread, source.polls);
                notes.push(format!("{id} could not be read at {unread} of {polls} polls; so it is here"));
            }
        }
        notes.extend(self.of_jobs());
        notes.extend(of_nodes(told));
        let is_of_failures = |rule: &Rule| {
            let statuses = &rule.when.statuses;
            let failures = [Status::Fail, Status::RunningException];
            !rule.is_about_jobs() && (statuses.is_empty() || failures.iter().any(|status| statuses.contains(status)))
        };
        if !self.named(is_of_failures, told).is_empty() {
            notes.push(
                "why runs failed, in the scheduler's words, is not recorded: the messages would have said it besides"
                    .to_string(),
            );
        }
        notes.push(self.of_sending());
        notes
    }

    /// Of a time that was read again from the sources.
    pub(super) fn of_read_again(&self, told: &[&Telling]) -> Vec<String> {
        let mut notes = vec![
            "runs are replayed from their plan, start and end: what they were in between (exceptions, reruns) is not known, \
             nor what the source no longer lists"
                .to_string(),
        ];
        notes.extend(self.of_jobs());
        notes.extend(of_nodes(told));
        notes.push(self.of_sending());
        notes
    }

    fn of_jobs(&self) -> Option<String> {
        let rules = self.all(Rule::is_about_jobs);
        (!rules.is_empty()).then(|| format!("the states of jobs are not recorded: {} is not played", join(&rules)))
    }

    fn of_sending(&self) -> String {
        let digests = [Some(self.config), self.other].into_iter().flatten().any(|config| !config.digests.is_empty());
        let besides = if digests { ", and digests are not played" } else { "" };
        format!(
            "each message is counted as delivered at the first attempt: retries and fallbacks are not played{besides}"
        )
    }

    /// The names of those rules, of both versions.
    fn all(&self, is_meant: impl Fn(&Rule) -> bool) -> BTreeSet<String> {
        let configs = [Some(self.config), self.other].into_iter().flatten();
        let rules = configs.flat_map(|config| config.rules.rules()).filter(|rule| is_meant(rule));
        rules.map(|rule| rule.id.to_string()).collect()
    }

    /// The names of those rules that told something of a run.
    fn named(&self, is_meant: impl Fn(&Rule) -> bool, told: &[&Telling]) -> BTreeSet<String> {
        let mut names = self.all(is_meant);
        names.retain(|name| tells_of_runs(told).any(|telling| telling.rule.as_str() == name));
        names
    }
}

/// What the running program would have warned of.
pub(super) fn of_warnings(warnings: &[String]) -> Vec<String> {
    let mut notes: Vec<String> = warnings.iter().take(NAMES_SHOWN).cloned().collect();
    let more = warnings.len() - notes.len();
    if more > 0 {
        notes.push(format!("and {more} more warnings of this kind"));
    }
    notes
}

/// Nodes are in what a message says, and in nothing that decides.
fn of_nodes(told: &[&Telling]) -> Option<String> {
    let is_told = tells_of_runs(told).next().is_some();
    is_told.then(|| {
        "the nodes of runs are not recorded: the messages would have named those that failed besides".to_string()
    })
}

fn tells_of_runs<'a>(told: &'a [&'a Telling]) -> impl Iterator<Item = &'a Telling> {
    told.iter().copied().filter(|telling| telling.instance.is_some() && !telling.is_end())
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
