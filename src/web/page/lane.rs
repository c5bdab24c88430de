//! What is drawn of a job on its lane of the night: its runs, when they were planned and should be over, and its deadlines.
//! Reads nothing itself: it is given what the store holds.

use jiff::SignedDuration;

use super::frame::{Page, run_link};
use super::svg::{Axis, Extent};
use crate::model::{Instance, Status};
use crate::web::night::Lane;

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
pub(super) fn dues(p: &Page, lane: &Lane, axis: &Axis) -> Vec<Due> {
    let drawn = |it: crate::web::night::Due<'_>| Due {
        x: axis.x(it.at),
        is_passed: it.at <= p.now,
        title: match it.daily {
            Some(daily) => {
                format!("{}: {} {}", it.rule.id, p.say_of("web.condition", daily.kind().as_str()), daily.text())
            }
            None => format!("{}: {}", it.rule.id, p.clock(&it.at)),
        },
    };
    lane.dues(&p.sight, (axis.from, axis.until)).into_iter().map(drawn).collect()
}
