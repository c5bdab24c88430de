//! What is known of the service between calls.
//!
//! Pure memory: it asks nothing itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::directory::Directory;
use super::workflow::known::Workflows;
use crate::source::contract::Learnt;

/// How long something odd is not said again.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// What is learnt: how a group is listed (the group's id follows), and how full a page gets.
const GROUP_LIST: &str = "list of group ";
const FULLEST_PAGE: &str = "records of a full page";

/// What is known of the service between calls.
#[derive(Default)]
pub(super) struct State {
    /// Whether every configured group was seen since the last error.
    pub(super) has_seen_groups: bool,
    pub(super) directory: Directory,
    pub(super) workflows: Workflows,
    /// How each group can be listed, where that is known.
    pub(super) ways: BTreeMap<String, Way>,
    /// Records of the fullest page so far: a page with fewer is a list's last.
    pub(super) fullest_page: usize,
    /// Groups whose logs cannot be read, and since when.
    pub(super) without_logs: BTreeMap<String, Timestamp>,
    /// Records of a page that the service was asked for and gave, by operation.
    pub(super) page_sizes: BTreeMap<&'static str, usize>,
    /// Where the next search for a silent group's instances begins among its jobs.
    pub(super) probed: usize,
    /// Ids that no list of jobs names and the service could not name either.
    pub(super) nameless: BTreeSet<String>,
    /// When something was last said, by what it is about.
    pub(super) told: HashMap<String, Timestamp>,
}

impl State {
    /// Those of the warnings that were not given lately: what is odd stays so for long, and polls come every minute.
    pub(super) fn not_told_lately(&mut self, warnings: Vec<(String, String)>, now: Timestamp) -> Vec<String> {
        self.told.retain(|_, at| now.duration_since(*at).abs() < TOLD_AGAIN);
        let mut fresh = Vec::new();
        for (about, text) in warnings {
            if let Entry::Vacant(untold) = self.told.entry(about) {
                untold.insert(now);
                fresh.push(text);
            }
        }
        fresh
    }

    /// Takes over what was learnt earlier.
    pub(super) fn learn(&mut self, learnt: &Learnt) {
        for (question, answer) in learnt {
            if question == FULLEST_PAGE {
                self.fullest_page = answer.parse().unwrap_or_default();
            } else if let Some(group) = question.strip_prefix(GROUP_LIST) {
                match answer.as_str() {
                    "whole" => drop(self.ways.insert(group.to_string(), Way::ByGroup)),
                    "by job" => drop(self.ways.insert(group.to_string(), Way::ByJob)),
                    _ => {}
                }
            }
        }
    }

    /// What is learnt so far.
    pub(super) fn learnt(&self) -> Learnt {
        let word = |way: &Way| if *way == Way::ByGroup { "whole" } else { "by job" };
        let ways = self.ways.iter().map(|(group, way)| (format!("{GROUP_LIST}{group}"), word(way).to_string()));
        let fullest = (self.fullest_page > 0).then(|| (FULLEST_PAGE.to_string(), self.fullest_page.to_string()));
        ways.chain(fullest).collect()
    }
}

/// How the instances of a group can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All at once.
    ByGroup,
    /// Job by job.
    ByJob,
}
