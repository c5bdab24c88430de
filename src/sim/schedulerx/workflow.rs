//! The workflows of the simulated service, their runs, and the answers that tell of them.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::flows::SimFlowRun;
use super::service::{Call, Refusal};

impl Call<'_> {
    /// The answer to a call about workflows.
    pub(super) fn workflow(&self, action: &str) -> Result<Value, Refusal> {
        if !self.config.has_workflows {
            return Err((403, "the workflow is not supported by the basic edition".to_string()));
        }
        match action {
            "ListWorkFlows" => self.workflows(),
            "ListWorkflowInstance" => {
                let id = self.workflow_id()?;
                let runs = self.state.flows.runs.values().filter(|run| run.workflow_id == id);
                let rows: Vec<Value> =
                    runs.take(self.config.workflow_instances_max).map(|run| self.flow_item(run, true)).collect();
                Ok(json!({ "WfInstanceInfos": rows }))
            }
            _ => self.workflow_instance(),
        }
    }

    fn workflows(&self) -> Result<Value, Refusal> {
        let group = self.required("GroupId")?;
        let visible = self.state.flows.by_id.iter().filter(|(_, flow)| flow.group == group && self.is_visible(group));
        let all: Vec<Value> = visible
            .map(|(id, flow)| {
                json!({
                    "WorkflowId": id, "Name": flow.name, "GroupId": flow.group, "TimeType": "1",
                    "TimeExpression": "0 0 2 * * ?", "Creator": "CONTACTCANARY", "Updater": "CONTACTCANARY",
                })
            })
            .collect();
        let total = all.len();
        let (page, size) = self.page()?;
        let rows: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        Ok(json!({ "Records": rows, "PageNumber": page, "PageSize": size, "Total": total }))
    }

    /// The id of the workflow that the call names, which must be one of its group.
    fn workflow_id(&self) -> Result<u64, Refusal> {
        let (group, id) = (self.required("GroupId")?, self.required("WorkflowId")?);
        let known = id.parse().ok().filter(|id| {
            self.is_visible(group) && self.state.flows.by_id.get(id).is_some_and(|flow| flow.group == group)
        });
        known.ok_or_else(|| (400, format!("workflow {id} does not exist in group {group}")))
    }

    fn workflow_instance(&self) -> Result<Value, Refusal> {
        let (workflow, id) = (self.workflow_id()?, self.required("WfInstanceId")?);
        let run = id.parse().ok().and_then(|id| self.state.flows.runs.get(&Reverse(id)));
        let run = run.filter(|run| run.workflow_id == workflow);
        let run = run.ok_or_else(|| (404, "the workflow instance does not exist".to_string()))?;
        let nodes: Vec<Value> = run
            .steps
            .iter()
            .map(|step| {
                json!({
                    "JobId": step.job_id, "JobInstanceId": step.instance_id, "JobName": step.job_name,
                    "Status": step.status, "Attempt": step.attempt, "Result": step.result,
                    "ScheduleTime": self.time(Some(run.schedule_time)), "DataTime": self.time(Some(run.schedule_time)),
                    "StartTime": self.time(step.start_time), "EndTime": self.time(step.end_time),
                    "WorkAddr": "192.168.0.0:16",
                })
            })
            .collect();
        let mut source = 0;
        let edges: Vec<Value> = run
            .steps
            .iter()
            .map(|step| {
                let edge = json!({ "Source": source, "Target": step.instance_id });
                source = step.instance_id;
                edge
            })
            .collect();
        Ok(json!({ "WfInstanceInfo": self.flow_item(run, false), "WfInstanceDag": { "Nodes": nodes, "Edges": edges } }))
    }

    /// What is told of a run; a detail tells no ids.
    fn flow_item(&self, run: &SimFlowRun, with_ids: bool) -> Value {
        let mut item = json!({
            "Status": run.status, "ScheduleTime": self.time(Some(run.schedule_time)),
            "DataTime": self.time(Some(run.schedule_time)), "StartTime": self.time(run.start_time),
            "EndTime": self.time(run.end_time),
        });
        if with_ids {
            item["WfInstanceId"] = json!(run.id);
            item["WorkflowId"] = json!(run.workflow_id);
        }
        item
    }
}
