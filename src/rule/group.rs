//! `group`: which alerts of a receiver are told together, and when. Pure.
//!
//! # Design
//! A group is named by a digest of the settings and of the values that it goes by, so that rules with equal settings share
//! their groups and a setting that is edited begins new ones. The receiver is no part of the name: each has its own
//! groups. What is not known of an alert is a value like any other, but for the root: without one it is its own.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::coding::hex;
use crate::model::{AlertFacts, GroupPlace};

/// What alerts of one group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    /// The source.
    Source,
    /// The job.
    Job,
    /// The rule.
    Rule,
    /// How bad it is.
    Severity,
    /// The failure that it comes from: the real-time job of a sub-job, the workflow's run that a job's run is a part of.
    Root,
}

impl GroupBy {
    /// All of them.
    pub const ALL: [GroupBy; 5] = [GroupBy::Source, GroupBy::Job, GroupBy::Rule, GroupBy::Severity, GroupBy::Root];

    /// The word used in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            GroupBy::Source => "source",
            GroupBy::Job => "job",
            GroupBy::Rule => "rule",
            GroupBy::Severity => "severity",
            GroupBy::Root => "root",
        }
    }

    /// What a word of the configuration stands for.
    pub fn from_word(word: &str) -> Option<GroupBy> {
        GroupBy::ALL.into_iter().find(|by| by.as_str() == word)
    }

    /// The alert's values; a job is one only together with its source.
    fn values(self, facts: &AlertFacts) -> [&str; 3] {
        let (source, job) = (facts.source.id.as_str(), facts.job.name.as_str());
        match self {
            GroupBy::Source => [source, "", ""],
            GroupBy::Job => [source, job, ""],
            GroupBy::Rule => [facts.alert.rule.as_str(), "", ""],
            GroupBy::Severity => [facts.alert.severity.as_str(), "", ""],
            GroupBy::Root => match (&facts.job.more.real_time_job, facts.workflow_run()) {
                // A real-time job has no instance, so an alert about it is of the same group.
                (Some(root), _) => [source, root, ""],
                // As an alert about the workflow's run itself names its job and its instance.
                (None, Some((workflow, run))) => [source, workflow, run],
                (None, None) => [source, job, facts.instance.as_ref().map_or("", |instance| &instance.id)],
            },
        }
    }
}

/// How the alerts of a rule are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// What those of one group have in common; nothing means that all of them are one group.
    pub by: BTreeSet<GroupBy>,
    /// How long the first alert waits for others.
    pub wait: Duration,
    /// How far apart two messages of a group are at least.
    pub interval: Duration,
    /// After how long without a message what still fires is told again; none for never.
    pub repeat: Option<Duration>,
}

impl Grouping {
    /// Whether it must be known what a run is a part of.
    pub fn goes_by_root(&self) -> bool {
        self.by.contains(&GroupBy::Root)
    }

    /// The group of an alert, and when that is to be told if nobody holds it up.
    pub fn place(&self, facts: &AlertFacts, now: Timestamp) -> (GroupPlace, Timestamp) {
        let place = GroupPlace { key: self.key(facts), interval: self.interval, repeat: self.repeat, told_at: None };
        (place, now.checked_add(self.wait).unwrap_or(Timestamp::MAX))
    }

    /// The name of an alert's group: 128 bits of SHA-256 in hexadecimal.
    fn key(&self, facts: &AlertFacts) -> String {
        let mut hash = Sha256::new();
        // With its length before it, no two different lists of texts can run together into the same one.
        let mut put = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        for span in [Some(self.wait), Some(self.interval), self.repeat] {
            put(&span.map_or_else(|| "-".to_string(), |span| span.as_millis().to_string()));
        }
        for by in &self.by {
            put(by.as_str());
            by.values(facts).into_iter().for_each(&mut put);
        }
        hex(&hash.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Severity, SourceId};

    fn facts() -> AlertFacts {
        let text = r#"{"alert":{"id":"a","rule":"etl-failed","severity":"error","state":"firing","starts_at":
            "2026-11-21T00:05:00Z","ends_at":null,"summary":"etl_orders failed"},"source":{"id":"warehouse","type":
            "dataarts"},"job":{"name":"etl_orders","id":null},"instance":{"id":"34765","name":null,"status":"fail",
            "raw_status":"fail","type":"scheduled","plan_time":null,"start_time":null,"end_time":null,"duration_ms":null,
            "url":null},"failing_nodes":[],"node_details":"ok"}"#;
        serde_json::from_str(text).unwrap()
    }

    fn by(words: &[&str]) -> Grouping {
        let by = words.iter().filter_map(|word| GroupBy::from_word(word)).collect();
        let (wait, interval) = (Duration::from_secs(30), Duration::from_secs(300));
        Grouping { by, wait, interval, repeat: None }
    }

    #[test]
    fn what_is_of_one_group() {
        let other = |change: fn(&mut AlertFacts)| {
            let mut facts = facts();
            change(&mut facts);
            facts
        };
        let elsewhere = other(|facts| facts.source.id = SourceId::new("elsewhere"));
        let worse = other(|facts| facts.alert.severity = Severity::Info);
        let another_job = other(|facts| facts.job.name = "another".into());
        let another_run = other(|facts| facts.instance.as_mut().unwrap().id = "another".into());
        // by, and whether each of the others is of the group of the first
        let table = [
            (vec![], [true, true, true, true]),
            (vec!["source"], [false, true, true, true]),
            (vec!["severity"], [true, false, true, true]),
            (vec!["job"], [false, true, false, true]),
            (vec!["root"], [false, true, false, false]),
            (vec!["source", "severity"], [false, false, true, true]),
            (vec!["rule"], [true, true, true, true]),
        ];
        for (words, expected) in table {
            let key = |facts: &AlertFacts| by(&words).key(facts);
            let found = [&elsewhere, &worse, &another_job, &another_run].map(|other| key(other) == key(&facts()));
            assert_eq!(found, expected, "{words:?}");
        }
    }

    #[test]
    fn a_sub_job_is_of_the_group_of_its_real_time_job() {
        let mut sub_job = facts();
        (sub_job.job.name, sub_job.job.more.real_time_job) = ("stream_node".into(), Some("stream".into()));
        let mut another = sub_job.clone();
        another.job.name = "stream_other".into();
        let mut stream = facts();
        (stream.job.name, stream.instance) = ("stream".into(), None);
        let keys = [&sub_job, &another, &stream].map(|facts| by(&["root"]).key(facts));
        assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
    }

    #[test]
    fn the_runs_of_a_workflow_s_jobs_are_of_the_group_of_its_run() {
        let part = |job: &str, run: &str| {
            let mut facts = facts();
            (facts.job.name, facts.job.workflow) = (job.into(), Some("nightly".into()));
            facts.instance.as_mut().unwrap().workflow_instance = Some(run.into());
            facts
        };
        let mut whole = facts();
        (whole.job.name, whole.instance.as_mut().unwrap().id) = ("nightly".into(), "7".into());
        let key = |facts: &AlertFacts| by(&["root"]).key(facts);
        assert!(key(&part("load", "7")) == key(&whole) && key(&part("sum_up", "7")) == key(&whole));
        assert_ne!(key(&part("load", "8")), key(&whole), "another run of the workflow");
    }

    #[test]
    fn equal_settings_share_a_group_and_others_do_not() {
        let one = by(&["source", "job"]);
        assert_eq!(one.key(&facts()), by(&["job", "source"]).key(&facts()));
        let others = [
            Grouping { wait: Duration::ZERO, ..one.clone() },
            Grouping { interval: Duration::ZERO, ..one.clone() },
            Grouping { repeat: Some(Duration::ZERO), ..one.clone() },
        ];
        for other in others {
            assert_ne!(other.key(&facts()), one.key(&facts()));
        }
    }
}
