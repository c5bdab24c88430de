//! Which jobs there are: their ids, names, groups and schedules.
//!
//! Pure. Lists of instances tell ids only, and what is followed from an earlier run of the program has a name only, so
//! both ways are needed.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::answer::{JobRow, Timing};
use crate::http::snippet;
use crate::model::{JobRef, JobSchedule};
use crate::schedule::Schedule;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) group: String,
    pub(super) is_enabled: bool,
    pub(super) timing: Timing,
    /// Since when it is missing from the list of jobs.
    pub(super) gone_at: Option<Timestamp>,
}

/// How long the runs of a removed job are still asked for, and how long its name is known.
const REMOVED_ASKED: SignedDuration = SignedDuration::from_hours(24);
const REMOVED_KNOWN: SignedDuration = SignedDuration::from_hours(8 * 24);

/// All jobs of the configured groups, as they were at one moment.
#[derive(Debug, Default, Clone)]
pub(super) struct Directory {
    jobs: HashMap<String, Job>,
    /// When it was read; never, when absent.
    pub(super) read_at: Option<Timestamp>,
    /// Whether there are more jobs than could be read.
    pub(super) is_short: bool,
    /// How many rows of the list of jobs could not be understood.
    pub(super) unclear: usize,
}

impl Directory {
    /// Adds a group's jobs.
    pub(super) fn add(&mut self, group: &str, rows: impl IntoIterator<Item = JobRow>) {
        for JobRow { id, name, is_enabled, timing } in rows {
            self.jobs.insert(id.clone(), Job { id, name, group: group.to_string(), is_enabled, timing, gone_at: None });
        }
    }

    /// Takes over the jobs of `older` that are here no more: runs of a removed job are still listed for a while.
    pub(super) fn inherit(&mut self, older: &Directory, now: Timestamp) {
        for (id, job) in &older.jobs {
            let gone_at = job.gone_at.unwrap_or(now);
            if now.duration_since(gone_at) < REMOVED_KNOWN {
                self.jobs.entry(id.clone()).or_insert_with(|| Job {
                    is_enabled: false,
                    gone_at: Some(gone_at),
                    ..job.clone()
                });
            }
        }
    }

    /// Notes that the service knows the job no more: it is not asked for its runs again.
    pub(super) fn retire(&mut self, id: &str) {
        if let Some(job) = self.jobs.get_mut(id)
            && let Some(gone_at) = &mut job.gone_at
        {
            *gone_at = gone_at.saturating_sub(REMOVED_ASKED).unwrap_or(*gone_at);
        }
    }

    /// The job with this id.
    pub(super) fn get(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// The jobs that may be meant: the one with the id, or all of the name.
    pub(super) fn candidates(&self, job: &JobRef) -> Vec<Job> {
        if let Some(known) = job.id.as_ref().and_then(|id| self.jobs.get(id)) {
            return vec![known.clone()];
        }
        let mut found: Vec<Job> = self.jobs.values().filter(|known| known.name == job.name).cloned().collect();
        found.sort_by(|a, b| (!a.is_enabled, &a.id).cmp(&(!b.is_enabled, &b.id)));
        found
    }

    /// The ids of a group's jobs whose runs are asked for, those whose schedule is on first.
    pub(super) fn ids_of(&self, group: &str, now: Timestamp) -> Vec<String> {
        let is_asked = |job: &&Job| job.gone_at.is_none_or(|at| now.duration_since(at) < REMOVED_ASKED);
        let mut jobs: Vec<&Job> = self.jobs.values().filter(|job| job.group == group).filter(is_asked).collect();
        jobs.sort_by(|a, b| (!a.is_enabled, &a.id).cmp(&(!b.is_enabled, &b.id)));
        jobs.into_iter().map(|job| job.id.clone()).collect()
    }

    /// The schedules that are on, of the jobs with these ids, or of all if there are none. Those of several jobs of one
    /// name cannot be told apart by their runs.
    pub(super) fn schedules(&self, wanted: &[String], zone: &TimeZone) -> Vec<JobSchedule> {
        let mut by_name: BTreeMap<&str, Vec<&Timing>> = BTreeMap::new();
        let is_wanted = |job: &&Job| job.is_enabled && (wanted.is_empty() || wanted.contains(&job.id));
        for job in self.jobs.values().filter(is_wanted) {
            by_name.entry(&job.name).or_default().push(&job.timing);
        }
        let due = |timings: Vec<&Timing>| match timings.as_slice() {
            [Timing::Cron(text)] => Some(Schedule::parse_quartz(text, zone).map_err(|fault| {
                format!("its expression {:?} cannot be followed: {}", snippet(text), snippet(&fault))
            })),
            [Timing::Unclear(why)] => Some(Err((*why).to_string())),
            timings if timings.iter().all(|timing| **timing == Timing::Called) => None,
            _ => Some(Err("several jobs have this name".to_string())),
        };
        let named =
            |(name, timings): (&str, Vec<&Timing>)| Some(JobSchedule { job: name.to_string(), due: due(timings)? });
        by_name.into_iter().filter_map(named).collect()
    }

    /// Names that several jobs have, each with the ids.
    pub(super) fn namesakes(&self) -> Vec<(String, Vec<String>)> {
        let mut by_name: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
        for job in self.jobs.values().filter(|job| job.is_enabled) {
            by_name.entry(&job.name).or_default().push(job);
        }
        let several = by_name.into_iter().filter(|(_, jobs)| jobs.len() > 1);
        let ids = |jobs: Vec<&Job>| {
            let mut ids: Vec<String> = jobs.into_iter().map(|job| job.id.clone()).collect();
            ids.sort();
            ids
        };
        several.map(|(name, jobs)| (name.to_string(), ids(jobs))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, name: &str, is_enabled: bool) -> JobRow {
        JobRow { id: id.into(), name: name.into(), is_enabled, timing: Timing::Called }
    }

    #[test]
    fn jobs_are_found_by_id_and_by_name() {
        let mut directory = Directory::default();
        directory.add("g", [row("2", "sync", false), row("1", "load", true)]);
        directory.add("h", [row("3", "sync", true), row("4", "sync", true)]);
        let ids = |name: &str, id: Option<&str>| -> Vec<String> {
            let job = JobRef { name: name.into(), id: id.map(str::to_string) };
            directory.candidates(&job).into_iter().map(|job| job.id).collect()
        };
        assert_eq!(ids("sync", Some("2")), ["2"]);
        assert_eq!(ids("sync", None), ["3", "4", "2"]);
        assert_eq!(ids("sync", Some("99")), ["3", "4", "2"]);
        assert!(ids("gone", None).is_empty());
        assert_eq!(directory.ids_of("g", Timestamp::UNIX_EPOCH), ["1", "2"]);
        assert_eq!(directory.namesakes(), [("sync".to_string(), vec!["3".to_string(), "4".to_string()])]);
    }

    #[test]
    fn a_removed_job_keeps_its_name() {
        let (mut older, mut newer) = (Directory::default(), Directory::default());
        older.add("g", [row("1", "load", true)]);
        newer.add("g", [row("2", "sync", true)]);
        let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        newer.inherit(&older, at(0));
        assert_eq!(newer.get("1").map(|job| (job.name.as_str(), job.is_enabled)), Some(("load", false)));
        // Its runs are asked for a day long, or until the service knows it no more; its name is known for longer.
        assert_eq!(
            (newer.ids_of("g", at(23)), newer.ids_of("g", at(24))),
            (vec!["2".into(), "1".into()], vec!["2".to_string()])
        );
        newer.retire("1");
        assert_eq!(newer.ids_of("g", at(0)), ["2"]);
        for (hours, is_known) in [(8 * 24 - 1 - 24, true), (8 * 24, false)] {
            let mut later = Directory::default();
            later.inherit(&newer, at(hours));
            assert_eq!(later.get("1").is_some(), is_known, "{hours}");
        }
    }
}
