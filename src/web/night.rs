//! The night as it is known: the jobs that matter, each with its runs and alerts in a span of time, what was not read of its
//! source, and when it was due. For the page, the wall and the API; nothing here is drawn.
//!
//! It reads what is open, and of each source a bounded number of runs in the span.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::durations::{running_limit, usual};
use super::fault::Fault;
use super::sight::Sight;
use super::state::{InForce, Web};
use crate::limits::{
    JOB_CHART_RUNS, NIGHT_ALERTS_MAX, NIGHT_DUES_MAX, NIGHT_JOBS_READ_MAX, NIGHT_RUNS_MAX, NIGHT_RUNS_OF_A_JOB_MAX,
    NIGHT_USUAL_READ_MAX, OWN_GAP_AGE_MAX,
};
use crate::model::{Ack, Alert, AlertId, AlertState, GapPart, Instance, Severity, SourceId, Status};
use crate::rule::daily::Daily;
use crate::rule::{Pattern, Rule, Trigger};
use crate::store::{AlertAsk, Board as _, Inquiry as _, OwnAlerts as _, ReadSpan, SourceCondition};

/// How long ago a source was read at least where that counts as not read since.
const UNREAD_SEEN_MIN: SignedDuration = SignedDuration::from_mins(5);

/// A span of time, with its end.
pub(super) type Between = (Timestamp, Timestamp);

/// The night.
pub(super) struct Night {
    /// The jobs: those that fail or are late first, the worst of them first, then those that run, then the rest.
    pub(super) lanes: Vec<Lane>,
    /// The acknowledgements of the alerts about them.
    pub(super) acks: HashMap<AlertId, Ack>,
    /// Of which spans the runs of a source are not known.
    pub(super) unread: HashMap<SourceId, Vec<Between>>,
    /// Since when runs are known, where there are too many for all of the span.
    pub(super) cut: Option<Timestamp>,
    /// Whether more alerts fire than are in it: the worst are.
    pub(super) is_worst_only: bool,
    /// Whether more runs are open than are in it: those under way are before those that wait.
    pub(super) has_more_open: bool,
    /// How sources fare.
    pub(super) sources: Vec<SourceCondition>,
}

/// How much a job matters now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Urgency {
    /// An alert about it fires, or its last run has failed.
    Failing,
    /// A run of it goes on.
    Running,
    Rest,
}

impl Urgency {
    /// The word of the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Urgency::Failing => "failing",
            Urgency::Running => "running",
            Urgency::Rest => "rest",
        }
    }
}

/// One job.
pub(super) struct Lane {
    pub(super) source: SourceId,
    pub(super) job: String,
    pub(super) urgency: Urgency,
    /// Its runs in the span, the earliest first.
    pub(super) runs: Vec<Instance>,
    /// The alerts about it that fire.
    pub(super) alerts: Vec<Alert>,
    /// How long those of its runs usually take that go well: half of them longer, half not so long.
    usual: Option<Duration>,
}

/// When a job has to be there by a rule.
pub(super) struct Due<'a> {
    pub(super) at: Timestamp,
    pub(super) rule: &'a Rule,
    /// The deadline of each day, where it is one.
    pub(super) daily: Option<&'a Daily>,
}

impl Lane {
    /// The worst of its alerts.
    pub(super) fn worst(&self) -> Option<&Alert> {
        self.alerts.iter().max_by_key(|alert| alert.facts.alert.severity)
    }

    /// The last of its runs that has begun; of those that all wait the last.
    pub(super) fn last(&self) -> Option<&Instance> {
        last_of(&self.runs)
    }

    /// Its last runs, the earliest first: no more than are shown of a job.
    pub(super) fn last_runs(&self) -> &[Instance] {
        &self.runs[self.runs.len().saturating_sub(NIGHT_RUNS_OF_A_JOB_MAX)..]
    }

    /// How long a run of it should take from when it was planned: as long as is usual; of a job of which too few went well to
    /// tell, as long as a rule allows.
    pub(super) fn usual(&self, sight: &Sight) -> Option<SignedDuration> {
        let limit = || sight.rules_about(&self.source, &self.job).filter_map(running_limit).min();
        SignedDuration::try_from(self.usual.or_else(limit)?).ok()
    }

    /// When it has to be there by the rules, in this span.
    pub(super) fn dues<'a>(&'a self, sight: &'a Sight, (from, until): Between) -> Vec<Due<'a>> {
        let of_rule = |rule: &'a Rule| -> Vec<Due<'a>> {
            match &rule.when.trigger {
                Some(Trigger::Daily(daily)) => {
                    let due = |at| Due { at, rule, daily: Some(daily) };
                    daily.dues(from, until).into_iter().map(|it| due(it.at)).collect()
                }
                Some(Trigger::Missing(recurring)) => {
                    let due = |at| Due { at, rule, daily: None };
                    recurring.due_times(from, until).0.into_iter().take(NIGHT_DUES_MAX).map(|it| due(it.at)).collect()
                }
                _ => Vec::new(),
            }
        };
        sight.rules_about(&self.source, &self.job).flat_map(of_rule).collect()
    }
}

/// The jobs that rules name which say when they are due: such a job is there before a run of it is listed. Where a rule may be
/// about several sources, nobody knows of which the job is.
fn due_by_name(in_force: &InForce) -> Vec<Key> {
    let sources: Vec<&SourceId> = in_force.config.sources.iter().map(|source| &source.id).collect();
    let mut named = Vec::new();
    for rule in in_force.config.rules.rules() {
        let concerned: Vec<&&SourceId> = sources.iter().filter(|source| rule.concerns_source(source)).collect();
        let is_due = matches!(rule.when.trigger, Some(Trigger::Daily(_) | Trigger::Missing(_)));
        if let ([source], true) = (concerned.as_slice(), is_due) {
            let jobs = rule.matches.jobs.iter().filter_map(Pattern::literal);
            named.extend(jobs.map(|job| (SourceId::clone(source), job.to_string())));
        }
    }
    named
}

/// The last of these runs, in order, that has begun; of those that all wait the last.
fn last_of(runs: &[Instance]) -> Option<&Instance> {
    runs.iter().rev().find(|run| run.status != Status::Waiting).or(runs.last())
}

/// What is known of a job while it is gathered: its runs by their ids, and the alerts about it.
#[derive(Default)]
struct Gathered {
    runs: BTreeMap<String, Instance>,
    alerts: Vec<Alert>,
}

type Key = (SourceId, String);

/// The span of so many hours up to now, and of what comes soon after.
pub(super) fn span_of(now: Timestamp, hours: i64) -> Between {
    let ahead = SignedDuration::from_mins(hours * 60 / 8);
    let from = now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
    (from, now.checked_add(ahead).unwrap_or(Timestamp::MAX))
}

/// The night as somebody may see it: what fires now, and the runs of a span, up to the minute that is shown as now.
pub(super) async fn gather(
    web: &Web,
    sight: &Sight,
    (from, until): Between,
    (now, minute): (Timestamp, Timestamp),
) -> Result<Night, Fault> {
    let known_for = OWN_GAP_AGE_MAX.max(minute.duration_since(from).try_into().unwrap_or_default());
    let state = web.store.own_state(now.checked_sub(known_for).unwrap_or(Timestamp::MIN)).await?;
    let mut lanes: BTreeMap<Key, Gathered> = BTreeMap::new();
    let firing = AlertAsk { state: Some(AlertState::Firing), ..AlertAsk::default() };
    let (firing, rest) = sight.worst_first(web, firing, NIGHT_ALERTS_MAX).await?;
    let ids: Vec<AlertId> = firing.iter().map(|alert| alert.id.clone()).collect();
    let acks = web.store.acks_of(&ids).await?;
    for alert in firing.into_iter().filter(|alert| !alert.rule.as_str().starts_with("self/")) {
        let key = (alert.source.clone(), alert.facts.job.name.clone());
        lanes.entry(key).or_default().alerts.push(alert);
    }
    let named = worst_first(&lanes);
    let enter = |lanes: &mut BTreeMap<Key, Gathered>, run: Instance| {
        let key = (run.source.clone(), run.job.name.clone());
        lanes.entry(key).or_default().runs.insert(run.id.clone(), run);
    };
    let open = web.store.open_runs(NIGHT_RUNS_MAX).await?;
    let has_more_open = open.len() == NIGHT_RUNS_MAX;
    for run in open {
        enter(&mut lanes, run);
    }
    let (mut unread, mut cut) = (HashMap::new(), None);
    let in_force = web.in_force();
    for source in in_force.config.sources.iter().filter(|source| sight.sees_source(&source.id)) {
        let found = web.store.runs_between(&source.id, (from, until), NIGHT_RUNS_MAX).await?;
        let oldest = found.last().and_then(|run| run.plan_time.or(run.start_time));
        let since = oldest.filter(|_| found.len() == NIGHT_RUNS_MAX);
        let span = web.store.read_span(&source.id, from).await?;
        unread.insert(source.id.clone(), unread_of(&source.id, &state.gaps, (&span, since), (from, until), minute));
        cut = cut.max(since);
        for run in found {
            enter(&mut lanes, run);
        }
    }
    // Runs of jobs that an alert is about may lie outside of what was read so far.
    for (source, job) in named.iter().take(NIGHT_JOBS_READ_MAX) {
        for run in web.store.runs_of(source, job, NIGHT_RUNS_OF_A_JOB_MAX).await? {
            enter(&mut lanes, run);
        }
    }
    for key in due_by_name(&in_force) {
        lanes.entry(key).or_default();
    }
    let lane = |(key, gathered)| lane(sight, key, gathered, (from, until));
    let mut lanes: Vec<Lane> = lanes.into_iter().filter_map(lane).collect();
    lanes.sort_by_cached_key(rank);
    add_usual(web, &mut lanes, now).await?;
    Ok(Night { lanes, acks, unread, cut, is_worst_only: rest.is_some(), has_more_open, sources: state.sources })
}

/// The jobs that alerts are about, the worst of them first.
fn worst_first(lanes: &BTreeMap<Key, Gathered>) -> Vec<Key> {
    let mut named: Vec<(&Key, &Gathered)> = lanes.iter().collect();
    let worst = |gathered: &Gathered| gathered.alerts.iter().map(|alert| alert.facts.alert.severity).max();
    named.sort_by_key(|(key, gathered)| (Reverse(worst(gathered)), *key));
    named.into_iter().map(|(key, _)| key.clone()).collect()
}

/// Tells how long the jobs usually take: by what is shown of them, and where that is too little, by what was before. As many
/// are asked after as can be on the page, the worst of them first.
async fn add_usual(web: &Web, lanes: &mut [Lane], now: Timestamp) -> Result<(), Fault> {
    let middle_of = |runs: &[Instance]| {
        let went_well = runs.iter().filter(|run| run.status.is_recovery());
        usual(went_well.filter_map(|run| run.duration(now)).collect()).map(|[_, middle, _]| middle)
    };
    let mut asked = 0;
    for lane in lanes.iter_mut().filter(|lane| !lane.runs.is_empty()) {
        lane.usual = middle_of(&lane.runs);
        if lane.usual.is_none() && asked < NIGHT_USUAL_READ_MAX {
            lane.usual = middle_of(&web.store.runs_of(&lane.source, &lane.job, JOB_CHART_RUNS).await?);
            asked += 1;
        }
    }
    Ok(())
}

/// A job is there for the runs that may be seen, or for an alert alone, or because it is due.
fn lane(sight: &Sight, (source, job): Key, gathered: Gathered, span: Between) -> Option<Lane> {
    let Gathered { runs, alerts } = gathered;
    let mut runs: Vec<Instance> = runs.into_values().collect();
    if !sight.sees_job(&source, &job) {
        runs.clear();
    }
    runs.sort_by_key(|run| run.plan_time.or(run.start_time));
    let goes_on = |run: &Instance| matches!(run.status, Status::Running | Status::RunningException);
    let has_failed = last_of(&runs).is_some_and(|run| run.status.is_failure());
    let urgency = match () {
        () if !alerts.is_empty() || has_failed => Urgency::Failing,
        () if runs.iter().any(goes_on) => Urgency::Running,
        () => Urgency::Rest,
    };
    let lane = Lane { source, job, urgency, runs, alerts, usual: None };
    let is_there = !lane.runs.is_empty() || !lane.alerts.is_empty() || !lane.dues(sight, span).is_empty();
    is_there.then_some(lane)
}

/// What a job stands by among the others: of those that fail the worst first, of the same the one that has fired longest,
/// and then by name.
pub(super) type Rank = (Urgency, Reverse<Option<Severity>>, Option<Timestamp>, SourceId, String);

/// The rank of a job.
pub(super) fn rank(lane: &Lane) -> Rank {
    let worst = lane.alerts.iter().map(|alert| alert.facts.alert.severity).max();
    let since = lane.alerts.iter().map(|alert| alert.facts.alert.starts_at).min();
    (lane.urgency, Reverse(worst), since, lane.source.clone(), lane.job.clone())
}

/// The spans of which runs are not known: the source was not read, or what is stored was not.
fn unread_of(
    source: &SourceId,
    gaps: &[GapPart],
    (span, cut): (&ReadSpan, Option<Timestamp>),
    (from, until): Between,
    now: Timestamp,
) -> Vec<Between> {
    let of_source = gaps.iter().filter(|gap| gap.source == *source);
    let mut spans: Vec<Between> = of_source.map(|gap| (gap.from, gap.until.unwrap_or(now))).collect();
    spans.extend(span.unread.iter().map(|(from, until)| (*from, until.unwrap_or(now))));
    match span.from {
        Some(known_from) => spans.push((from, cut.map_or(known_from, |cut| cut.max(known_from)))),
        None => spans.push((from, now)),
    }
    // Where it is read each minute there is nothing to see of that.
    let read_lately = now.checked_sub(UNREAD_SEEN_MIN).unwrap_or(now);
    spans.extend(span.until.filter(|until| *until < read_lately).map(|until| (until, now)));
    let seen = |(begin, end): &Between| begin < end && *end > from && *begin < until;
    let inside = |(begin, end): Between| (begin.max(from), end.min(until));
    joined(spans.into_iter().filter(seen).map(inside).collect())
}

/// The same spans, those that touch each other as one.
fn joined(mut spans: Vec<Between>) -> Vec<Between> {
    spans.sort_unstable();
    let mut joined: Vec<Between> = Vec::with_capacity(spans.len());
    for (from, until) in spans {
        match joined.last_mut().filter(|last| last.1 >= from) {
            Some(last) => last.1 = last.1.max(until),
            None => joined.push((from, until)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn what_was_not_read_is_not_known_and_nothing_else() {
        let (axis, now) = ((at("00:00"), at("10:00")), at("09:00"));
        let drawn = |span: ReadSpan, gaps: &[GapPart], cut: Option<&str>| -> Vec<String> {
            let source = SourceId::new("s");
            let spans = unread_of(&source, gaps, (&span, cut.map(at)), axis, now);
            let text = |at: &Timestamp| at.strftime("%H:%M").to_string();
            spans.iter().map(|(from, until)| format!("{}-{}", text(from), text(until))).collect()
        };
        let read = |from: &str, until: &str| ReadSpan { from: Some(at(from)), until: Some(at(until)), unread: vec![] };
        let gap = |source: &str, from: &str, until: Option<&str>| GapPart {
            source: source.into(),
            cause: crate::model::GapCause::Unreadable,
            reason: String::new(),
            from: at(from),
            until: until.map(at),
            runs: None,
            failed: None,
        };
        let long_ago = ReadSpan { from: Some("2026-11-01T00:00:00Z".parse().unwrap()), ..read("00:00", "08:59") };
        assert!(drawn(long_ago.clone(), &[], None).is_empty(), "everything was read");
        assert_eq!(drawn(ReadSpan::default(), &[], None), ["00:00-09:00"], "it was never read");
        assert_eq!(drawn(read("03:00", "08:59"), &[], None), ["00:00-03:00"], "before the first poll");
        assert_eq!(drawn(read("03:00", "08:59"), &[], Some("04:00")), ["00:00-04:00"], "there are too many runs");
        assert_eq!(drawn(read("00:00", "08:00"), &[], None), ["08:00-09:00"], "it is polled each hour");
        let gaps = [gap("s", "02:00", Some("03:00")), gap("s", "02:30", Some("04:00")), gap("t", "05:00", None)];
        assert_eq!(drawn(long_ago.clone(), &gaps, None), ["02:00-04:00"], "its own gaps, as one");
        assert_eq!(drawn(long_ago, &[gap("s", "08:00", None)], None), ["08:00-09:00"], "up to now");
    }
}
