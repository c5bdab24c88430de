//! Answers about workflows: which there are, their instances, and the nodes of one.
//!
//! Takes JSON text and gives plain data, or says what is wrong with it; an odd item costs only itself.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::model::{Node, SetAside, Status};
use crate::source::kit::excerpt;
use crate::source::kit::foreign::{cut, snippet};
use crate::source::schedulerx::answer::{Raw, id_of, read_time, text_of};
use crate::source::schedulerx::status;

/// The id and the name of a workflow.
pub(super) type Named = (String, String);

/// A page of workflows, how many items it had, and how many there are in all by the service's word.
///
/// # Errors
/// When the data is no such page.
pub(super) fn read_workflows(data: &str) -> Result<(Vec<Named>, usize, Option<usize>), &'static str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "Records")]
        records: Option<Vec<&'a serde_json::value::RawValue>>,
        #[serde(borrow, rename = "Total")]
        total: Raw<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields<'a> {
        #[serde(borrow)]
        workflow_id: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data).map_err(|_| "the data is no list of workflows")?;
    let Some(data) = data else { return Ok((Vec::new(), 0, None)) };
    let items = data.records.unwrap_or_default();
    let count = items.len();
    let read = |raw: &serde_json::value::RawValue| {
        let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
        Some((id_of(fields.workflow_id)?, text_of(fields.name).filter(|name| !name.is_empty()).map(cut)?))
    };
    let total = text_of(data.total).and_then(|total| total.parse().ok());
    Ok((items.into_iter().filter_map(read).collect(), count, total))
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StateFields<'a> {
    #[serde(borrow)]
    wf_instance_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    schedule_time: Raw<'a>,
    #[serde(borrow)]
    start_time: Raw<'a>,
    #[serde(borrow)]
    end_time: Raw<'a>,
}

fn read_state(text: &str, zone: &TimeZone) -> Result<State, &'static str> {
    let fields: StateFields<'_> = serde_json::from_str(text).map_err(|_| "not an object with each key once")?;
    let number = text_of(fields.status).ok_or("no status that can be used")?;
    let (status, raw_status) = status::of_workflow(&number);
    let time = |raw| text_of(raw).and_then(|text| read_time(&text, zone));
    Ok(State {
        id: id_of(fields.wf_instance_id),
        status,
        raw_status,
        plan_time: time(fields.schedule_time),
        start_time: time(fields.start_time),
        // A run that is under way again may still show the end of the earlier try.
        end_time: time(fields.end_time).filter(|_| status.has_ended()),
    })
}

/// The instances of a workflow.
///
/// # Errors
/// When the data is no such list.
pub(super) fn read_states(data: &str, zone: &TimeZone) -> Result<Vec<Result<State, SetAside>>, &'static str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "WfInstanceInfos")]
        rows: Option<Vec<&'a serde_json::value::RawValue>>,
    }
    let data: Option<Data<'_>> =
        serde_json::from_str(data).map_err(|_| "the data is no list of instances of a workflow")?;
    let rows = data.and_then(|data| data.rows).unwrap_or_default();
    let read = |raw: &serde_json::value::RawValue| {
        let state = read_state(raw.get(), zone).and_then(|state| match state.id {
            Some(_) => Ok(state),
            None => Err("no instance id that can be used"),
        });
        state.map_err(|reason| SetAside {
            reason: reason.to_string(),
            snippet: excerpt::without_secrets(&snippet(raw.get())).into_owned(),
            job: None,
        })
    };
    Ok(rows.into_iter().map(read).collect())
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
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, rename = "WfInstanceInfo")]
        info: Raw<'a>,
        #[serde(borrow, rename = "WfInstanceDag")]
        dag: Option<Dag<'a>>,
    }
    #[derive(Deserialize)]
    struct Dag<'a> {
        #[serde(borrow, rename = "Nodes")]
        nodes: Option<Vec<&'a serde_json::value::RawValue>>,
    }
    let data: Option<Data<'_>> = serde_json::from_str(data).map_err(|_| "the data is no detail of a workflow")?;
    let Some(data) = data else { return Ok(None) };
    let Some(info) = data.info.filter(|raw| raw.get() != "null") else { return Ok(None) };
    let nodes = data.dag.and_then(|dag| dag.nodes).unwrap_or_default();
    let steps = nodes.into_iter().filter_map(|raw| read_step(raw.get(), zone)).collect();
    read_state(info.get(), zone).map(|state| Some((state, steps)))
}

fn read_step(text: &str, zone: &TimeZone) -> Option<Step> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fields<'a> {
        #[serde(borrow)]
        job_id: Raw<'a>,
        #[serde(borrow)]
        job_instance_id: Raw<'a>,
        #[serde(borrow)]
        job_name: Raw<'a>,
        #[serde(borrow)]
        status: Raw<'a>,
        #[serde(borrow)]
        result: Raw<'a>,
        #[serde(borrow)]
        attempt: Raw<'a>,
        #[serde(borrow)]
        start_time: Raw<'a>,
        #[serde(borrow)]
        end_time: Raw<'a>,
    }
    let fields: Fields<'_> = serde_json::from_str(text).ok()?;
    // A step that has not begun may have no status yet.
    let (status, raw_status) = status::of_instance(text_of(fields.status).as_deref().unwrap_or("1"));
    let job_id = id_of(fields.job_id);
    let name = text_of(fields.job_name).filter(|name| !name.is_empty()).map(cut);
    let name = name.or_else(|| job_id.as_ref().map(|id| format!("job {id}")))?;
    let time = |raw| text_of(raw).and_then(|text| read_time(&text, zone));
    Some(Step {
        node: Node {
            name,
            kind: None,
            status,
            raw_status,
            retries: text_of(fields.attempt).and_then(|count| count.parse().ok()),
            start_time: time(fields.start_time),
            end_time: time(fields.end_time),
            log_path: None,
        },
        job_id,
        instance_id: id_of(fields.job_instance_id).filter(|id| id != "0"),
        result: text_of(fields.result).filter(|text| !text.trim().is_empty()).map(|text| text.into_owned()),
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
