//! The rule files while the program runs: what has changed is read again, and taken up if it is sound.
//!
//! # Design
//! The files are read every second and compared as texts: that sees an editor's new file, a link that leads elsewhere and
//! an edit within one tick of a clock alike. Only what has stood still for a second is looked at, for a file may be
//! written in pieces. In a directory a file that is broken keeps the last text of it that was in force, so that one team's
//! slip does not hold up another's; that is tried file by file until what is left is sound together.
//!
//! What is sound and could not be put in force is tried again though no file of it changes: the store may answer again by then,
//! or a template, a key or a certificate that is named there be what it should.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::reload::{ReloadError, Reloader};
use super::supervisor;
use crate::clock::is_due;
use crate::config::{Config, ConfigProblem, Loaded, NoFiles, RuleFile, RuleFiles};
use crate::limits::{CONFIG_LOOK_AGAIN, CONFIG_TRY_AGAIN};
use crate::worker::turn::{Pace, Turn, TurnError, Turned};

/// What became of an attempt to take up what the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempted {
    /// The generation that is in force since; none when nothing was taken up.
    pub generation: Option<i64>,
    /// Everything that is wrong with the files as they are, as a person reads it; empty when nothing is.
    pub problems: Vec<String>,
    /// The files of which an earlier version is in force, or none, because they are broken.
    pub kept: Vec<PathBuf>,
}

impl Attempted {
    /// In one line why not everything that the files say is in force; nothing when it is.
    pub fn summary(&self) -> Option<String> {
        let first = self.problems.first()?.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Some(match self.problems.len() {
            1 => first.to_string(),
            all => format!("{first} (and {} more)", all - 1),
        })
    }
}

/// Who wants to know of each attempt.
pub type OnReload = Arc<dyn Fn(&Attempted) + Send + Sync>;

/// Asks for the rule files to be taken up whether they have changed or not. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct AskReload(Arc<(AtomicBool, Arc<Notify>)>);

impl AskReload {
    /// Asks.
    pub fn ask(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_one();
    }

    /// Whether somebody has asked since this was asked last.
    fn was_asked(&self) -> bool {
        self.0.0.swap(false, Ordering::SeqCst)
    }
}

/// The rule files of a running program. A loop like the others: one that breaks down is tried again, and is known to.
pub struct RuleWatch {
    path: PathBuf,
    reloader: Reloader,
    on_reload: OnReload,
    /// The texts in force, by path.
    in_force: BTreeMap<PathBuf, RuleFile>,
    /// What was taken up last, or refused.
    seen: Result<RuleFiles, NoFiles>,
    /// What was read when it had changed, and may still be written to.
    fresh: Option<Result<RuleFiles, NoFiles>>,
    asked: AskReload,
    /// Whether somebody has asked, and nothing came of it yet.
    is_owed: bool,
    /// Whether what was read last is sound and could not be put in force.
    is_held_up: bool,
    /// When that is tried again.
    try_again_at: Option<Timestamp>,
}

/// What the files come to.
struct Sound {
    loaded: Loaded,
    files: Vec<RuleFile>,
    kept: Vec<PathBuf>,
}

impl RuleWatch {
    /// Watches the file or directory at `path`, of which `files` are in force.
    pub fn new(path: &Path, files: RuleFiles, reloader: Reloader, on_reload: OnReload) -> RuleWatch {
        let in_force = by_path(&files.files);
        RuleWatch {
            path: path.to_path_buf(),
            reloader,
            on_reload,
            in_force,
            seen: Ok(files),
            fresh: None,
            asked: AskReload::default(),
            is_owed: false,
            is_held_up: false,
            try_again_at: None,
        }
    }

    /// What has everything be taken up, changed or not.
    pub fn asked(&self) -> AskReload {
        self.asked.clone()
    }

    /// Reads the files, and takes up what they say now. For whoever knows that they are complete.
    pub async fn reload(&mut self) -> Attempted {
        match self.read().await {
            Some(read) => self.take_up(read).await,
            None => Attempted::default(),
        }
    }

    async fn read(&self) -> Option<Result<RuleFiles, NoFiles>> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || RuleFiles::read(&path)).await.ok()
    }

    async fn take_up(&mut self, read: Result<RuleFiles, NoFiles>) -> Attempted {
        supervisor::reloading();
        let attempted = self.attempt(read).await;
        // Whatever became of it: Nightbell runs, by this configuration or by the one before.
        supervisor::ready();
        attempted
    }

    async fn attempt(&mut self, read: Result<RuleFiles, NoFiles>) -> Attempted {
        let seen = read.clone();
        self.is_held_up = false;
        let attempted = match read {
            Err(none) => Attempted { problems: vec![none.to_string()], ..Attempted::default() },
            Ok(files) => self.take_up_files(files).await,
        };
        for problem in &attempted.problems {
            error!("{problem}");
        }
        for path in &attempted.kept {
            let known =
                if self.in_force.contains_key(path) { "its last good version is in force" } else { "it is left out" };
            warn!("{} is broken: {known}", path.display());
        }
        if attempted.generation.is_none() {
            error!("the configuration was refused; what was in force still is");
        }
        (self.on_reload)(&attempted);
        // Only now: an attempt that breaks down before is made again.
        self.seen = seen;
        attempted
    }

    async fn take_up_files(&mut self, read: RuleFiles) -> Attempted {
        let (in_force, files) = (self.in_force.clone(), read.files);
        let is_directory = read.is_directory;
        let settle = move || settle(files, &in_force, is_directory);
        // Reading many rules takes a while, and the loops need their threads.
        let Ok((sound, problem)) = tokio::task::spawn_blocking(settle).await else {
            self.is_held_up = true;
            return Attempted { problems: vec!["reading the rule files broke down".into()], ..Attempted::default() };
        };
        let mut problems = problem.map_or_else(Vec::new, |problem| problem.rendered);
        let Some(Sound { loaded, files, kept }) = sound else {
            return Attempted { generation: None, problems, kept: Vec::new() };
        };
        for warning in loaded.rendered_warnings() {
            warn!("{warning}");
        }
        match self.reloader.reload(loaded.config).await {
            Ok(generation) => {
                self.in_force = by_path(&files);
                Attempted { generation: Some(generation), problems, kept }
            }
            Err(ReloadError::Stopped) => Attempted { generation: None, problems, kept: Vec::new() },
            Err(refused) => {
                self.is_held_up = matches!(refused, ReloadError::App(_));
                problems.push(format!("error: {refused}"));
                Attempted { generation: None, problems, kept: Vec::new() }
            }
        }
    }
}

impl Turn for RuleWatch {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn pace(&self) -> Pace {
        // Who is to stop waits for no attempt.
        Pace { first_after: CONFIG_LOOK_AGAIN, is_given_up: true, ..Pace::every(CONFIG_LOOK_AGAIN) }
    }

    fn nudge(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.asked.0.1))
    }

    /// Takes up what has changed, and everything when somebody has asked for that, or when it could not be put in force a while
    /// ago.
    async fn turn(&mut self, now: Timestamp) -> Result<Turned, TurnError> {
        // Asked before they are read: who asks meanwhile has changed them since, and is heard at the next turn.
        if self.asked.was_asked() {
            info!("asked to read the rule files again");
            self.is_owed = true;
        }
        let read = self.read().await.ok_or("reading the rule files broke down")?;
        let has_changed = read != self.seen;
        let is_wanted = self.is_owed || self.try_again_at.is_some_and(|at| is_due(at, now, CONFIG_TRY_AGAIN));
        if !has_changed && !is_wanted {
            self.fresh = None;
            return Ok(Turned::default());
        }
        if has_changed && !self.is_owed && self.fresh.as_ref() != Some(&read) {
            // It may still be written to.
            self.fresh = Some(read);
            return Ok(Turned::default());
        }
        self.fresh = None;
        self.take_up(read).await;
        self.is_owed = false;
        self.try_again_at = self.is_held_up.then(|| now.checked_add(CONFIG_TRY_AGAIN).unwrap_or(now));
        Ok(Turned { done: 1, ..Turned::default() })
    }
}

fn by_path(files: &[RuleFile]) -> BTreeMap<PathBuf, RuleFile> {
    files.iter().map(|file| (file.path.clone(), file.clone())).collect()
}

/// What the files come to: a sound configuration, with earlier versions of those that are broken, and what is wrong with
/// the files as they are.
fn settle(
    mut files: Vec<RuleFile>,
    in_force: &BTreeMap<PathBuf, RuleFile>,
    is_directory: bool,
) -> (Option<Sound>, Option<ConfigProblem>) {
    let mut first_problem = None;
    let mut kept = Vec::new();
    loop {
        let problem = match Config::from_files_at_work(&files) {
            Ok(loaded) => return (Some(Sound { loaded, files, kept }), first_problem),
            Err(problem) => problem,
        };
        let broken: Vec<PathBuf> = problem
            .broken_files()
            .into_iter()
            .filter_map(|number| files.get(usize::from(number)))
            // What is in force already is broken by others, or by what has changed around it.
            .filter(|file| in_force.get(&file.path) != Some(file))
            .map(|file| file.path.clone())
            .collect();
        first_problem.get_or_insert(problem);
        if !is_directory || broken.is_empty() {
            return (None, first_problem);
        }
        files = files
            .into_iter()
            .filter_map(|file| if broken.contains(&file.path) { in_force.get(&file.path).cloned() } else { Some(file) })
            .collect();
        kept.extend(broken);
        kept.sort();
    }
}
