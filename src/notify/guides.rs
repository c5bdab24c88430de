//! What the configuration says to whoever receives an alert, and which of it an alert has: that of its job, of its rule and
//! of its source, the nearest first.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::alert::own::PREFIX;
use crate::model::{AlertFacts, RuleId, SourceId};
use crate::rule::JobMatch;
use crate::template::{Guide, Locale, put_guides};

/// All guides of a configuration. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct Guides(Arc<Table>);

/// Guides by what they belong to.
#[derive(Debug, Default)]
pub struct Table {
    /// Of jobs, in file order: where several mean a job, the first that says something counts.
    pub jobs: Vec<(JobMatch, Guide)>,
    /// Of rules.
    pub rules: HashMap<RuleId, Guide>,
    /// Of sources.
    pub sources: HashMap<SourceId, Guide>,
}

impl Guides {
    /// The guides of this table.
    pub fn new(table: Table) -> Guides {
        Guides(Arc::new(table))
    }

    /// Whether nothing is said of anything.
    pub fn is_empty(&self) -> bool {
        let Table { jobs, rules, sources } = &*self.0;
        jobs.is_empty() && rules.is_empty() && sources.is_empty()
    }

    /// Puts into an alert's facts what is said of it. Of Nightbell's own alerts nothing is: they are about no job.
    pub fn put(&self, facts: &mut AlertFacts, now: Timestamp, locale: &Locale) {
        if self.is_empty() || facts.alert.rule.as_str().starts_with(PREFIX) {
            return;
        }
        let Table { jobs, rules, sources } = &*self.0;
        let meant = jobs.iter().filter(|(jobs, _)| jobs.takes(&facts.source.id, &facts.job.name));
        let of_rule = rules.get(&facts.alert.rule);
        let guides: Vec<&Guide> =
            meant.map(|(_, guide)| guide).chain(of_rule).chain(sources.get(&facts.source.id)).collect();
        put_guides(facts, &guides, now, locale);
    }
}
