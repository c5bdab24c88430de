//! What every source is to the rest of the program: the trait [`Source`], what it yields and how it fails.
//!
//! Plain data and traits. It must never know which schedulers there are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock::Clock;
use crate::limits::LOOKBACK_MAX;
use crate::model::{Belonging, Coverage, Instance, Job, JobList, JobSchedule, Node, SourceId, Window};
use crate::secret::SecretRef;

/// A connection to one scheduler: it lists runs, tells the details of one, and examines itself. Everything else is what
/// some schedulers can and others cannot.
pub trait Source: Send + Sync {
    /// The kind, as the configuration's `type` names it.
    fn kind(&self) -> &'static str;

    /// Every instance planned in `window`, each once.
    ///
    /// # Errors
    /// When the list could not be read as a whole; what was read before the error is dropped.
    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>>;

    /// One instance as it is now, with its nodes.
    ///
    /// # Errors
    /// [`SourceErrorKind::NotFound`] when the source no longer knows it; otherwise as for `list`.
    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>>;

    /// The end of a log under `error`, where [`Detail::log`] names one to be read apart. It is asked for when the nodes of all
    /// runs that alert are known, for it may take long. `None` where it cannot be had: the alarm says enough without it.
    fn with_log<'a>(&'a self, _error: Option<&'a str>, _log: &'a str) -> BoxFuture<'a, Option<LogEnd>> {
        Box::pin(std::future::ready(None))
    }

    /// Asks the account, with a handful of read-only calls, what its documents leave open (`nightbell doctor`). Trouble
    /// is a finding, not an error.
    fn examine(&self) -> BoxFuture<'_, Vec<Finding>>;

    /// The longest span of plan times that one `list` is asked for: whoever wants more asks several times.
    fn span_max(&self) -> Duration {
        LOOKBACK_MAX
    }

    /// The source as one that tells its jobs, where it does.
    fn tells_jobs(&self) -> Option<&dyn TellsJobs> {
        None
    }

    /// The source as one that tells when its jobs are due, where it does.
    fn tells_schedules(&self) -> Option<&dyn TellsSchedules> {
        None
    }

    /// What a run is a part of, where that can be told. Asked only for runs that alert; trouble leaves it untold, for the
    /// alarm is right without it. `needs_root` says that the alert is told under what its run belongs to: where it costs
    /// calls that the service counts, it is found out for those alone.
    fn belonging<'a>(&'a self, _instance: &'a Instance, _needs_root: bool) -> BoxFuture<'a, Option<Belonging>> {
        Box::pin(std::future::ready(None))
    }

    /// Takes over what an earlier examination, or an earlier run, has learnt.
    fn learn(&self, _learnt: &Learnt) {}

    /// What has been learnt so far.
    fn learnt(&self) -> Learnt {
        Learnt::new()
    }
}

/// A scheduler that tells its jobs beside their runs. They are asked for when a rule is about them, and now and then while an alert
/// about a job fires, which may be gone.
pub trait TellsJobs: Send + Sync {
    /// The jobs themselves, as they are now. A row that cannot be understood costs no other job: the list says that it is not
    /// whole.
    ///
    /// # Errors
    /// When the list could not be read to its end.
    fn jobs(&self) -> BoxFuture<'_, Result<JobList, SourceError>>;

    /// The nodes of a real-time job, as they are now.
    ///
    /// # Errors
    /// As for [`Source::detail`].
    fn nodes_of<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Vec<Node>, SourceError>>;
}

/// A scheduler that tells when its jobs are due. It is asked only when a rule goes by that.
pub trait TellsSchedules: Send + Sync {
    /// The schedules of the jobs, as they are now.
    ///
    /// # Errors
    /// When they could not be read as a whole.
    fn schedules(&self) -> BoxFuture<'_, Result<Vec<JobSchedule>, SourceError>>;
}

/// A source that outlives who asks it.
impl<C: Source + ?Sized> Source for Arc<C> {
    fn kind(&self) -> &'static str {
        C::kind(self)
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        C::list(self, window)
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        C::detail(self, instance)
    }

    fn with_log<'a>(&'a self, error: Option<&'a str>, log: &'a str) -> BoxFuture<'a, Option<LogEnd>> {
        C::with_log(self, error, log)
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        C::examine(self)
    }

    fn span_max(&self) -> Duration {
        C::span_max(self)
    }

    fn tells_jobs(&self) -> Option<&dyn TellsJobs> {
        C::tells_jobs(self)
    }

    fn tells_schedules(&self) -> Option<&dyn TellsSchedules> {
        C::tells_schedules(self)
    }

    fn belonging<'a>(&'a self, instance: &'a Instance, needs_root: bool) -> BoxFuture<'a, Option<Belonging>> {
        C::belonging(self, instance, needs_root)
    }

    fn learn(&self, learnt: &Learnt) {
        C::learn(self, learnt);
    }

    fn learnt(&self) -> Learnt {
        C::learnt(self)
    }
}

/// What the settings of one kind of scheduler are to the rest of the program.
pub(super) trait Scheduler: fmt::Debug + Send + Sync {
    /// The word for `type`.
    fn kind(&self) -> &'static str;

    /// Whether the scheduler tells its jobs beside their runs, as [`Source::tells_jobs`] of the open source says.
    fn tells_jobs(&self) -> bool {
        false
    }

    /// Whether the scheduler tells when its jobs are due, as [`Source::tells_schedules`] of the open source says.
    fn tells_schedules(&self) -> bool {
        false
    }

    /// Whether a run can stand still on a failed node until somebody acts: `running-exception`, and not `fail`.
    fn stands_still(&self) -> bool {
        false
    }

    /// The crontab by which it is polled where the configuration does not say, if it should be another than usual.
    fn poll_default(&self) -> Option<String> {
        None
    }

    /// A saved answer as the settings map it; nothing where they map none.
    fn map_sample(&self, _source: &SourceId, _body: &[u8]) -> Option<Result<Sample, String>> {
        None
    }

    /// By what sources are known that share a limit on their requests over the whole process, where they do.
    fn rate_group(&self) -> Option<&'static str> {
        None
    }

    /// What must have a value before the source can be asked, each with its key within the source's section.
    fn secrets(&self) -> Vec<(String, &SecretRef)>;

    /// A connection to the scheduler; nothing is sent yet.
    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, SourceError>;
}

/// What was learnt about a source that its documents leave open, by the name of the question. Kept in the store.
pub type Learnt = BTreeMap<String, String>;

/// One question about a real account, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The question, as a person asks it: "Can it sign in?"
    pub question: String,
    /// The answer in a sentence. Holds no secret.
    pub answer: String,
    /// Whether it is well.
    pub grade: Grade,
    /// What to do, where there is something.
    pub help: Option<String>,
}

impl Finding {
    /// A finding with nothing to advise.
    pub fn new(question: &str, answer: impl Into<String>, grade: Grade) -> Finding {
        Finding { question: question.to_string(), answer: answer.into(), grade, help: None }
    }

    /// The finding of a question that an error answers: bad where somebody must act, otherwise open.
    pub fn of_error(question: &str, error: SourceError) -> Finding {
        let grade = match error.kind {
            SourceErrorKind::Credentials | SourceErrorKind::Configuration => Grade::Bad,
            SourceErrorKind::Throttled
            | SourceErrorKind::Transient
            | SourceErrorKind::BadAnswer
            | SourceErrorKind::NotFound => Grade::Open,
        };
        Finding { help: error.help, ..Finding::new(question, error.message, grade) }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }
}

impl Grade {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Notice => "notice",
            Grade::Bad => "bad",
            Grade::Open => "open",
        }
    }
}

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and there is something to know.
    Notice,
    /// It does not work.
    Bad,
    /// It could not be found out, and why is in the answer.
    Open,
}

/// What a listing yields.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The instances, each once, in no particular order.
    pub instances: Vec<Instance>,
    /// What it proves to have been read.
    pub coverage: Coverage,
    /// Requests it took.
    pub requests: usize,
    /// What is odd about it and should be seen by somebody: the listing itself is whole. Holds no secret.
    pub warnings: Vec<String>,
}

impl Listing {
    /// The instances with what they prove; it took no request that counts.
    pub fn new(instances: Vec<Instance>, coverage: Coverage) -> Listing {
        Listing { instances, coverage, requests: 0, warnings: Vec::new() }
    }
}

/// What a detail call yields.
#[derive(Debug, Clone)]
pub struct Detail {
    /// The instance as it is now; what the detail does not tell is taken from the instance that was asked for.
    pub instance: Instance,
    /// Its nodes, in the source's order.
    pub nodes: Vec<Node>,
    /// Where people look at it: its page in the scheduler's console, where that is known.
    pub url: Option<String>,
    /// Who owns its job, where that is told.
    pub owner: Option<String>,
    /// Where the log is whose end [`Source::with_log`] reads, where that takes more than this call.
    pub log: Option<String>,
}

impl Detail {
    /// An instance with its nodes, of which no more is told.
    pub fn new(instance: Instance, nodes: Vec<Node>) -> Detail {
        Detail { instance, nodes, url: None, owner: None, log: None }
    }
}

/// The end of a failing node's log, read apart from the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// What the run said, with the end of the log under it.
    pub error: String,
    /// The end of the log alone.
    pub tail: Option<String>,
}

/// A saved answer of a scheduler, as the configuration maps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its rows.
    pub rows: Vec<SampleRow>,
    /// What is odd about it, in words.
    pub notes: Vec<String>,
}

/// One row of a saved answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRow {
    /// The beginning of its text.
    pub raw: String,
    /// What it is read as, in words.
    pub mapped: String,
    /// The same, as a listing has it.
    pub instance: Instance,
}

/// What kind of trouble a source has, which decides what the user is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// The configuration is wrong: host, project, workspace, a file.
    Configuration,
    /// The credentials are wrong, expired or lack permission.
    Credentials,
    /// Too many requests.
    Throttled,
    /// The network or the service; it may work at the next poll.
    Transient,
    /// An answer that is none: HTML, truncated or endless JSON, a wrong shape.
    BadAnswer,
    /// What was asked for does not exist (detail calls).
    NotFound,
}

/// Why a source could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// The class.
    pub kind: SourceErrorKind,
    /// What happened, with the service's own code and words. Holds no URL and no secret.
    pub message: String,
    /// What the user can do, where there is something.
    pub help: Option<String>,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
}

impl SourceError {
    /// An error of `kind` with nothing to advise.
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        SourceError { kind, message: message.into(), help: None, retry_after: None }
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it is likely to be over soon, without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, SourceErrorKind::Transient | SourceErrorKind::Throttled)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{} ({help})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for SourceError {}
