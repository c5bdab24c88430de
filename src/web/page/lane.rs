//! What is drawn of a job on its lane of the night: its runs, when they were planned and should be over, its deadlines, and
//! what was not read. Reads nothing itself: it is given what the store holds.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::frame::{Page, run_link};
use super::svg::{Axis, Extent};
use crate::model::{GapPart, Instance, SourceId, Status};
use crate::rule::{Rule, Trigger};
use crate::store::ReadSpan;
use crate::web::durations::running_limit;

/// How long ago a source was read at least where that is drawn as not read since.
const UNREAD_SEEN_MIN: SignedDuration = SignedDuration::from_mins(5);

/// One run.
pub(super) struct Bar {
    pub(super) extent: Extent,
    pub(super) class: &'static str,
    pub(super) is_open: bool,
    /// From when it was planned to when it should be over, by what is usual or by the rules' limits.
    pub(super) window: Option<Extent>,
    pub(super) plan_x: Option<String>,
    pub(super) delay: Option<(String, String)>,
    pub(super) link: String,
    pub(super) title: String,
}

/// One deadline.
pub(super) struct Due {
    pub(super) x: String,
    pub(super) is_passed: bool,
    pub(super) title: String,
}

/// The spans of the axis of which runs are not known: the source was not read, or what is stored was not.
pub(super) fn unread_of(
    source: &SourceId,
    gaps: &[GapPart],
    (span, cut): (&ReadSpan, Option<Timestamp>),
    (axis, now): (&Axis, Timestamp),
) -> Vec<Extent> {
    let of_source = gaps.iter().filter(|gap| gap.source == *source);
    let mut spans: Vec<(Timestamp, Timestamp)> = of_source.map(|gap| (gap.from, gap.until.unwrap_or(now))).collect();
    spans.extend(span.unread.iter().map(|(from, until)| (*from, until.unwrap_or(now))));
    match span.from {
        Some(from) => spans.push((axis.from, cut.map_or(from, |cut| cut.max(from)))),
        None => spans.push((axis.from, now)),
    }
    // Where it is read each minute there is nothing to see of that.
    let read_lately = now.checked_sub(UNREAD_SEEN_MIN).unwrap_or(now);
    spans.extend(span.until.filter(|until| *until < read_lately).map(|until| (until, now)));
    let seen = |(from, until): &(Timestamp, Timestamp)| from < until && *until > axis.from && *from < axis.until;
    joined(spans.into_iter().filter(seen).collect()).into_iter().map(|(from, until)| axis.extent(from, until)).collect()
}

/// The same spans, those that touch each other as one.
fn joined(mut spans: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    spans.sort_unstable();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(spans.len());
    for (from, until) in spans {
        match joined.last_mut().filter(|last| last.1 >= from) {
            Some(last) => last.1 = last.1.max(until),
            None => joined.push((from, until)),
        }
    }
    joined
}

/// The runs of a job, the earliest first.
pub(super) fn in_order(runs: &BTreeMap<String, Instance>) -> Vec<&Instance> {
    let mut runs: Vec<&Instance> = runs.values().collect();
    runs.sort_by_key(|run| run.plan_time.or(run.start_time));
    runs
}

/// The last of them that has begun; of those that all wait the last.
pub(super) fn last_of<'a>(runs: &[&'a Instance]) -> Option<&'a Instance> {
    runs.iter().rev().find(|run| run.status != Status::Waiting).or(runs.last()).copied()
}

/// How long a run of the job may take from when it was planned: as long as those that went well take, half of them longer
/// and half not so long; of a job of which none went well, what a rule allows.
pub(super) fn usual(p: &Page, source: &SourceId, job: &str, runs: &[&Instance]) -> Option<SignedDuration> {
    let went_well = runs.iter().filter(|run| run.status.is_recovery());
    let mut took: Vec<_> = went_well.filter_map(|run| run.duration(p.now)).collect();
    took.sort_unstable();
    let limit = || p.sight.rules_about(source, job).filter_map(running_limit).min();
    SignedDuration::try_from(took.get(took.len() / 2).copied().or_else(limit)?).ok()
}

/// The bar of a run; none of one that is not on the axis.
pub(super) fn bar(p: &Page, run: &Instance, usual: Option<SignedDuration>, axis: &Axis) -> Option<Bar> {
    let begin = run.start_time.or(run.plan_time)?;
    let is_open = !run.status.has_ended();
    // What waits has not begun: it is drawn from when it should have.
    let end = if is_open { p.minute.max(begin) } else { run.end_time.unwrap_or(begin) };
    if end < axis.from || begin > axis.until {
        return None;
    }
    let delay = match (run.plan_time, run.start_time) {
        (Some(plan), Some(start)) if start.duration_since(plan).as_secs() >= 1 => Some((axis.x(plan), axis.x(start))),
        _ => None,
    };
    let lasted = p.run_lasted(run).map(|lasted| format!(", {lasted}")).unwrap_or_default();
    let from = p.clock(&begin);
    let title =
        format!("{} {}: {}, {from}{lasted}", p.plain(&run.job.name), p.plain(&run.id), p.word(run.status.as_str()));
    Some(Bar {
        extent: axis.extent(begin, end),
        class: run.status.as_str(),
        is_open: is_open && run.status != Status::Waiting,
        window: run.plan_time.zip(usual).and_then(|(plan, usual)| {
            let until = plan.checked_add(usual).ok()?;
            (until > axis.from && plan < axis.until).then(|| axis.extent(plan, until))
        }),
        plan_x: run.plan_time.filter(|plan| axis.holds(*plan)).map(|plan| axis.x(plan)),
        delay,
        link: run_link(run.source.as_str(), &run.job.name, &run.id),
        title,
    })
}

/// The deadlines of a job on the axis.
pub(super) fn dues(p: &Page, source: &SourceId, job: &str, axis: &Axis) -> Vec<Due> {
    let of_rule = |rule: &Rule| match &rule.when.trigger {
        Some(Trigger::Daily(daily)) => {
            let due = |at: Timestamp| Due {
                x: axis.x(at),
                is_passed: at <= p.now,
                title: format!("{}: {} {}", rule.id, p.word(daily.kind().as_str()), daily.text()),
            };
            daily.dues(axis.from, axis.until).into_iter().map(|it| due(it.at)).collect()
        }
        Some(Trigger::Missing(recurring)) => {
            let due = |at: Timestamp| Due {
                x: axis.x(at),
                is_passed: at <= p.now,
                title: format!("{}: {}", rule.id, p.clock(&at)),
            };
            recurring.due_times(axis.from, axis.until).0.into_iter().take(24).map(|it| due(it.at)).collect()
        }
        _ => Vec::new(),
    };
    p.sight.rules_about(source, job).flat_map(of_rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn what_is_not_known_is_hatched_and_nothing_else() {
        let (axis, now) = (Axis { from: at("00:00"), until: at("10:00") }, at("09:00"));
        let drawn = |span: ReadSpan, gaps: &[GapPart], cut: Option<&str>| -> Vec<String> {
            let source = SourceId::new("s");
            let spans = unread_of(&source, gaps, (&span, cut.map(at)), (&axis, now));
            spans.iter().map(|span| format!("{}+{}", span.x, span.width)).collect()
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
        assert_eq!(drawn(ReadSpan::default(), &[], None), ["0.00%+90.00%"], "it was never read");
        assert_eq!(drawn(read("03:00", "08:59"), &[], None), ["0.00%+30.00%"], "before the first poll");
        assert_eq!(drawn(read("03:00", "08:59"), &[], Some("04:00")), ["0.00%+40.00%"], "there are too many runs");
        assert_eq!(drawn(read("00:00", "08:00"), &[], None), ["80.00%+10.00%"], "it is polled each hour");
        let gaps = [gap("s", "02:00", Some("03:00")), gap("s", "02:30", Some("04:00")), gap("t", "05:00", None)];
        assert_eq!(drawn(long_ago.clone(), &gaps, None), ["20.00%+20.00%"], "its own gaps, as one");
        assert_eq!(drawn(long_ago, &[gap("s", "08:00", None)], None), ["80.00%+10.00%"], "up to now");
    }
}
