//! Silences as people ask for them: whether one makes sense, and how many alerts it would hit.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::alert::own;
use crate::config::Config;
use crate::limits::{REASON_BYTES_MAX, SILENCE_PREVIEW_ALERTS_MAX, SILENCE_PREVIEW_SPAN, SILENCE_TIME_MAX};
use crate::model::{Alert, AlertState, Concerns};
use crate::rule::AlertMatch;
use crate::store::{AlertAsk, Board, NewSilence, StoreError};
use crate::yaml::closest;

/// What is wrong with what somebody asks for: with which part of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The part, by the name of the command's option: `job`, `for`, `reason`; none where it is about the whole.
    pub part: Option<&'static str>,
    /// Why.
    pub why: String,
}

fn wrong<T>(part: &'static str, why: impl Into<String>) -> Result<T, Wrong> {
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
    known("source", new.concerns.sources.iter().map(|id| id.as_str()), &sources)?;
    known("rule", new.concerns.rules.iter().map(|id| id.as_str()), &rules)?;
    if new.concerns.is_empty() {
        return Err(Wrong { part: None, why: "name what it concerns (everything: the job pattern *)".into() });
    }
    AlertMatch::of(&new.concerns).or_else(|fault| wrong("job", fault))?;
    if new.ends_at <= now {
        return wrong("until", "it would have ended already");
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
        return Err(Wrong {
            part: None,
            why: format!("a silence lasts at most {days} days; for longer, change the rules"),
        });
    }
    Ok(())
}

fn known<'a>(what: &'static str, names: impl Iterator<Item = &'a str>, defined: &[&str]) -> Result<(), Wrong> {
    let mut names = names;
    let Some(name) = names.find(|name| !defined.contains(name)) else { return Ok(()) };
    let help = closest(name, defined.iter().copied())
        .map_or_else(|| format!("the file defines {}", defined.join(", ")), |near| format!("did you mean {near:?}?"));
    Err(Wrong { part: None, why: format!("there is no {what} {name:?}; {help}") })
}

/// A text that goes into the one line of a message.
///
/// # Errors
/// [`Wrong`] when it is empty, too long, or has several lines.
pub fn one_line(part: &'static str, text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return wrong(part, "is empty");
    }
    if text.len() > REASON_BYTES_MAX {
        return wrong(part, format!("is longer than {REASON_BYTES_MAX} bytes"));
    }
    if text.chars().any(char::is_control) {
        return wrong(part, "must be one line");
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
    /// Whether it concerns every alert there may be.
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
    Ok(Ok(Hits {
        firing: hit.len(),
        firing_of: firing.len(),
        week: week.iter().filter(|alert| found.concerns(alert)).count(),
        week_of: week.len(),
        is_at_least,
        is_everything: is_everything(concerns),
        examples: hit.into_iter().take(EXAMPLES).cloned().collect(),
    }))
}

/// Whether a silence concerns every alert there may be: nothing but patterns that every name matches.
pub fn is_everything(concerns: &Concerns) -> bool {
    let Concerns { sources, jobs, rules, severities, labels } = concerns;
    let takes_all = |pattern: &String| matches!(pattern.as_str(), "*" | "**" | "/.*/" | "/.+/");
    sources.is_empty() && rules.is_empty() && severities.is_empty() && labels.is_empty() && jobs.iter().any(takes_all)
}

/// When a silence ends that begins now.
///
/// # Errors
/// [`Wrong`] when that is after the end of time.
pub fn ends_after(lasts: Duration, now: Timestamp) -> Result<Timestamp, Wrong> {
    now.checked_add(lasts).or_else(|error| wrong("for", error.to_string()))
}
