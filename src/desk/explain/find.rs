//! What a text means that somebody asks after: a job, a run as `job/id`, or a run by its id alone.
//!
//! Reads the store, by indexes alone. Several sources, or thousands of jobs, may have what bears the name: what is found has an
//! order, and is read a page at a time. It must never know who asks, only what of the jobs they may see.

use serde::{Deserialize, Serialize};

use super::told::Asked;
use crate::limits::RUNS_OF_AN_ID_READ;
use crate::model::SourceId;
use crate::rule::{Matcher, Rule, RuleSet};
use crate::store::{Archive as _, Inquiry as _, SqlStore, StoreError};
use crate::yaml::closest;

/// What somebody asks after.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// A job, a run as `job/id`, or a run's id.
    pub text: &'a str,
    /// Whether a job of a source may be found.
    pub sees: &'a (dyn Fn(&SourceId, &str) -> bool + Sync),
    /// Behind which place the list begins; nothing for its head.
    pub after: Option<&'a Found>,
    /// How many are found at most.
    pub limit: usize,
}

/// A place in the list of what a text means: the source, in which way it is meant, and the job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Found(SourceId, Way, String);

/// In which way something is meant by a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Way {
    /// It is the job.
    #[serde(rename = "j")]
    Job,
    /// It is a run of the job, and the text names both.
    #[serde(rename = "r")]
    Run,
    /// It is a run with this id.
    #[serde(rename = "i")]
    Id,
}

impl Found {
    /// Where this stands of what `text` means.
    pub fn of(asked: &Asked, text: &str) -> Found {
        match asked {
            Asked::Job(source, job) => Found(source.clone(), Way::Job, job.clone()),
            Asked::Run(run) => {
                let way = if run.id == text { Way::Id } else { Way::Run };
                Found(run.source.clone(), way, run.job.name.clone())
            }
        }
    }
}

impl Question<'_> {
    fn wants(&self, source: &SourceId, way: Way, job: &str) -> bool {
        let is_behind = |after: &Found| (source, way, job) > (&after.0, after.1, after.2.as_str());
        self.after.is_none_or(is_behind) && (self.sees)(source, job)
    }
}

/// Finds what a text means. Several sources, or several jobs, may have it; of no such name, what is near is the error.
///
/// # Errors
/// [`StoreError`]; inside, what was probably meant, if anything is near.
pub async fn find(
    store: &SqlStore,
    rules: &RuleSet,
    question: &Question<'_>,
) -> Result<Result<Vec<Asked>, Option<String>>, StoreError> {
    let (mut found, mut names) = (Vec::new(), Vec::new());
    let mut sources: Vec<SourceId> = store.sources().await?.into_iter().map(|source| source.id).collect();
    sources.sort();
    sources.retain(|source| question.after.is_none_or(|after| *source >= after.0));
    for source in &sources {
        if found.len() >= question.limit {
            break;
        }
        let jobs = store.jobs_of(source).await?;
        find_in(store, source, &jobs, question, &mut found).await?;
        names.extend(jobs);
    }
    found.truncate(question.limit);
    if !found.is_empty() || question.after.is_some() {
        return Ok(Ok(found));
    }
    // A job that never ran may be missed all the same, by a rule that names it in full.
    let missed = rules.rules().iter().filter(|rule| names_in_full(rule, question.text));
    let sole =
        missed.flat_map(|rule| rule.matches.sources.clone()).find(|source| (question.sees)(source, question.text));
    Ok(match sole {
        Some(source) => Ok(vec![Asked::Job(source, question.text.to_string())]),
        None => Err(closest(question.text, names.iter().map(String::as_str)).map(str::to_string)),
    })
}

/// Adds what the text means in one source, whose jobs these are.
async fn find_in(
    store: &SqlStore,
    source: &SourceId,
    jobs: &[String],
    question: &Question<'_>,
    found: &mut Vec<Asked>,
) -> Result<(), StoreError> {
    let text = question.text;
    let is_known = |name: &str| jobs.binary_search_by(|job| job.as_str().cmp(name)).is_ok();
    let is_job = is_known(text);
    if question.wants(source, Way::Job, text) && (is_job || !store.alerts_about(source, text, 1).await?.is_empty()) {
        found.push(Asked::Job(source.clone(), text.to_string()));
    }
    for (at, _) in text.match_indices('/') {
        let (job, id) = (&text[..at], &text[at + 1..]);
        if question.wants(source, Way::Run, job)
            && is_known(job)
            && let Some(run) = store.run_named(source, job, id).await?
        {
            found.push(Asked::Run(Box::new(run)));
        }
    }
    if is_job {
        return Ok(());
    }
    let mut behind = match question.after {
        Some(Found(of, Way::Id, job)) if of == source => job.clone(),
        _ => String::new(),
    };
    while found.len() < question.limit {
        let read = store.runs_named(source, text, &behind, RUNS_OF_AN_ID_READ).await?;
        let Some(last) = read.last() else { break };
        let is_last = read.len() < RUNS_OF_AN_ID_READ;
        behind.clone_from(&last.job.name);
        let seen = read.into_iter().filter(|run| (question.sees)(source, &run.job.name));
        found.extend(seen.map(|run| Asked::Run(Box::new(run))));
        if is_last {
            break;
        }
    }
    Ok(())
}

fn names_in_full(rule: &Rule, job: &str) -> bool {
    rule.matches.jobs.iter().any(|pattern| pattern.literal() == Some(job))
}

/// The job of a source, or the run of it with this id; nothing where neither the store nor a rule knows it.
///
/// # Errors
/// [`StoreError`].
pub async fn named(
    store: &SqlStore,
    rules: &RuleSet,
    (source, job): (&SourceId, &str),
    run: Option<&str>,
) -> Result<Option<Asked>, StoreError> {
    if let Some(id) = run {
        return Ok(store.run_named(source, job, id).await?.map(|run| Asked::Run(Box::new(run))));
    }
    let is_known = rules.rules().iter().any(|rule| rule.concerns_source(source) && names_in_full(rule, job))
        || !store.runs_of(source, job, 1).await?.is_empty()
        || !store.alerts_about(source, job, 1).await?.is_empty();
    Ok(is_known.then(|| Asked::Job(source.clone(), job.to_string())))
}

/// The jobs whose names match a pattern, in every source that was ever asked, at most `limit`; and how many match in all.
///
/// # Errors
/// [`StoreError`].
pub async fn find_matching(
    store: &SqlStore,
    pattern: &Matcher,
    limit: usize,
) -> Result<(Vec<Asked>, usize), StoreError> {
    let (mut found, mut all) = (Vec::new(), 0);
    for source in store.sources().await? {
        for job in store.jobs_of(&source.id).await?.into_iter().filter(|job| pattern.matches(job)) {
            all += 1;
            if found.len() < limit {
                found.push(Asked::Job(source.id.clone(), job));
            }
        }
    }
    Ok((found, all))
}
