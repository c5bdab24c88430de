//! The kinds of source there are, one line for each: how its settings are read, and the source that they open.
//!
//! Reads keys of the configuration and opens sources; sends nothing.

use std::sync::Arc;
use std::time::Duration;

use super::contract::{Sample, Scheduler, Source, SourceError};
use super::{airflow, dataarts, http, schedulerx};
use crate::clock::Clock;
use crate::model::{Labels, SourceId};
use crate::schedule::Schedule;
use crate::secret::SecretRef;
use crate::yaml::{Keys, Section, closest};

/// One kind of scheduler.
#[derive(Debug)]
pub struct SchedulerKind {
    /// The word for `type`.
    pub word: &'static str,
    /// What else people call it: who writes one of these means the kind.
    also: &'static [&'static str],
    /// The keys that belong to the kind, beside those that every source has.
    pub keys: &'static Keys,
    /// Reads them.
    read: fn(&Section<'_>) -> Option<SchedulerSettings>,
}

/// The kinds of source that can be used: one line for each.
pub static KINDS: [SchedulerKind; 4] = [
    kind("dataarts", &["dgc", "dlf", "dayu"], &dataarts::KEYS, |section| {
        dataarts::Settings::read(section).map(SchedulerSettings::new)
    }),
    kind("schedulerx", &["edas"], &schedulerx::KEYS, |section| {
        schedulerx::Settings::read(section).map(SchedulerSettings::new)
    }),
    kind("airflow", &["mwaa", "composer"], &airflow::KEYS, |section| {
        airflow::Settings::read(section).map(SchedulerSettings::new)
    }),
    kind("http", &["https", "rest", "api"], &http::KEYS, |section| {
        http::Settings::read(section).map(SchedulerSettings::new)
    }),
];

const fn kind(
    word: &'static str,
    also: &'static [&'static str],
    keys: &'static Keys,
    read: fn(&Section<'_>) -> Option<SchedulerSettings>,
) -> SchedulerKind {
    SchedulerKind { word, also, keys, read }
}

impl SchedulerKind {
    /// The kind that `word`, the `type` of a source's section, names. One that there is not is reported.
    pub fn of(word: &str, section: &Section<'_>) -> Option<&'static SchedulerKind> {
        let found = KINDS.iter().find(|kind| kind.word == word);
        if found.is_none() {
            let words = || KINDS.iter().map(|kind| kind.word);
            let called = KINDS.iter().find(|kind| kind.also.contains(&word.to_ascii_lowercase().as_str()));
            let near = called.map(|kind| kind.word).or_else(|| closest(word, words()));
            let help = near
                .map(|near| format!("did you mean {near:?}?"))
                .unwrap_or_else(|| format!("the types are {}", words().collect::<Vec<_>>().join(", ")));
            section.error("type", format!("{word:?} is not a valid source type"), Some(help));
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

impl SourceSettings {
    /// A connection to the scheduler behind it; nothing is sent yet.
    ///
    /// # Errors
    /// [`super::SourceErrorKind::Configuration`] when a file that the settings name cannot be used.
    pub fn open(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, SourceError> {
        self.scheduler.0.open(self.id.clone(), clock)
    }
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

    /// Whether the scheduler tells its jobs beside their runs.
    pub fn tells_jobs(&self) -> bool {
        self.0.tells_jobs()
    }

    /// By what sources are known that share a limit on their requests, where they do.
    pub fn rate_group(&self) -> Option<&'static str> {
        self.0.rate_group()
    }

    /// Whether the scheduler tells when its jobs are due.
    pub fn tells_schedules(&self) -> bool {
        self.0.tells_schedules()
    }

    /// The crontab by which it is polled where the configuration does not say, if it should be another than usual.
    pub fn poll_default(&self) -> Option<String> {
        self.0.poll_default()
    }

    /// A saved answer as the settings map it; nothing where they map none.
    pub fn map_sample(&self, source: &SourceId, body: &[u8]) -> Option<Result<Sample, String>> {
        self.0.map_sample(source, body)
    }

    /// Whether a run can stand still on a failed node until somebody acts: `running-exception`, and not `fail`.
    pub fn stands_still(&self) -> bool {
        self.0.stands_still()
    }

    /// What must have a value before the source can be asked, each with its key within the source's section.
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.0.secrets()
    }
}
