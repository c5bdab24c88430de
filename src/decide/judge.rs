//! The stage that asks every rule: which conditions hold, and which alerts that fire hold no longer.
//!
//! Reads what was observed, what is remembered and what the store has answered. Every alert that fires is judged again
//! from what is known: it holds, it is over for a named reason, or nobody knows, and then nothing changes.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::answers::Answers;
use super::decider::Decider;
use super::look::{Look, told_from};
use super::memory::{GoneJobs, Memory};
use super::observe::{Observed, Seen};
use super::standing::{AlertStanding, is_same_start, of_run};
use crate::alert::{Ending, Ledger, end, held_as, is_about_job_status, readdressed, unwatched};
use crate::model::{
    Alert, AlertId, AlertState, ConditionKind, EndReason, Instance, InstanceKey, Measures, ReasonCode, Snapshot,
    Status, Suppression,
};
use crate::rule::{Recovers, Rule, RuleSet, Trigger, Verdict};

/// What was found out about every rule and every alert.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) observed: Observed,
    /// For each run that was seen, whether it is to be stored: it is new, has changed, or alerts.
    pub(super) is_stirred: Vec<bool>,
    /// Runs that alert without having been seen in this poll.
    pub(super) unseen: Vec<Instance>,
    /// What fires and still holds, as far as that can be said before anything begins.
    pub(super) ledger: Ledger,
    pub(super) ended: Vec<Alert>,
    pub(super) continued: Vec<Alert>,
    /// Alerts that begin because those whose place they take have no receiver any more; they are in the ledger, too.
    pub(super) readdressed: Vec<Arc<Alert>>,
    pub(super) overdue: Vec<Alert>,
    /// The runs that failed once more, by place and rule, with which failure that is.
    again: HashMap<(usize, usize), u32>,
    /// The runs of which an alert has ended in the try that it was about, by place and rule: what it was about does not begin again.
    over: HashSet<(usize, usize)>,
    /// What holds, and may begin.
    pub(super) candidates: Vec<Candidate>,
    /// The rules about absence that could not be judged up to now, with up to when they were.
    pub(super) lagging: BTreeMap<String, Timestamp>,
    /// The jobs that are gone.
    pub(super) gone: GoneJobs,
    pub(super) warnings: Vec<String>,
    /// Where the runs of each job stand among those that were seen; found out when it is first asked.
    places: OnceCell<HashMap<String, Vec<usize>>>,
}

/// A condition that holds, and begins an alert unless one fires.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The rule, by index.
    pub(super) rule: usize,
    pub(super) subject: CandidateSubject,
    pub(super) naming: Naming,
    pub(super) measures: Measures,
    pub(super) severity: Option<crate::model::Severity>,
    pub(super) since: Timestamp,
    pub(super) over_at: Option<Timestamp>,
    pub(super) suppressed_by: Option<Suppression>,
    /// Which failure of the run it is.
    pub(super) episode: u32,
}

/// What a condition holds for.
#[derive(Debug, Clone)]
pub(super) enum CandidateSubject {
    /// A run that was seen, by its place.
    Seen(usize),
    /// A run that is remembered.
    Run(Box<Instance>),
    /// A job.
    Job(String),
    /// A job by its own status, by its place in the list of jobs.
    Status(usize),
}

/// How an episode is named, and whether it may be another one of the same name.
#[derive(Debug, Clone)]
pub(super) enum Naming {
    /// By the run's own times.
    Run {
        /// Whether the end of the run is left out.
        spans_end: bool,
        /// Whether it may be a further episode with the same times.
        repeats: bool,
        /// Whether the run is as it was: then what was told of it before it ended counts, too.
        is_settled: bool,
    },
    /// By the start of the job; each time it stops is a further episode.
    JobStart,
    /// By this name alone: what has it was told before.
    Exactly(AlertId),
}

impl Judged {
    fn new(observed: Observed, ledger: Ledger) -> Judged {
        let is_stirred = observed.runs.iter().map(|seen| seen.has_changed).collect();
        Judged {
            observed,
            is_stirred,
            unseen: Vec::new(),
            ledger,
            ended: Vec::new(),
            continued: Vec::new(),
            readdressed: Vec::new(),
            overdue: Vec::new(),
            again: HashMap::new(),
            over: HashSet::new(),
            candidates: Vec::new(),
            lagging: BTreeMap::new(),
            gone: GoneJobs::new(),
            warnings: Vec::new(),
            places: OnceCell::new(),
        }
    }

    /// A run as it was seen in this poll, by its place.
    pub(super) fn seen(&self, job: &str, id: &str) -> Option<usize> {
        self.places_of(job).iter().copied().find(|at| self.observed.runs[*at].instance.id == id)
    }

    /// The runs of a job as they were seen in this poll.
    pub(super) fn seen_of(&self, job: &str) -> impl Iterator<Item = &Seen> {
        self.places_of(job).iter().map(|at| &self.observed.runs[*at])
    }

    fn places_of(&self, job: &str) -> &[usize] {
        let places = self.places.get_or_init(|| {
            let mut places: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, seen) in self.observed.runs.iter().enumerate() {
                places.entry(seen.instance.job.name.clone()).or_default().push(at);
            }
            places
        });
        places.get(job).map_or(&[], Vec::as_slice)
    }

    /// Ends the alerts among those that are meant which the success of a later run of their job ends.
    pub(super) fn recover(&mut self, memory: &Memory, is_meant: impl Fn(&Alert) -> bool, now: Timestamp) -> Vec<Alert> {
        let mut ledger = std::mem::take(&mut self.ledger);
        let recovered =
            ledger.recover(succeeded(&self.observed), |subject| self.last_end(memory, subject), is_meant, now);
        self.ledger = ledger;
        recovered
    }

    /// When the run behind an alert last ended: as it was just seen, or as it is remembered. An end that its source leaves out just
    /// now is known all the same.
    fn last_end(&self, memory: &Memory, subject: &InstanceKey) -> Option<Timestamp> {
        let seen = self.seen(&subject.job, &subject.id).map(|at| &self.observed.runs[at].instance);
        match seen {
            Some(run) if run.end_time.is_some() || !run.status.has_ended() => run.end_time,
            _ => memory.runs.open(subject)?.end_time,
        }
    }

    /// Ends alerts, and takes them out of what fires.
    pub(super) fn end_where(&mut self, judge: impl FnMut(&Alert) -> Option<Alert>) {
        let ended = self.ledger.end_where(judge);
        self.ended.extend(ended);
    }
}

/// What every judge needs.
pub(super) struct Bench<'a> {
    pub(super) memory: &'a Memory,
    pub(super) answers: &'a Answers,
    pub(super) look: &'a Look,
    pub(super) now: Timestamp,
    /// For each rule, whether it looks at the source for the first time.
    pub(super) is_first: Vec<bool>,
    /// From when on failures are told by a rule that looks for the first time.
    pub(super) told_from: Timestamp,
    /// The same for what was outside of what was covered.
    pub(super) horizon: Timestamp,
    /// From when on every plan time is covered, this poll included.
    pub(super) known_from: Timestamp,
}

impl Bench<'_> {
    /// Whether what ended then is history to a rule, and no news.
    pub(super) fn is_history(&self, index: usize, was_outside: bool, ended_at: Timestamp) -> bool {
        let from = match (was_outside, self.is_first[index]) {
            (true, _) => self.horizon,
            (false, true) => self.told_from,
            (false, false) => return false,
        };
        ended_at < from
    }
}

impl Decider {
    /// Asks every rule.
    pub(super) fn judge(
        &mut self,
        memory: &Memory,
        observed: Observed,
        answers: &Answers,
        known_from: Option<Timestamp>,
        look: &Look,
    ) -> Judged {
        let now = look.now;
        let bench = Bench {
            memory,
            answers,
            look,
            now,
            is_first: self.first_looks(memory),
            told_from: told_from(now, self.first_poll, memory.covered.until),
            horizon: told_from(now, self.first_poll, None),
            known_from: known_from.unwrap_or(Timestamp::MAX),
        };
        let mut judged = Judged::new(observed, memory.firing.clone());
        self.suspend(&mut judged, &bench);
        self.judge_firing_runs(&mut judged, &bench);
        self.end_forgotten_runs(&mut judged, &bench);
        self.end_gone_jobs(&mut judged, &bench);
        self.judge_runs(&mut judged, &bench);
        self.judge_history(&mut judged, &bench);
        self.judge_clock(&mut judged, &bench);
        self.judge_jobs(&mut judged, &bench);
        judged
    }

    /// For each rule, whether it looks at the source for the first time.
    pub(super) fn first_looks(&self, memory: &Memory) -> Vec<bool> {
        self.rules.marks().iter().map(|mark| !memory.known_rules.contains(mark)).collect()
    }

    /// Suspends the alerts that nothing covers any more, no rule or none of their receivers, lets those go on that are covered
    /// again, and ends those that were not for too long. Where a rule still means what has ended, whom it names now is told.
    fn suspend(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        let mut changed = Vec::new();
        let (mut ended, mut anew) = (Vec::new(), Vec::new());
        for alert in judged.ledger.firing() {
            let is_meant = self.covers(alert);
            let is_covered = is_meant && self.has_receiver(alert);
            match (is_covered, alert.suspended_at) {
                (true, None) => {}
                (true, Some(_)) => changed.push(Alert { suspended_at: None, ..(**alert).clone() }),
                (false, _) => match unwatched(alert, bench.now) {
                    Some(_) if is_meant && alert.suspended_at.is_some() => {
                        let ending = Ending::new(EndReason::Unwatched, ReasonCode::ReceiversGone, bench.now);
                        ended.push(end(alert, ending, bench.now));
                        let receivers = self.rules.get(&alert.rule).map(|rule| rule.told_at(bench.now));
                        anew.push(Arc::new(readdressed(alert, receivers.unwrap_or_default(), bench.now)));
                    }
                    Some(over) if over.state() == AlertState::Resolved => ended.push(over),
                    suspended => changed.extend(suspended),
                },
            }
        }
        for alert in &changed {
            judged.ledger.replace(alert.clone());
        }
        for alert in &ended {
            judged.ledger.remove(&alert.facts.subject(), &alert.id);
        }
        for alert in &anew {
            judged.ledger.insert(Arc::clone(alert));
        }
        judged.continued.extend(changed);
        judged.ended.extend(ended);
        judged.readdressed.extend(anew);
    }

    /// Whether any of those who were told of the alert is a receiver still.
    fn has_receiver(&self, alert: &Alert) -> bool {
        let Some(known) = self.terms.receivers.as_ref().filter(|_| !alert.receivers.is_empty()) else { return true };
        alert.receivers.iter().any(|receiver| known.contains(receiver))
    }

    /// Whether a rule of the configuration still means the alert.
    fn covers(&mut self, alert: &Alert) -> bool {
        let Some(index) = self.rules.index(&alert.rule) else { return false };
        let rule = &self.rules.rules()[index];
        let run = alert.facts.instance.as_ref();
        let condition = alert.facts.alert.measures.condition;
        let is_of_rule = match (condition, run) {
            (Some(kind), _) => rule.when.trigger.as_ref().map(Trigger::kind) == Some(kind),
            (None, None) => rule.is_about_jobs(),
            (None, Some(run)) => {
                let is_of_status = rule.when.statuses.is_empty() || rule.when.statuses.contains(&run.status);
                rule.when.trigger.is_none() && !rule.is_about_jobs() && is_of_status
            }
        };
        let is_of_type = condition.is_some() || run.is_none_or(|run| rule.matches.takes(run.kind));
        is_of_rule && is_of_type && self.matches(&alert.facts.job.name, index)
    }

    /// Whether the rule of this index is about jobs of this name in this source.
    pub(super) fn matches(&mut self, job: &str, index: usize) -> bool {
        self.rules.matching(&self.source, job, &mut self.cache.matches).contains(&index)
    }

    /// Judges the alerts about runs that were seen.
    fn judge_firing_runs(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        if judged.ledger.is_empty() {
            return;
        }
        let rules = self.rules.clone();
        for at in 0..judged.observed.runs.len() {
            let seen = &judged.observed.runs[at];
            if !judged.ledger.concerns(&seen.instance.job.name) {
                continue;
            }
            let key = seen.instance.key();
            let (mut ended, mut continued, mut again, mut over) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for alert in judged.ledger.of_subject(&key).iter().filter(|alert| alert.suspended_at.is_none()) {
                let Some(index) = rules.index(&alert.rule) else { continue };
                match of_run(alert, &rules.rules()[index], seen, bench.now) {
                    AlertStanding::Holds => {}
                    AlertStanding::HoldsOtherwise => continued.push(held_as(alert, &seen.instance, bench.now)),
                    AlertStanding::Over(ending) => {
                        let held = alert.facts.instance.as_ref();
                        over.extend(held.filter(|held| is_same_start(held, &seen.instance)).map(|_| index));
                        ended.push(end(alert, *ending, bench.now));
                    }
                    AlertStanding::FailedAgain => {
                        let ending =
                            Ending::by_run(EndReason::Over, ReasonCode::FailedAgain, &seen.instance, bench.now);
                        ended.push(end(alert, ending, bench.now));
                        // Nobody heard of what the first poll recorded: the failure is the first one to them.
                        let was_told = alert.suppressed_by != Some(Suppression::FirstPoll);
                        let episode = if was_told { alert.facts.alert.episode + 1 } else { 1 };
                        again.push((index, episode));
                    }
                }
            }
            if !ended.is_empty() || !continued.is_empty() {
                judged.is_stirred[at] = true;
            }
            for alert in &continued {
                judged.ledger.replace(alert.clone());
            }
            for alert in &ended {
                judged.ledger.remove(&key, &alert.id);
            }
            judged.ended.extend(ended);
            judged.continued.extend(continued);
            judged.again.extend(again.into_iter().map(|(index, episode)| ((at, index), episode)));
            judged.over.extend(over.into_iter().map(|index| (at, index)));
        }
    }

    /// Judges every run by itself.
    fn judge_runs(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        let rules = self.rules.clone();
        let any_first_look = bench.is_first.contains(&true);
        for at in 0..judged.observed.runs.len() {
            let seen = &judged.observed.runs[at];
            let (run, is_settled) = (&seen.instance, seen.is_settled());
            if is_settled && !any_first_look {
                continue;
            }
            let matching = rules.matching(&self.source, &run.job.name, &mut self.cache.matches);
            for &index in matching.iter().filter(|&&index| !is_settled || bench.is_first[index]) {
                let rule = &rules.rules()[index];
                let Verdict::Holds { since } = rule.judge(run, bench.now) else { continue };
                if judged.ledger.fires(&run.key(), &rule.id) || judged.over.contains(&(at, index)) {
                    continue;
                }
                let ended_at = run.end_time.unwrap_or(since);
                let is_history = run.status.has_ended() && bench.is_history(index, seen.was_outside, ended_at);
                let suppressed_by = is_history.then_some(Suppression::FirstPoll);
                let episode = judged.again.get(&(at, index)).copied().unwrap_or(1);
                let candidate = of_state(rule, index, at, since, episode, seen);
                judged.candidates.push(Candidate { suppressed_by, ..candidate });
            }
        }
    }

    /// A run of a job as it was just seen, or else as it was remembered with `snapshot`.
    pub(super) fn remembered(&self, key: InstanceKey, snapshot: Snapshot) -> Instance {
        remembered(&self.source, key, snapshot)
    }
}

/// What a rule about status and duration has found of a run that was seen.
fn of_state(rule: &Rule, index: usize, at: usize, since: Timestamp, episode: u32, seen: &Seen) -> Candidate {
    let run = &seen.instance;
    // A run that is well already is a single piece of news. So is one that has ended, to a rule that asks how long a state
    // lasts, and to one that asks for any.
    let is_news = run.status.has_ended() && (run.status.is_recovery() || rule.when.statuses.is_empty());
    Candidate {
        rule: index,
        subject: CandidateSubject::Seen(at),
        naming: Naming::Run {
            spans_end: rule.when.duration.is_some(),
            repeats: seen.has_turned() || !run.status.has_ended(),
            is_settled: seen.is_settled(),
        },
        measures: Measures::default(),
        severity: None,
        since,
        over_at: is_news.then(|| run.end_time.unwrap_or(since)),
        suppressed_by: None,
        episode,
    }
}

/// An instance as far as it is remembered.
pub fn remembered(source: &crate::model::SourceId, key: InstanceKey, snapshot: Snapshot) -> Instance {
    Instance {
        source: source.clone(),
        id: key.id,
        job: crate::model::JobRef { name: key.job, id: None },
        name: None,
        status: snapshot.status,
        raw_status: snapshot.status.to_string(),
        kind: snapshot.kind,
        plan_time: snapshot.plan_time,
        start_time: snapshot.start_time,
        end_time: snapshot.end_time,
        error: None,
    }
}

/// Whether the success of a later run of its job ends the alert.
pub(super) fn recovers_by_later_run(alert: &Alert, rules: &RuleSet) -> bool {
    if alert.suspended_at.is_some() || is_about_job_status(alert) {
        return false;
    }
    let Some(run) = &alert.facts.instance else { return false };
    match alert.facts.alert.measures.condition {
        Some(ConditionKind::SlowerThanUsual) => false,
        Some(_) => true,
        None => {
            let accepts = rules.get(&alert.rule).is_none_or(|rule| rule.recovers == Recovers::LaterRun);
            run.status.has_ended() && accepts
        }
    }
}

/// The runs that were seen and did their work.
pub(super) fn succeeded(observed: &Observed) -> impl Iterator<Item = &Instance> {
    let runs = observed.runs.iter().map(|seen| &seen.instance);
    runs.filter(|run| matches!(run.status, Status::Success | Status::ForcedSuccess))
}
