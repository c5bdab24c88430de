//! What a listing has read so far.
//!
//! Takes rows and remarks in; asks the service only whether it shows the groups.

use std::collections::HashMap;

use crate::model::{SetAside, Window};
use crate::source::contract::SourceError;
use crate::source::schedulerx::answer::Row;
use crate::source::schedulerx::service::SchedulerX;
use crate::source::schedulerx::state::Way;

pub(super) struct Reader<'a> {
    pub(super) source: &'a SchedulerX,
    pub(super) window: Window,
    pub(super) calls: usize,
    pub(super) rows: Vec<Row>,
    /// Where each instance stands among the rows.
    pub(super) seen: HashMap<String, usize>,
    /// The group of each job that was listed.
    pub(super) groups: HashMap<String, String>,
    pub(super) set_aside: Vec<SetAside>,
    /// What is to be said, each with the name of what it is about.
    pub(super) warnings: Vec<(String, String)>,
    pub(super) is_cut: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a SchedulerX, window: Window) -> Self {
        Reader {
            source,
            window,
            calls: 0,
            rows: Vec::new(),
            seen: HashMap::new(),
            groups: HashMap::new(),
            set_aside: Vec::new(),
            warnings: Vec::new(),
            is_cut: false,
        }
    }

    pub(super) async fn check_groups(&mut self) -> Result<(), SourceError> {
        self.calls += 1;
        let seen = self.source.seen_groups().await?;
        self.source.check_groups(&seen)?;
        self.source.state().has_seen_groups = true;
        Ok(())
    }

    /// Notes what is to be said about something.
    pub(super) fn warn(&mut self, about: &str, text: String) {
        self.warnings.push((about.to_string(), text));
    }

    /// Takes rows in, the later sight of an instance over the earlier, and tells how many were new.
    pub(super) fn take(&mut self, group: &str, rows: Vec<Result<Row, SetAside>>) -> usize {
        let mut fresh = 0;
        for row in rows {
            match row {
                Ok(row) => match self.seen.get(&row.id) {
                    Some(&at) => self.rows[at] = row,
                    None => {
                        fresh += 1;
                        self.seen.insert(row.id.clone(), self.rows.len());
                        self.groups.entry(row.job_id.clone()).or_insert_with(|| group.to_string());
                        self.rows.push(row);
                    }
                },
                Err(item) => {
                    fresh += 1;
                    if !self.set_aside.iter().any(|known| known.is_same(&item)) {
                        self.set_aside.push(item);
                    }
                }
            }
        }
        fresh
    }

    pub(super) fn learn(&self, group: &str, way: Way) {
        let before = self.source.state().ways.insert(group.to_string(), way);
        if before != Some(way) {
            tracing::debug!(source = %self.source.id, group, ?way, "learnt how the group is listed");
        }
    }
}
