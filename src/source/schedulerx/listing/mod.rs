//! Listing the instances of all groups: pages until a short one, each instance once, with its job's name.
//!
//! Whether the service lists a whole group in one call is documented and doubted, so it is tried: a refusal, or an
//! answer that is empty while a job of the group has instances, means job by job.

mod names;
mod workflows;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::answer::{Row, read_rows};
use super::directory::Directory;
use super::{SchedulerX, Way, bad_answer, zone};
use crate::limits::{SCHEDULERX_JOBS_AGE_MAX, SCHEDULERX_LISTING_CALLS_MAX, SCHEDULERX_PROBED_JOBS};
use crate::model::{Coverage, Instance, JobRef, Part, SetAside, Unread, Window};
use crate::source::contract::{Listing, SourceError, SourceErrorKind};

/// Pages of one list at most: it has come to a standstill, or the window is far too long.
const PAGES_MAX: usize = 1000;

/// Reads all instances planned in `window`.
pub(super) async fn read(source: &SchedulerX, window: Window) -> Result<Listing, SourceError> {
    let mut reader = Reader::new(source, window);
    let has_seen_groups = source.state().has_seen_groups;
    if !has_seen_groups {
        reader.check_groups().await?;
    }
    reader.refresh_directory(SCHEDULERX_JOBS_AGE_MAX).await?;
    let groups = source.client.settings.groups.clone();
    for group in &groups {
        reader.read_group(group).await?;
    }
    // A right that was taken away shows as silence too.
    let is_silent = |group: &String| !reader.groups.values().any(|listed| listed == group);
    if has_seen_groups && groups.iter().any(is_silent) {
        reader.check_groups().await?;
    }
    reader.finish().await
}

/// The first instances of each group, and nothing of the rest: what an examination goes by.
pub(super) async fn peek(source: &SchedulerX, window: Window) -> Result<Vec<(String, Vec<Row>)>, SourceError> {
    let mut reader = Reader::new(source, window);
    reader.refresh_directory(SCHEDULERX_JOBS_AGE_MAX).await?;
    let mut found = Vec::new();
    for group in source.client.settings.groups.clone() {
        let rows = reader.peek(&group).await?;
        found.push((group, rows));
    }
    Ok(found)
}

/// The jobs of all groups as they are now: what the poll under way has read serves, what one before has read does not.
pub(super) async fn read_jobs(source: &SchedulerX) -> Result<Directory, SourceError> {
    const JUST_NOW: Duration = Duration::from_secs(30);
    let now = source.client.clock.now();
    let mut reader = Reader::new(source, Window { from: now, to: now });
    reader.refresh_directory(JUST_NOW).await?;
    let directory = source.state().directory.clone();
    if directory.read_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < JUST_NOW) && !directory.is_short {
        return Ok(directory);
    }
    let reasons: Vec<String> = reader.warnings.into_iter().map(|(_, reason)| reason).collect();
    Err(SourceError::new(SourceErrorKind::Transient, reasons.join("; ")))
}

/// One page of the instances of a group, or of a job in it.
pub(super) async fn fetch(
    source: &SchedulerX,
    window: Window,
    group: &str,
    job: Option<&str>,
    page: usize,
    calls: &mut usize,
) -> Result<Vec<Result<Row, SetAside>>, SourceError> {
    let mut pairs = vec![
        ("GroupId", group.to_string()),
        ("StartTimestamp", window.from.as_millisecond().to_string()),
        ("EndTimestamp", window.to.as_millisecond().to_string()),
    ];
    pairs.extend(job.map(|job| ("JobId", job.to_string())));
    let data = source.page("GetJobInstanceList", &pairs, page, calls).await?;
    read_rows(&data, &source.client.settings.timezone).map_err(bad_answer)
}

/// A list of a group that tells its total: what there is by id, and why that is not all, if it is not.
pub(super) struct Told<T> {
    pub(super) items: BTreeMap<String, T>,
    pub(super) short: Option<String>,
}

/// One page of such a list: its items by id, how many there were, and the total.
pub(super) type ToldPage<T> = (Vec<(String, T)>, usize, Option<usize>);

/// Reads all pages of a list that tells its total.
pub(super) async fn read_told<T>(
    source: &SchedulerX,
    action: &'static str,
    group: &str,
    calls: &mut usize,
    read: impl Fn(&str) -> Result<ToldPage<T>, &'static str>,
) -> Result<Told<T>, SourceError> {
    let mut items = BTreeMap::new();
    let (mut received, mut told, mut has_ended) = (0, None, false);
    let pairs = vec![("GroupId", group.to_string())];
    for page in 1..=PAGES_MAX {
        let data = source.page(action, &pairs, page, calls).await?;
        let (rows, count, total) = read(&data).map_err(bad_answer)?;
        let before = items.len();
        items.extend(rows);
        received += count;
        told = total.or(told);
        // With a total the end is known; without one it is the page that brings nothing new.
        has_ended = count == 0 || total.is_some_and(|total| received >= total) || items.len() == before;
        if has_ended {
            break;
        }
    }
    let short = match told {
        Some(told) if received < told => Some(format!("{received} of {told} in {group} could be read ({action})")),
        _ if !has_ended => Some(format!("only {received} in {group} could be read ({action})")),
        _ => None,
    };
    Ok(Told { items, short })
}

struct Reader<'a> {
    source: &'a SchedulerX,
    window: Window,
    calls: usize,
    rows: Vec<Row>,
    /// Where each instance stands among the rows.
    seen: HashMap<String, usize>,
    /// The group of each job that was listed.
    groups: HashMap<String, String>,
    set_aside: Vec<SetAside>,
    /// What is to be said, each with the name of what it is about.
    warnings: Vec<(String, String)>,
    is_cut: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a SchedulerX, window: Window) -> Self {
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

    async fn check_groups(&mut self) -> Result<(), SourceError> {
        self.calls += 1;
        let seen = self.source.seen_groups().await?;
        self.source.check_groups(&seen)?;
        self.source.state().has_seen_groups = true;
        Ok(())
    }

    async fn read_group(&mut self, group: &str) -> Result<(), SourceError> {
        let known = self.source.state().ways.get(group).copied();
        if known == Some(Way::ByJob) {
            return self.read_jobs_of(group).await.map(drop);
        }
        match self.read_pages(group, None).await {
            Ok(0) if known.is_none() => self.probe(group).await,
            Ok(_) => {
                self.learn(group, Way::ByGroup);
                Ok(())
            }
            Err(error) if !is_refusal(&error) => Err(error),
            // It could be listed before: the next poll finds out anew whether it still can.
            Err(error) if known.is_some() => {
                self.source.state().ways.remove(group);
                Err(error)
            }
            Err(error) => {
                // Perhaps the service wants to be asked job by job; if not, its first words are the true reason.
                match self.read_jobs_of(group).await {
                    Ok(answered) if answered > 0 => {
                        self.learn(group, Way::ByJob);
                        Ok(())
                    }
                    _ => Err(error),
                }
            }
        }
    }

    /// A group that is silent as a whole: some of its jobs are asked, others at each poll. Where one of them has
    /// instances, the silence meant nothing.
    async fn probe(&mut self, group: &str) -> Result<(), SourceError> {
        let jobs = self.wanted_jobs(group);
        let start = self.source.state().probed;
        let count = SCHEDULERX_PROBED_JOBS.min(jobs.len());
        self.source.state().probed = start.wrapping_add(count);
        for job in jobs.iter().cycle().skip(start % jobs.len().max(1)).take(count) {
            match self.read_pages(group, Some(job)).await {
                Ok(0) => {}
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    self.learn(group, Way::ByJob);
                    return self.read_jobs_of(group).await.map(drop);
                }
            }
        }
        Ok(())
    }

    /// Lists job by job, and tells how many jobs there was an answer about.
    async fn read_jobs_of(&mut self, group: &str) -> Result<usize, SourceError> {
        let jobs = self.wanted_jobs(group);
        // Jobs that the list of jobs left out are not asked.
        self.is_cut |= self.source.state().directory.is_short;
        let mut answered = 0;
        for job in &jobs {
            if self.calls >= SCHEDULERX_LISTING_CALLS_MAX {
                self.is_cut = true;
                let message = format!(
                    "listing {} jobs of {group} one by one takes too many calls; name those that matter in \"jobs\"",
                    jobs.len()
                );
                self.warn(group, message);
                break;
            }
            match self.read_pages(group, Some(job)).await {
                // A job that was removed meanwhile.
                Err(error) if error.kind == SourceErrorKind::NotFound => self.source.state().directory.retire(job),
                Err(error) => return Err(error),
                Ok(_) => answered += 1,
            }
        }
        Ok(answered)
    }

    fn wanted_jobs(&self, group: &str) -> Vec<String> {
        let wanted = &self.source.client.settings.jobs;
        let mut jobs = self.source.state().directory.ids_of(group, self.source.client.clock.now());
        jobs.retain(|id| wanted.is_empty() || wanted.contains(id));
        jobs
    }

    /// Reads the pages of a list until a short one, and tells how many rows it had.
    async fn read_pages(&mut self, group: &str, job: Option<&str>) -> Result<usize, SourceError> {
        let mut count = 0;
        for page in 1..=PAGES_MAX {
            if self.calls >= SCHEDULERX_LISTING_CALLS_MAX {
                self.is_cut = true;
                self.warn(group, format!("the list of {group} is longer than one poll may read; shorten \"lookback\""));
                break;
            }
            let rows = self.fetch(group, job, page).await?;
            let len = rows.len();
            count += len;
            let fresh = self.take(group, rows);
            let fullest = self.source.state().fullest_page;
            if len == 0 || is_last(len, fullest) {
                return Ok(count);
            }
            if fresh == 0 && page > 1 {
                self.warn(group, format!("the pages of {group} repeat themselves; what follows could not be read"));
                self.is_cut = true;
                return Ok(count);
            }
            self.source.state().fullest_page = fullest.max(len);
            if page == PAGES_MAX {
                self.is_cut = true;
                self.warn(group, format!("the list of {group} has more than {PAGES_MAX} pages; shorten \"lookback\""));
            }
        }
        Ok(count)
    }

    /// Notes what is to be said about something.
    fn warn(&mut self, about: &str, text: String) {
        self.warnings.push((about.to_string(), text));
    }

    /// Fetches one page.
    async fn fetch(
        &mut self,
        group: &str,
        job: Option<&str>,
        page: usize,
    ) -> Result<Vec<Result<Row, SetAside>>, SourceError> {
        fetch(self.source, self.window, group, job, page, &mut self.calls).await
    }

    /// The first instances of a group, and how they were got; learns whether it can be listed as a whole.
    async fn peek(&mut self, group: &str) -> Result<Vec<Row>, SourceError> {
        let whole = self.fetch(group, None, 1).await;
        let refusal = match whole {
            Ok(rows) if !rows.is_empty() => {
                self.learn(group, Way::ByGroup);
                return Ok(rows.into_iter().flatten().collect());
            }
            Ok(_) => None,
            Err(error) if is_refusal(&error) => Some(error),
            Err(error) => return Err(error),
        };
        for job in self.wanted_jobs(group).iter().take(SCHEDULERX_PROBED_JOBS) {
            let rows = self.fetch(group, Some(job), 1).await?;
            if refusal.is_some() || !rows.is_empty() {
                self.learn(group, Way::ByJob);
            }
            if !rows.is_empty() {
                return Ok(rows.into_iter().flatten().collect());
            }
        }
        match refusal {
            Some(error) if self.source.state().ways.get(group) != Some(&Way::ByJob) => Err(error),
            _ => Ok(Vec::new()),
        }
    }

    /// Takes rows in, the later sight of an instance over the earlier, and tells how many were new.
    fn take(&mut self, group: &str, rows: Vec<Result<Row, SetAside>>) -> usize {
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
                    if !self.set_aside.contains(&item) {
                        self.set_aside.push(item);
                    }
                }
            }
        }
        fresh
    }

    fn learn(&self, group: &str, way: Way) {
        let before = self.source.state().ways.insert(group.to_string(), way);
        if before != Some(way) {
            tracing::debug!(source = %self.source.id, group, ?way, "learnt how the group is listed");
        }
    }

    /// Names the rows and makes the listing of them.
    async fn finish(mut self) -> Result<Listing, SourceError> {
        let wanted = &self.source.client.settings.jobs;
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| wanted.is_empty() || wanted.contains(&row.job_id));
        self.name_unknown_jobs(&rows).await?;
        let count = rows.len();
        let mut instances = self.named(rows);
        let is_waited_for = instances.len() < count;
        self.warn_of_oddities(&instances);
        let unread = self.add_workflows(&mut instances).await;
        let mut coverage = Coverage::whole(self.window, self.source.client.settings.scope());
        coverage.unread.extend(unread);
        if is_waited_for {
            coverage.unread.push(Unread { part: Part::AnyRun, reason: None });
        }
        if self.is_cut {
            let reason = format!("only {} instances could be read within the calls of one poll", instances.len());
            coverage = coverage.without(Part::AnyRun, reason);
        }
        coverage.set_aside = self.set_aside;
        let now = self.source.client.clock.now();
        Ok(Listing {
            instances,
            coverage,
            requests: self.calls,
            warnings: self.source.state().not_told_lately(self.warnings, now),
        })
    }

    /// The instances of rows, but for those whose jobs have no name yet.
    fn named(&self, rows: Vec<Row>) -> Vec<Instance> {
        let (directory, nameless) = {
            let state = self.source.state();
            (state.directory.clone(), state.nameless.clone())
        };
        let named = rows.into_iter().filter_map(|row| {
            // The name decides which rules match and which episode it is: one that is still to be asked for is
            // waited for. One that nobody knows has to be made up.
            let name = match directory.get(&row.job_id) {
                Some(job) => job.name.clone(),
                None if nameless.contains(&row.job_id) => format!("job {}", row.job_id),
                None => return None,
            };
            let job = JobRef { name, id: Some(row.job_id.clone()) };
            Some(self.source.instance(row, job))
        });
        named.collect()
    }

    fn warn_of_oddities(&mut self, instances: &[Instance]) {
        let directory = self.source.state().directory.clone();
        for (name, ids) in directory.namesakes() {
            let ids = ids.join(", ");
            let text = format!(
                "the jobs {ids} are all called {name:?}: a success of one is taken for a success of the others"
            );
            self.warn(&ids, text);
        }
        let settings = &self.source.client.settings;
        for id in settings.jobs.iter().filter(|id| directory.get(id).is_none()) {
            self.warn(id, format!("the job {id} that \"jobs\" names is in none of the groups"));
        }
        let now = self.source.client.clock.now();
        if let Some(doubt) = zone::doubt(instances, self.window, now, &settings.timezone) {
            self.warn("zone", doubt);
        }
    }
}

/// Whether a page of `len` rows is surely a list's last. No total is told, and the service may give fewer than were asked
/// for. So it is one that has fewer than another page had, unless the number is so round that it may be a new cap.
fn is_last(len: usize, fullest: usize) -> bool {
    len < fullest && !len.is_multiple_of(10)
}

/// Whether an error may mean that the service wants to be asked otherwise.
fn is_refusal(error: &SourceError) -> bool {
    matches!(error.kind, SourceErrorKind::Configuration | SourceErrorKind::NotFound)
}

/// Whether an error is likely to be over soon.
pub(super) fn is_passing(error: &SourceError) -> bool {
    matches!(error.kind, SourceErrorKind::Transient | SourceErrorKind::Throttled)
}
