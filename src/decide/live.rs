//! The stage in which episodes begin, go on and end.
//!
//! Takes what was judged. A condition that holds begins an alert unless one of its rule fires for its subject, or the
//! episode is known to have ended already. What has just begun may be over in the same look: then it is told once, as over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::decider::Decider;
use super::episodes::Episodes;
use super::judge::{Candidate, CandidateSubject, Judged, Naming, recovers_by_later_run};
use super::look::Look;
use super::memory::Memory;
use crate::alert::identity::{alert_id, job_alert_id, readdressed_alert_id};
use crate::alert::{Found, Subject, begin};
use crate::limits::EPISODES_MAX;
use crate::model::{Alert, AlertId, AlertState, EndReason, Instance, Stage, Suppression};
use crate::rule::Rule;

/// What became of every episode.
#[derive(Debug)]
pub(super) struct Lived {
    /// Runs to store: those that are new or have changed, and those that alert.
    pub(super) instances: Vec<Instance>,
    pub(super) episodes: Episodes,
    pub(super) warnings: Vec<String>,
    /// What had too many episodes to begin another one, by the name of the first of them, with what is to be said of that.
    pub(super) overrun: Vec<(AlertId, String)>,
}

impl Decider {
    /// Begins and ends what begins and ends.
    pub(super) fn live(&self, memory: &Memory, mut judged: Judged, look: &Look) -> Lived {
        let candidates = std::mem::take(&mut judged.candidates);
        let warnings = std::mem::take(&mut judged.warnings);
        let mut overrun = Vec::new();
        let ended_now: HashSet<AlertId> = judged.ended.iter().map(|alert| alert.id.clone()).collect();
        let mut fired = judged.begun_anew();
        for candidate in candidates {
            let begun = self.begin(memory, &candidate, &judged, look, &mut overrun);
            // What ends in this look under the same name does not begin again in it.
            let Some(alert) = begun.filter(|alert| !ended_now.contains(&alert.id)).map(Arc::new) else { continue };
            match candidate.subject {
                CandidateSubject::Seen(at) => judged.is_stirred[at] = true,
                CandidateSubject::Run(run) => judged.unseen.push(*run),
                CandidateSubject::Job(_) | CandidateSubject::Status(_) => {}
            }
            if alert.state() == AlertState::Firing {
                judged.ledger.insert(Arc::clone(&alert));
            }
            fired.push(alert);
        }
        let is_meant = |alert: &Alert| recovers_by_later_run(alert, &self.rules);
        let recovered = judged.recover(memory, is_meant, look.now);
        judged.ended.extend(recovered);
        let Judged { observed, is_stirred, unseen, ledger, ended, continued, overdue, .. } = judged;
        let mut episodes = Episodes { ledger, fired, ended: Vec::new(), continued, overdue };
        episodes.end_all(ended);
        let runs = observed.runs.into_iter().zip(is_stirred).filter(|(_, is_stirred)| *is_stirred);
        let mut instances: Vec<Instance> = runs.map(|(seen, _)| seen.instance).collect();
        instances.extend(unseen);
        Lived { instances, episodes, warnings, overrun }
    }

    /// The alert that begins with what holds; none where one fires already, or the episode was told before.
    fn begin(
        &self,
        memory: &Memory,
        candidate: &Candidate,
        judged: &Judged,
        look: &Look,
        overrun: &mut Vec<(AlertId, String)>,
    ) -> Option<Alert> {
        let rule = &self.rules.rules()[candidate.rule];
        let subject = match &candidate.subject {
            CandidateSubject::Seen(at) => Subject::Run(&judged.observed.runs[*at].instance),
            CandidateSubject::Run(run) => Subject::Run(run),
            CandidateSubject::Job(name) => Subject::Job { source: &self.source, name },
            CandidateSubject::Status(at) => Subject::Status(look.jobs.as_ref()?.jobs.get(*at)?),
        };
        if judged.ledger.fires(&subject.key(), &rule.id) {
            return None;
        }
        if let (CandidateSubject::Seen(at), Naming::Run { spans_end, repeats, .. }) =
            (&candidate.subject, &candidate.naming)
            && let Some(before) = judged.observed.runs[*at].before_correction()
            && was_told(memory, &before, rule, *spans_end, *repeats)
        {
            return None;
        }
        let (id, is_too_many) = episode(memory, candidate, &subject, rule, overrun)?;
        let suppressed_by = candidate.suppressed_by.clone();
        let found = Found {
            id,
            rule: rule.id.clone(),
            severity: candidate.severity.unwrap_or(rule.severity),
            receivers: rule.told_at(look.now),
            limit: rule.when.duration,
            measures: candidate.measures.clone(),
            since: candidate.since,
            over_at: candidate.over_at,
            is_any: rule.tells_every_run(),
            episode: candidate.episode,
            suppressed_by: if is_too_many { Some(Suppression::TooManyEpisodes) } else { suppressed_by },
        };
        Some(begin(subject, self.kind, found, look.now))
    }
}

/// The name of the episode, and whether it is the one too many, which is recorded and not told; none of one that was told before
/// and goes on, and of any after the one too many.
fn episode(
    memory: &Memory,
    candidate: &Candidate,
    subject: &Subject<'_>,
    rule: &Rule,
    overrun: &mut Vec<(AlertId, String)>,
) -> Option<(AlertId, bool)> {
    let (name, repeats): (Box<dyn Fn(u32) -> AlertId + '_>, bool) = match (&candidate.naming, *subject) {
        (Naming::Exactly(id), _) => return memory.ended.why(id).is_none().then(|| (id.clone(), false)),
        (Naming::Run { spans_end, repeats, is_settled }, Subject::Run(run)) => {
            // An alert that began while the run was under way has gone on over its end, unless the run had left that state
            // before.
            let why_under_way = |ordinal| memory.ended.why(&alert_id(run, &rule.id, true, ordinal));
            let has_gone_on =
                || (1..=EPISODES_MAX).map_while(why_under_way).last().is_some_and(|why| why != Some(EndReason::Over));
            if *is_settled && !spans_end && has_gone_on() {
                return None;
            }
            (Box::new(|ordinal| alert_id(run, &rule.id, *spans_end, ordinal)), *repeats)
        }
        (Naming::JobStart, Subject::Status(job)) => (Box::new(|ordinal| job_alert_id(job, &rule.id, ordinal)), true),
        (Naming::Run { .. } | Naming::JobStart, _) => return None,
    };
    for ordinal in 1..=EPISODES_MAX {
        let id = name(ordinal);
        match why_over(memory, &id) {
            None => return Some((id, false)),
            // What a person closed stays closed until it is something else.
            Some(Some(EndReason::Closed)) => return None,
            // The rule is back, and the condition still holds.
            Some(Some(EndReason::Unwatched)) => {}
            Some(_) if repeats => {}
            Some(_) => return None,
        }
    }
    let (rule, job) = (&rule.id, subject.key().job);
    let warning = format!("rule {rule}: {job} had {EPISODES_MAX} episodes with the same times; no more are notified");
    overrun.push((name(1), warning));
    let one_too_many = name(EPISODES_MAX + 1);
    memory.ended.why(&one_too_many).is_none().then_some((one_too_many, true))
}

/// Whether what the candidate is about was told, and is over, under the times that its source has corrected since.
fn was_told(memory: &Memory, before: &Instance, rule: &Rule, spans_end: bool, repeats: bool) -> bool {
    let why = |ordinal| why_over(memory, &alert_id(before, &rule.id, spans_end, ordinal));
    match (1..=EPISODES_MAX).map_while(why).last() {
        None | Some(Some(EndReason::Unwatched)) => false,
        Some(Some(EndReason::Closed)) => true,
        Some(_) => !repeats,
    }
}

/// Why the episode of this name is over; where another one took its place, why that one is.
fn why_over(memory: &Memory, id: &AlertId) -> Option<Option<EndReason>> {
    let (mut why, mut last) = (memory.ended.why(id)?, id.clone());
    while why == Some(EndReason::Unwatched) {
        last = readdressed_alert_id(&last);
        let Some(of_next) = memory.ended.why(&last) else { break };
        why = of_next;
    }
    Some(why)
}

impl Judged {
    /// The alerts that were addressed anew, as they are by now: they begin.
    fn begun_anew(&mut self) -> Vec<Arc<Alert>> {
        let begun = std::mem::take(&mut self.readdressed);
        let ids: HashSet<&AlertId> = begun.iter().map(|alert| &alert.id).collect();
        self.continued.retain(|alert| !ids.contains(&alert.id));
        self.overdue.retain(|alert| !ids.contains(&alert.id));
        let as_it_is = |alert: &Arc<Alert>| {
            let now = self.ledger.of_subject(&alert.facts.subject()).iter().find(|now| now.id == alert.id);
            Arc::clone(now.unwrap_or(alert))
        };
        begun.iter().map(as_it_is).collect()
    }
}

impl Episodes {
    /// Takes over the ends of alerts. One that has just begun is told once, as over.
    fn end_all(&mut self, ended: Vec<Alert>) {
        let ids: HashSet<AlertId> = ended.iter().map(|alert| alert.id.clone()).collect();
        // A deadline that passed is not told any more when it is over by now: it was warned of, and its end is told.
        let (spared, overdue) =
            std::mem::take(&mut self.overdue).into_iter().partition(|alert| ids.contains(&alert.id));
        self.overdue = overdue;
        let spared: HashSet<AlertId> = Vec::into_iter(spared).map(|alert| alert.id).collect();
        self.continued.retain(|alert| !ids.contains(&alert.id));
        let begun: HashMap<AlertId, usize> =
            self.fired.iter().enumerate().map(|(at, alert)| (alert.id.clone(), at)).collect();
        for mut alert in ended {
            if spared.contains(&alert.id) {
                alert.facts.alert.measures.stage = Some(Stage::Warning);
            }
            match begun.get(&alert.id) {
                Some(at) => self.fired[*at] = Arc::new(alert),
                None => self.ended.push(alert),
            }
        }
    }
}
