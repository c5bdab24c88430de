//! The kinds of source there are, one line for each: how its settings are read, and the source that they open.
//!
//! Reads keys of the configuration and opens sources; sends nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::contract::{Detail, Finding, Learnt, Listing, Source, SourceError};
use super::{dataarts, schedulerx};
use crate::clock::Clock;
use crate::model::{Instance, Job, JobSchedule, Labels, Node, PartOf, SourceId, Window, WorkflowRun};
use crate::schedule::Schedule;
use crate::secret::SecretRef;
use crate::yaml::{Keys, Section, closest};

/// One kind of scheduler.
#[derive(Debug)]
pub struct SchedulerKind {
    /// The word for `type`.
    pub word: &'static str,
    /// The keys that belong to the kind, beside those that every source has.
    pub keys: &'static Keys,
    /// Reads them.
    read: fn(&Section<'_>) -> Option<SchedulerSettings>,
}

/// The kinds of source that can be used: one line for each.
pub static KINDS: [SchedulerKind; 2] = [
    kind("dataarts", &dataarts::KEYS, |section| dataarts::Settings::read(section).map(SchedulerSettings::new)),
    kind("schedulerx", &schedulerx::KEYS, |section| schedulerx::Settings::read(section).map(SchedulerSettings::new)),
];

const fn kind(
    word: &'static str,
    keys: &'static Keys,
    read: fn(&Section<'_>) -> Option<SchedulerSettings>,
) -> SchedulerKind {
    SchedulerKind { word, keys, read }
}

impl SchedulerKind {
    /// The kind that `word`, the `type` of a source's section, names. One that there is not is reported.
    pub fn of(word: &str, section: &Section<'_>) -> Option<&'static SchedulerKind> {
        let found = KINDS.iter().find(|kind| kind.word == word);
        if found.is_none() {
            let words = || KINDS.iter().map(|kind| kind.word);
            let near = closest(word, words()).map(|near| format!("did you mean {near:?}?"));
            let help = near.unwrap_or_else(|| format!("the types are {}", words().collect::<Vec<_>>().join(", ")));
            section.error("type", format!("there is no source of the type {word:?}"), Some(help));
        }
        found
    }

    /// Reads the keys that belong to the kind. The section, which is opened with them, stays open: the keys that all
    /// sources share are read elsewhere.
    pub fn read(&self, section: &Section<'_>) -> Option<SchedulerSettings> {
        (self.read)(section)
    }
}

/// A source as the configuration describes it.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Its key in the configuration.
    pub id: SourceId,
    /// What alerts of its jobs are called by, unless their rule says else.
    pub labels: Labels,
    /// When it is polled.
    pub poll: Schedule,
    /// How far back each poll looks, by plan time.
    pub lookback: Duration,
    /// On the very first poll, failures that ended longer ago are recorded, not told.
    pub first_poll: Duration,
    /// The scheduler behind it.
    pub scheduler: SchedulerSettings,
}

/// What the settings of one kind of scheduler are to the rest of the program.
pub(super) trait Scheduler: fmt::Debug + Send + Sync {
    /// The word for `type`.
    fn kind(&self) -> &'static str;

    /// Whether the scheduler tells when its jobs are due.
    fn tells_schedules(&self) -> bool {
        false
    }

    /// What must have a value before the source can be asked, each with its key within the source's section.
    fn secrets(&self) -> Vec<(String, &SecretRef)>;

    /// A connection to the scheduler; nothing is sent yet.
    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<AnySource, SourceError>;
}

/// The settings of one kind of scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerSettings(Arc<dyn Scheduler>);

impl SchedulerSettings {
    fn new(settings: impl Scheduler + 'static) -> SchedulerSettings {
        SchedulerSettings(Arc::new(settings))
    }

    /// The kind, as the configuration's `type` names it.
    pub fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// Whether the scheduler tells when its jobs are due.
    pub fn tells_schedules(&self) -> bool {
        self.0.tells_schedules()
    }

    /// What must have a value before the source can be asked, each with its key within the source's section.
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }
}

impl Scheduler for dataarts::Settings {
    fn kind(&self) -> &'static str {
        "dataarts"
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        dataarts::Settings::secrets(self)
    }

    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<AnySource, SourceError> {
        dataarts::DataArts::open(id, self, clock).map(AnySource::new)
    }
}

impl Scheduler for schedulerx::Settings {
    fn kind(&self) -> &'static str {
        "schedulerx"
    }

    fn tells_schedules(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        schedulerx::Settings::secrets(self)
    }

    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<AnySource, SourceError> {
        schedulerx::SchedulerX::open(id, self, clock).map(AnySource::new)
    }
}

/// A source of any kind.
pub struct AnySource(Box<dyn Erased>);

impl AnySource {
    fn new(source: impl Source + 'static) -> AnySource {
        AnySource(Box::new(source))
    }

    /// A connection to the scheduler that `settings` describe; nothing is sent yet.
    ///
    /// # Errors
    /// [`super::SourceErrorKind::Configuration`] when a file that the settings name cannot be used.
    pub fn open(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Result<AnySource, SourceError> {
        settings.scheduler.0.open(settings.id.clone(), clock)
    }
}

/// [`Source`] with futures in boxes, so that one type holds all kinds.
trait Erased: Send + Sync {
    fn kind(&self) -> &'static str;
    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>>;
    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>>;
    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>, SourceError>>;
    fn schedules(&self) -> BoxFuture<'_, Result<Option<Vec<JobSchedule>>, SourceError>>;
    fn job_nodes<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Vec<Node>, SourceError>>;
    fn part_of<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Option<PartOf>>;
    fn workflow_of<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Option<WorkflowRun>>;
    fn examine(&self) -> BoxFuture<'_, Vec<Finding>>;
    fn learn(&self, learnt: &Learnt);
    fn learnt(&self) -> Learnt;
}

impl<C: Source> Erased for C {
    fn kind(&self) -> &'static str {
        Source::kind(self)
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(Source::list(self, window))
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(Source::detail(self, instance))
    }

    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>, SourceError>> {
        Box::pin(Source::jobs(self))
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Option<Vec<JobSchedule>>, SourceError>> {
        Box::pin(Source::schedules(self))
    }

    fn job_nodes<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Vec<Node>, SourceError>> {
        Box::pin(Source::job_nodes(self, job))
    }

    fn part_of<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Option<PartOf>> {
        Box::pin(Source::part_of(self, instance))
    }

    fn workflow_of<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Option<WorkflowRun>> {
        Box::pin(Source::workflow_of(self, instance))
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(Source::examine(self))
    }

    fn learn(&self, learnt: &Learnt) {
        Source::learn(self, learnt);
    }

    fn learnt(&self) -> Learnt {
        Source::learnt(self)
    }
}

impl Source for AnySource {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    async fn list(&self, window: Window) -> Result<Listing, SourceError> {
        self.0.list(window).await
    }

    async fn detail(&self, instance: &Instance) -> Result<Detail, SourceError> {
        self.0.detail(instance).await
    }

    async fn jobs(&self) -> Result<Vec<Job>, SourceError> {
        self.0.jobs().await
    }

    async fn schedules(&self) -> Result<Option<Vec<JobSchedule>>, SourceError> {
        self.0.schedules().await
    }

    async fn job_nodes(&self, job: &Job) -> Result<Vec<Node>, SourceError> {
        self.0.job_nodes(job).await
    }

    async fn part_of(&self, instance: &Instance) -> Option<PartOf> {
        self.0.part_of(instance).await
    }

    async fn workflow_of(&self, instance: &Instance) -> Option<WorkflowRun> {
        self.0.workflow_of(instance).await
    }

    async fn examine(&self) -> Vec<Finding> {
        self.0.examine().await
    }

    fn learn(&self, learnt: &Learnt) {
        self.0.learn(learnt);
    }

    fn learnt(&self) -> Learnt {
        self.0.learnt()
    }
}
