//! What every source is to the rest of the program: the trait [`Source`], what it yields and how it fails.
//!
//! Plain data and one trait. It must never know which schedulers there are.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Coverage, Instance, Job, JobSchedule, Node, PartOf, Window, WorkflowRun};

/// A connection to one scheduler.
pub trait Source: Send + Sync {
    /// The kind, as the configuration's `type` names it.
    fn kind(&self) -> &'static str;

    /// Every instance planned in `window`, each once.
    ///
    /// # Errors
    /// When the list could not be read as a whole; what was read before the error is dropped.
    fn list(&self, window: Window) -> impl Future<Output = Result<Listing, SourceError>> + Send;

    /// One instance as it is now, with its nodes.
    ///
    /// # Errors
    /// [`SourceErrorKind::NotFound`] when the source no longer knows it; otherwise as for `list`.
    fn detail(&self, instance: &Instance) -> impl Future<Output = Result<Detail, SourceError>> + Send;

    /// The jobs themselves, as they are now. Asked for only when a rule is about them.
    ///
    /// # Errors
    /// When the list could not be read as a whole.
    fn jobs(&self) -> impl Future<Output = Result<Vec<Job>, SourceError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// The schedules of the jobs, as they are now; `None` where the source does not tell them. Asked for only when a rule
    /// goes by them.
    ///
    /// # Errors
    /// When they could not be read as a whole.
    fn schedules(&self) -> impl Future<Output = Result<Option<Vec<JobSchedule>>, SourceError>> + Send {
        async { Ok(None) }
    }

    /// The nodes of a real-time job, as they are now.
    ///
    /// # Errors
    /// As for `detail`.
    fn job_nodes(&self, _job: &Job) -> impl Future<Output = Result<Vec<Node>, SourceError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// What a sub-job's instance is a part of, where that can be told. Asked only for instances that alert; trouble leaves
    /// it untold, for the alarm is right without it.
    fn part_of(&self, _instance: &Instance) -> impl Future<Output = Option<PartOf>> + Send {
        async { None }
    }

    /// The workflow's run that a job's run is a part of, where that can be told. Asked only for instances whose alert is told
    /// under its root; trouble leaves it untold, for the alarm is right without it.
    fn workflow_of(&self, _instance: &Instance) -> impl Future<Output = Option<WorkflowRun>> + Send {
        async { None }
    }

    /// Asks the account, with a handful of read-only calls, what its documents leave open (`nightbell doctor`). Trouble
    /// is a finding, not an error.
    fn examine(&self) -> impl Future<Output = Vec<Finding>> + Send {
        async { Vec::new() }
    }

    /// Takes over what an earlier examination, or an earlier run, has learnt.
    fn learn(&self, _learnt: &Learnt) {}

    /// What has been learnt so far.
    fn learnt(&self) -> Learnt {
        Learnt::new()
    }
}

/// A source that outlives who asks it.
impl<C: Source> Source for Arc<C> {
    fn kind(&self) -> &'static str {
        C::kind(self)
    }

    fn list(&self, window: Window) -> impl Future<Output = Result<Listing, SourceError>> + Send {
        C::list(self, window)
    }

    fn detail(&self, instance: &Instance) -> impl Future<Output = Result<Detail, SourceError>> + Send {
        C::detail(self, instance)
    }

    fn jobs(&self) -> impl Future<Output = Result<Vec<Job>, SourceError>> + Send {
        C::jobs(self)
    }

    fn schedules(&self) -> impl Future<Output = Result<Option<Vec<JobSchedule>>, SourceError>> + Send {
        C::schedules(self)
    }

    fn job_nodes(&self, job: &Job) -> impl Future<Output = Result<Vec<Node>, SourceError>> + Send {
        C::job_nodes(self, job)
    }

    fn part_of(&self, instance: &Instance) -> impl Future<Output = Option<PartOf>> + Send {
        C::part_of(self, instance)
    }

    fn workflow_of(&self, instance: &Instance) -> impl Future<Output = Option<WorkflowRun>> + Send {
        C::workflow_of(self, instance)
    }

    fn examine(&self) -> impl Future<Output = Vec<Finding>> + Send {
        C::examine(self)
    }

    fn learn(&self, learnt: &Learnt) {
        C::learn(self, learnt);
    }

    fn learnt(&self) -> Learnt {
        C::learnt(self)
    }
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
            _ => Grade::Open,
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
