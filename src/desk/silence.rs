//! Silences as people ask for them: whether one makes sense, and how many alerts it would hit.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::alert::own;
use crate::config::Config;
use crate::limits::{
    REASON_BYTES_MAX, SILENCE_EVERYTHING_JOBS_MIN, SILENCE_PREVIEW_ALERTS_MAX, SILENCE_PREVIEW_SPAN, SILENCE_TIME_MAX,
};
use crate::model::{Alert, AlertState, Concerns, Severity};
use crate::rule::{AlertMatch, Pattern};
use crate::store::{AlertAsk, Board, NewSilence, StoreError};
use crate::words::Saying;
use crate::yaml::closest;

/// What is wrong with what somebody asks for: with which part of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The part, by the name of the command's option: `job`, `for`, `reason`; none where it is about the whole.
    pub part: Option<&'static str>,
    /// Why.
    pub why: Saying,
}

/// What something is a name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A source.
    Source,
    /// A rule.
    Rule,
}

impl Wrong {
    /// That there is nothing of this name, and what may help with it.
    pub fn unknown(what: Named, name: &str, help: Option<Saying>) -> Wrong {
        let why = match what {
            Named::Source => Saying::of("refused.no-such-source"),
            Named::Rule => Saying::of("refused.no-such-rule"),
        };
        let why = why.with("name", format!("{name:?}"));
        Wrong { part: None, why: help.into_iter().fold(why, |why, help| why.saying("help", help)) }
    }

    /// With which part of it what is wrong, in words: "reason: is empty".
    pub fn saying(self) -> Saying {
        let part = match self.part {
            Some("job") => Saying::of("part.job"),
            Some("for") => Saying::of("part.for"),
            Some("until") => Saying::of("part.until"),
            Some("reason") => Saying::of("part.reason"),
            Some("by") => Saying::of("part.by"),
            Some("who") => Saying::of("part.who"),
            Some(other) => Saying::from(other),
            None => return self.why,
        };
        Saying::of("labelled").saying("name", part).saying("value", self.why)
    }
}

fn wrong<T>(part: &'static str, why: impl Into<Saying>) -> Result<T, Wrong> {
    Err(Wrong { part: Some(part), why: why.into() })
}

/// What is asked for, if it makes sense.
///
/// # Errors
/// [`Wrong`].
pub fn check_silence(config: &Config, new: NewSilence, now: Timestamp) -> Result<NewSilence, Wrong> {
    let sources: Vec<&str> = config.sources.iter().map(|source| source.id.as_str()).collect();
    let own = own::RULES.into_iter().chain([own::ALL]);
    let rules: Vec<&str> = config.rules.rules().iter().map(|rule| rule.id.as_str()).chain(own).collect();
    known(Named::Source, new.concerns.sources.iter().map(|id| id.as_str()), &sources)?;
    known(Named::Rule, new.concerns.rules.iter().map(|id| id.as_str()), &rules)?;
    if new.concerns.is_empty() {
        return Err(Wrong { part: None, why: Saying::of("refused.nothing-named") });
    }
    AlertMatch::of(&new.concerns).or_else(|fault| wrong("job", fault))?;
    if new.ends_at <= now {
        return wrong("until", Saying::of("refused.ended-already"));
    }
    check_length(new.ends_at, now)?;
    let reason = one_line("reason", &new.reason)?;
    let by = one_line("by", &new.by)?;
    Ok(NewSilence { reason, by, ..new })
}

/// Whether a silence that ends then is no longer than one may be.
///
/// # Errors
/// [`Wrong`] when it is.
pub fn check_length(ends_at: Timestamp, now: Timestamp) -> Result<(), Wrong> {
    if ends_at.duration_since(now).unsigned_abs() > SILENCE_TIME_MAX {
        let days = SILENCE_TIME_MAX.as_secs() / 86_400;
        return Err(Wrong { part: None, why: Saying::of("refused.too-many-days").with("n", days) });
    }
    Ok(())
}

fn known<'a>(what: Named, names: impl Iterator<Item = &'a str>, defined: &[&str]) -> Result<(), Wrong> {
    let mut names = names;
    let Some(name) = names.find(|name| !defined.contains(name)) else { return Ok(()) };
    let help = match closest(name, defined.iter().copied()) {
        Some(near) => Saying::of("refused.did-you-mean").with("near", format!("{near:?}")),
        None => Saying::of("refused.defined").with("names", defined.join(", ")),
    };
    Err(Wrong::unknown(what, name, Some(help)))
}

/// A text that goes into the one line of a message.
///
/// # Errors
/// [`Wrong`] when it is empty, too long, or has several lines.
pub fn one_line(part: &'static str, text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return wrong(part, Saying::of("refused.empty"));
    }
    if text.len() > REASON_BYTES_MAX {
        return wrong(part, Saying::of("refused.too-long").with("n", REASON_BYTES_MAX));
    }
    if text.chars().any(char::is_control) {
        return wrong(part, Saying::of("refused.several-lines"));
    }
    Ok(text.to_string())
}

/// What a silence would hit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hits {
    /// Alerts that fire and that it concerns.
    pub firing: usize,
    /// All alerts that fire, as far as they were looked at.
    pub firing_of: usize,
    /// Alerts that began in the last seven days and that it concerns.
    pub week: usize,
    /// All alerts of the last seven days, as far as they were looked at.
    pub week_of: usize,
    /// Whether there are more alerts than were looked at: then the numbers are the least.
    pub is_at_least: bool,
    /// Whether it concerns every alert there may be, or did in the last seven days, whatever the job.
    pub is_everything: bool,
    /// The first of the firing alerts that it concerns.
    pub examples: Vec<Alert>,
}

/// How many alerts a silence would hit now, and would have hit in the last seven days, of those that `sees` lets through.
///
/// # Errors
/// [`StoreError`]; inside, what is wrong with a pattern.
pub async fn preview_silence(
    store: &impl Board,
    config: &Config,
    concerns: &Concerns,
    sees: impl Fn(&Alert) -> bool,
    now: Timestamp,
) -> Result<Result<Hits, Wrong>, StoreError> {
    const EXAMPLES: usize = 5;
    let found = match AlertMatch::of(concerns) {
        Ok(found) => found,
        Err(fault) => return Ok(wrong("job", fault)),
    };
    let most = SILENCE_PREVIEW_ALERTS_MAX;
    let firing = AlertAsk { state: Some(AlertState::Firing), ..AlertAsk::default() };
    let firing = store.alert_page(&firing, most).await?;
    let week = SignedDuration::try_from(SILENCE_PREVIEW_SPAN).unwrap_or_default();
    let since = now.checked_sub(week).unwrap_or(Timestamp::MIN);
    let week = store.alert_page(&AlertAsk { since: Some(since), ..AlertAsk::default() }, most).await?;
    let is_at_least = firing.len() == most || week.len() == most;
    let seen = |alerts: Vec<Alert>| alerts.into_iter().filter(&sees).collect::<Vec<_>>();
    let (firing, week) = (seen(firing), seen(week));
    let hit: Vec<&Alert> = firing.iter().filter(|alert| found.concerns(alert)).collect();
    let missed = |alerts: &[Alert]| alerts.iter().any(|alert| !found.concerns(alert));
    let jobs: BTreeSet<_> = week.iter().map(|alert| (&alert.source, &alert.facts.job.name)).collect();
    // Of few jobs it shows nothing that a silence which is meant for one hits all that there was.
    let hits_all = jobs.len() >= SILENCE_EVERYTHING_JOBS_MIN && !missed(&firing) && !missed(&week);
    Ok(Ok(Hits {
        firing: hit.len(),
        firing_of: firing.len(),
        week: week.iter().filter(|alert| found.concerns(alert)).count(),
        week_of: week.len(),
        is_at_least,
        is_everything: hits_all || is_everything(config, concerns),
        examples: hit.into_iter().take(EXAMPLES).cloned().collect(),
    }))
}

/// Names that have nothing in common: whoever matches each of them by a pattern matches whatever name there may be.
const UNLIKE: [&str; 6] = ["a", "Z", "7", "_", "zz_9.x-y", "订单"];

/// Whether a silence concerns every alert there may be: each thing that it names is all that there is of it.
fn is_everything(config: &Config, concerns: &Concerns) -> bool {
    let Concerns { sources, jobs, rules, severities, labels } = concerns;
    let matchers: Vec<_> = jobs.iter().filter_map(|text| Pattern::parse(text).ok()?.matcher().ok()).collect();
    let is_every_job = jobs.is_empty() || UNLIKE.iter().all(|name| matchers.iter().any(|one| one.matches(name)));
    let is_every_source = sources.is_empty() || config.sources.iter().all(|source| sources.contains(&source.id));
    let of_file = config.rules.rules();
    let has_every_rule = !of_file.is_empty() && of_file.iter().all(|rule| rules.contains(&rule.id));
    let is_every_severity = severities.is_empty() || Severity::ALL.iter().all(|severity| severities.contains(severity));
    !concerns.is_empty()
        && labels.is_empty()
        && is_every_job
        && is_every_source
        && (rules.is_empty() || has_every_rule)
        && is_every_severity
}

/// When a silence ends that begins now.
///
/// # Errors
/// [`Wrong`] when that is after the end of time.
pub fn ends_after(lasts: Duration, now: Timestamp) -> Result<Timestamp, Wrong> {
    now.checked_add(lasts).or_else(|error| wrong("for", error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::LoadOptions;
    use crate::model::LabelMatch;

    fn config() -> Config {
        let source = |name| {
            format!("  {name}: {{ type: dataarts, region: r, project_id: p, auth: {{ token: {{ env: T }} }} }}\n")
        };
        let text = format!(
            "version: 1\nsources:\n{}{}receivers:\n  hook: {{ type: webhook, url: 'http://127.0.0.1:9' }}\nrules:\n  \
             failed: {{ when: {{ status: [fail] }}, notify: [hook] }}\n  \
             stopped: {{ when: {{ status: [manual-stop] }}, notify: [hook] }}\n",
            source("a"),
            source("b")
        );
        let loaded = Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true });
        loaded.unwrap_or_else(|problem| panic!("{problem}")).config
    }

    /// However it is spelt.
    #[test]
    fn everything_is_everything_by_any_spelling() {
        let config = config();
        let jobs = |pattern: &str| Concerns { jobs: vec![pattern.into()], ..Concerns::default() };
        for pattern in ["*", "**", "?*", "{*,x}", "[!,]*", "/.*/", "/.+/", "/.*.*/", "/(?s).*/"] {
            assert!(is_everything(&config, &jobs(pattern)), "{pattern}");
        }
        for pattern in ["etl_*", "*_daily", "[a-z]*", "?", "??*", "/etl.*/", "x", "no [ pattern"] {
            assert!(!is_everything(&config, &jobs(pattern)), "{pattern}");
        }
        let several = Concerns { jobs: vec!["[a-zA-Z]*".into(), "[!a-zA-Z]*".into()], ..Concerns::default() };
        assert!(is_everything(&config, &several), "each name matches one of them");
        let all = Concerns {
            sources: vec!["b".into(), "a".into()],
            rules: vec!["failed".into(), "stopped".into()],
            severities: Severity::ALL.to_vec(),
            ..jobs("*")
        };
        assert!(is_everything(&config, &all));
        assert!(is_everything(&config, &Concerns { jobs: Vec::new(), ..all.clone() }));
        assert!(!is_everything(&config, &Concerns { sources: vec!["a".into()], ..all.clone() }));
        assert!(!is_everything(&config, &Concerns { rules: vec!["failed".into()], ..all.clone() }));
        assert!(!is_everything(&config, &Concerns { severities: vec![Severity::Info], ..all.clone() }));
        let labels = LabelMatch([("team".to_string(), vec!["finance".to_string()])].into());
        assert!(!is_everything(&config, &Concerns { labels, ..all }));
        assert!(!is_everything(&config, &Concerns::default()), "it concerns nothing");
    }
}
