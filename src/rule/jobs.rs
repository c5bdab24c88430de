//! Which jobs something is about: by source and by patterns of names, without anything about their runs.

use super::matches::Matches;
use super::pattern::{Matcher, Pattern};
use crate::model::SourceId;

/// Jobs by source and name: alternatives within each field, all fields together. An empty field means any.
#[derive(Debug, Clone, Default)]
pub struct JobMatch {
    sources: Vec<SourceId>,
    jobs: Vec<Matcher>,
    not: Vec<Matcher>,
}

impl JobMatch {
    /// The jobs that `matches` means, of whatever type their runs are.
    ///
    /// # Errors
    /// In words, when a pattern cannot be compiled.
    pub fn new(matches: &Matches) -> Result<JobMatch, String> {
        let compiled = |patterns: &[Pattern]| patterns.iter().map(Pattern::matcher).collect::<Result<Vec<_>, _>>();
        Ok(JobMatch { sources: matches.sources.clone(), jobs: compiled(&matches.jobs)?, not: compiled(&matches.not)? })
    }

    /// Whether it means this job.
    pub fn takes(&self, source: &SourceId, job: &str) -> bool {
        (self.sources.is_empty() || self.sources.contains(source))
            && (self.jobs.is_empty() || self.jobs.iter().any(|pattern| pattern.matches(job)))
            && !self.not.iter().any(|pattern| pattern.matches(job))
    }
}
