//! Answers about workflows: which there are, their instances, and the nodes of one.
//!
//! Takes JSON text and gives plain data, or says what is wrong with it; an odd item costs only itself.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{Node, SetAside, Status};
use crate::source::kit::json::Spot;
use crate::source::schedulerx::answer::{Paged, id, items_of, name, object_of, read_paged, text, time};
use crate::source::schedulerx::status;

/// The id and the name of a workflow.
pub(super) type Named = (String, String);

/// A page of workflows, how many items it had, and how many there are in all by the service's word.
///
/// # Errors
/// When the data is no such page.
pub(super) fn read_workflows(data: &str) -> Result<Paged<Named>, &'static str> {
    read_paged(data, "/Records", "the data is not a list of workflows", |item| {
        Some((id(item, "/WorkflowId")?, name(item, "/Name")?))
    })
}

/// The state of a workflow's instance; its id only where a list tells it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) id: Option<String>,
    pub(super) status: Status,
    pub(super) raw_status: String,
    pub(super) plan_time: Option<Timestamp>,
    pub(super) start_time: Option<Timestamp>,
    pub(super) end_time: Option<Timestamp>,
}

fn read_state(item: &Spot<'_>, zone: &TimeZone) -> Result<State, &'static str> {
    if !item.is_object() {
        return Err("not an object");
    }
    let (status, raw_status) = status::of_workflow(&text(item, "/Status").ok_or("no status that can be used")?);
    Ok(State {
        id: id(item, "/WfInstanceId"),
        status,
        raw_status,
        plan_time: time(item, "/ScheduleTime", zone),
        start_time: time(item, "/StartTime", zone),
        // A run that is under way again may still show the end of the earlier try.
        end_time: time(item, "/EndTime", zone).filter(|_| status.has_ended()),
    })
}

/// The instances of a workflow.
///
/// # Errors
/// When the data is no such list.
pub(super) fn read_states(data: &str, zone: &TimeZone) -> Result<Vec<Result<State, SetAside>>, &'static str> {
    let read = |item: &Spot<'_>| {
        let state = read_state(item, zone).and_then(|state| match state.id {
            Some(_) => Ok(state),
            None => Err("no instance id that can be used"),
        });
        state.map_err(|reason| item.set_aside(reason, None))
    };
    let items = items_of(data, "/WfInstanceInfos", "the data is not a list of instances of a workflow")?;
    Ok(items.iter().map(read).collect())
}

/// A node of a workflow's instance: the run of one job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) node: Node,
    pub(super) job_id: Option<String>,
    pub(super) instance_id: Option<String>,
    /// What it says of its end.
    pub(super) result: Option<String>,
}

/// An instance of a workflow with its nodes; `None` when the service knows none.
///
/// # Errors
/// When the data is no such detail.
pub(super) fn read_detail(data: &str, zone: &TimeZone) -> Result<Option<(State, Vec<Step>)>, &'static str> {
    const WRONG: &str = "the data is not the detail of a workflow";
    let Some(data) = object_of(data, WRONG)? else { return Ok(None) };
    let nodes = match data.find("/WfInstanceDag") {
        Some(dag) if !dag.is_object() => return Err(WRONG),
        Some(dag) => dag.find("/Nodes").map(|nodes| nodes.list("").map_err(|_| WRONG)).transpose()?,
        None => None,
    };
    let Some(info) = data.find("/WfInstanceInfo") else { return Ok(None) };
    let steps = nodes.unwrap_or_default().iter().filter_map(|node| read_step(node, zone)).collect();
    read_state(&info, zone).map(|state| Some((state, steps)))
}

fn read_step(item: &Spot<'_>, zone: &TimeZone) -> Option<Step> {
    // A step that has not begun may have no status yet.
    let (status, raw_status) = status::of_instance(text(item, "/Status").as_deref().unwrap_or("1"));
    let job_id = id(item, "/JobId");
    let name = name(item, "/JobName").or_else(|| job_id.as_ref().map(|id| format!("job {id}")))?;
    Some(Step {
        node: Node {
            name,
            kind: None,
            status,
            raw_status,
            retries: text(item, "/Attempt").and_then(|count| count.parse().ok()),
            start_time: time(item, "/StartTime", zone),
            end_time: time(item, "/EndTime", zone),
            log_path: None,
            log_tail: None,
        },
        job_id,
        instance_id: id(item, "/JobInstanceId").filter(|id| id != "0"),
        result: text(item, "/Result").filter(|text| !text.trim().is_empty()).map(|text| text.into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_details_are_read_item_by_item() {
        let data = r#"{"Total":3,"Records":[{"WorkflowId":7,"Name":"nightly"},{"WorkflowId":8},3]}"#;
        assert_eq!(read_workflows(data).unwrap(), (vec![("7".to_string(), "nightly".to_string())], 3, Some(3)));
        let data = r#"{"WfInstanceInfos":[{"WfInstanceId":9007199254740993,"WorkflowId":7,"Status":5,"StartTime":
            "2020-07-27 11:52:10","EndTime":"2020-07-27 11:53:10"},{"Status":4},{"WfInstanceId":"a"},null]}"#;
        let states = read_states(data, &TimeZone::UTC).unwrap();
        assert_eq!((states.len(), states.iter().filter(|state| state.is_err()).count()), (4, 3));
        let state = states[0].clone().unwrap();
        assert_eq!((state.id.as_deref(), state.status), (Some("9007199254740993"), Status::Fail));
        assert_eq!(state.end_time, Some("2020-07-27T11:53:10Z".parse().unwrap()));
        let data = r#"{"WfInstanceInfo":{"Status":5},"WfInstanceDag":{"Edges":[{"Source":0,"Target":1}],"Nodes":[
            {"JobId":1,"JobInstanceId":11,"JobName":"load","Status":5,"Attempt":2,"Result":"locked"},
            {"JobId":2,"JobInstanceId":0,"JobName":"","Status":null},7]}}"#;
        let (state, steps) = read_detail(data, &TimeZone::UTC).unwrap().unwrap();
        assert_eq!((state.raw_status.as_str(), steps.len()), ("5 failed", 2));
        assert_eq!((steps[0].node.retries, steps[0].result.as_deref()), (Some(2), Some("locked")));
        assert_eq!((steps[1].node.name.as_str(), steps[1].node.status), ("job 2", Status::Waiting));
        assert_eq!((steps[0].instance_id.as_deref(), &steps[1].instance_id), (Some("11"), &None));
        for nothing in ["null", "{}", r#"{"WfInstanceInfo":null}"#] {
            assert_eq!(read_detail(nothing, &TimeZone::UTC), Ok(None), "{nothing}");
        }
        for wrong in ["[]", r#"{"Records":1,"WfInstanceInfos":1,"WfInstanceDag":1}"#] {
            assert!(read_workflows(wrong).is_err() && read_states(wrong, &TimeZone::UTC).is_err(), "{wrong}");
            assert!(read_detail(wrong, &TimeZone::UTC).is_err(), "{wrong}");
        }
    }
}
