//! The runs of a test: written down once, as they end up, and told as the story that leads there.

use jiff::Timestamp;

use super::items::{Surroundings, items, time};
use super::times::Times;
use crate::config::matching::{TypeWord, read_references};
use crate::config::rules::StatusWord;
use crate::config::words::{instance_types, statuses};
use crate::model::{Instance, InstanceType, JobRef, Node, Sighting, SourceId, Status};
use crate::yaml::{Key, Keys, Section, Shape};

/// A run of a test.
pub(in crate::config) static RUN: Keys = Keys::of(
    "test_run",
    "A run.",
    &[&[
        Key::new("source", Shape::Texts, "Its source; may be left out where there is only one."),
        Key::new("job", Shape::Text, "Its job's name.").required(),
        Key::new("id", Shape::Text, "Its id; its place in the list where it is left out."),
        Key::new("type", Shape::Word(instance_types), "How it came about.").default("scheduled"),
        Key::new("plan", Shape::Other("a time", time), "When it was planned.").required().example("\"02:00\""),
        Key::new("start", Shape::Other("a time", time), "When it started; as planned where it is left out."),
        Key::new("end", Shape::Other("a time", time), "When it ended."),
        Key::new("status", Shape::Word(statuses), "How it ended up.").required().example("fail"),
        Key::new("raw_status", Shape::Text, "The source's own word for that."),
        Key::new("error", Shape::Text, "Why it failed, in the source's words."),
        Key::new("nodes", Shape::List(&NODE), "Its failing steps."),
        Key::new("then", Shape::List(&THEN), "What comes then: made again, say."),
    ]],
);

static NODE: Keys = Keys::of(
    "test_node",
    "A step of the run.",
    &[&[
        Key::new("name", Shape::Text, "Its name.").required(),
        Key::new("status", Shape::Word(statuses), "Its status.").default("fail"),
        Key::new("type", Shape::Text, "What kind of work it does."),
        Key::new("log_path", Shape::Text, "Where its log is."),
        Key::new("retries", Shape::Whole, "How often it was retried."),
    ]],
);

static THEN: Keys = Keys::of(
    "test_then",
    "What comes then.",
    &[&[
        Key::new("at", Shape::Other("a time", time), "When it comes.").required(),
        Key::new("status", Shape::Word(statuses), "How it is then.").required(),
    ]],
);

/// Reads one run: how it is from when on.
pub(super) fn read(
    item: &Section<'_>,
    index: usize,
    times: &Times<'_>,
    around: &Surroundings<'_>,
) -> Option<Vec<Sighting>> {
    let source = read_source(item, around);
    let job = item.required::<String>("job");
    let id = item.optional::<String>("id").unwrap_or_else(|| (index + 1).to_string());
    let kind = item.optional::<TypeWord>("type").map_or(InstanceType::Scheduled, |word| word.0);
    let plan = times.required(item, "plan");
    let start = times.optional(item, "start");
    let end = times.optional(item, "end");
    let status = item.required::<StatusWord>("status").map(|word| word.0);
    let raw_status = item.optional::<String>("raw_status");
    let error = item.optional::<String>("error");
    let nodes = items(item, "nodes").map_or_else(|| Some(Vec::new()), |nodes| read_nodes(&nodes));
    let then = items(item, "then").map_or_else(|| Some(Vec::new()), |steps| read_steps(&steps, times));
    item.report_unknown();
    let (status, plan) = (status?, plan?);
    let (start, end) = (start.map_or(Some(None), |it| it.map(Some))?, end.map_or(Some(None), |it| it.map(Some))?);
    let base = Instance {
        source: source?,
        id,
        job: JobRef { name: job?, id: None },
        name: None,
        status,
        raw_status: String::new(),
        kind,
        plan_time: Some(plan),
        start_time: None,
        end_time: None,
        error: None,
    };
    let states = states(item, status, plan, start, end, &then?)?;
    let nodes = nodes?;
    let own = states.iter().position(|state| state.status == status).unwrap_or(0);
    let shown = |(place, state): (usize, &State)| {
        let word = || state.status.as_str().to_string();
        let is_own = place == own;
        let instance = Instance {
            status: state.status,
            raw_status: if is_own { raw_status.clone().unwrap_or_else(word) } else { word() },
            start_time: state.start,
            end_time: state.end,
            error: error.clone().filter(|_| state.status.is_failure()),
            ..base.clone()
        };
        Sighting { at: state.at, instance, nodes: if place >= own { nodes.clone() } else { Vec::new() } }
    };
    Some(states.iter().enumerate().map(shown).collect())
}

/// The source a run is of: named, or the only one there is.
fn read_source(item: &Section<'_>, around: &Surroundings<'_>) -> Option<SourceId> {
    let named = read_references(item, "source", "source", around.names.sources)?;
    match (named.as_slice(), around.names.sources) {
        ([one], _) => Some(SourceId::new(one)),
        ([], [only]) => Some(SourceId::new(only)),
        ([], _) => {
            let sources = around.names.sources.join(", ");
            item.missing("source", Some(format!("the sources are {sources}")));
            None
        }
        _ => {
            item.error("source", "a run is of one source", None);
            None
        }
    }
}

/// How a run is from an instant on.
#[derive(Clone, Copy)]
struct State {
    at: Timestamp,
    status: Status,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// What a run that was not begun can be.
fn needs_no_start(status: Status) -> bool {
    matches!(status, Status::Waiting | Status::Skip | Status::Freeze | Status::Rejected)
}

/// The story of a run: it waits from its plan time on, runs from its start on, is over at its end, and what comes then.
fn states(
    item: &Section<'_>,
    status: Status,
    plan: Timestamp,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    then: &[(Timestamp, Status)],
) -> Option<Vec<State>> {
    let mut states = Vec::new();
    if start.is_none() && needs_no_start(status) {
        let end = status.has_ended().then(|| end.unwrap_or(plan));
        states.push(State { at: plan, status, start: None, end });
    } else {
        let start = start.unwrap_or(plan);
        if start > plan {
            states.push(State { at: plan, status: Status::Waiting, start: None, end: None });
        }
        match (status.has_ended(), end) {
            (true, None) => {
                item.error("", format!("a run that is {status} has an end"), Some("add end: \"02:10\"".into()));
                return None;
            }
            (false, Some(_)) => {
                item.error("end", format!("a run that is {status} has no end yet"), Some("remove it".into()));
                return None;
            }
            (true, Some(end)) if end < start => {
                item.error("end", "it ends before it starts", None);
                return None;
            }
            (true, Some(end)) => {
                if end > start {
                    states.push(State { at: start, status: Status::Running, start: Some(start), end: None });
                }
                states.push(State { at: end, status, start: Some(start), end: Some(end) });
            }
            (false, None) => states.push(State { at: start, status, start: Some(start), end: None }),
        }
    }
    for (at, status) in then {
        let before = states.last().copied()?;
        if *at < before.at {
            item.error("then", "what comes then comes earlier", Some("write the steps in their order".into()));
            return None;
        }
        let is_anew = *status == Status::Running && (before.start.is_none() || before.end.is_some());
        let start = if *status == Status::Waiting { None } else { before.start.filter(|_| !is_anew) };
        let start = if is_anew { Some(*at) } else { start };
        states.push(State { at: *at, status: *status, start, end: status.has_ended().then_some(*at) });
    }
    Some(states)
}

fn read_steps(steps: &[Section<'_>], times: &Times<'_>) -> Option<Vec<(Timestamp, Status)>> {
    let read = |step: &Section<'_>| {
        let (at, status) = (times.required(step, "at"), step.required::<StatusWord>("status"));
        step.report_unknown();
        Some((at?, status?.0))
    };
    let read: Vec<_> = steps.iter().map(read).collect();
    read.into_iter().collect()
}

fn read_nodes(nodes: &[Section<'_>]) -> Option<Vec<Node>> {
    let read = |node: &Section<'_>| {
        let name = node.required::<String>("name");
        let status = node.optional::<StatusWord>("status").map_or(Status::Fail, |word| word.0);
        let (kind, log_path) = (node.optional::<String>("type"), node.optional::<String>("log_path"));
        let retries = node.optional::<u32>("retries").map(u64::from);
        node.report_unknown();
        let raw_status = status.as_str().to_string();
        let (start_time, end_time, log_tail) = (None, None, None);
        Some(Node { name: name?, kind, status, raw_status, retries, start_time, end_time, log_path, log_tail })
    };
    let read: Vec<_> = nodes.iter().map(read).collect();
    read.into_iter().collect()
}
