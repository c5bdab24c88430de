//! The service behind the gateway: groups, jobs, instances and logs, as the documents show the answers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::state::{GroupLists, Shared, SimRun, SimSchedulerXConfig, State};
use crate::lock::locked;

/// The operations there are.
pub(super) const ACTIONS: [&str; 8] = [
    "ListGroups",
    "ListJobs",
    "GetJobInstanceList",
    "GetJobInstance",
    "GetLog",
    "ListWorkFlows",
    "ListWorkflowInstance",
    "GetWorkflowInstance",
];

/// Records of a page when `PageSize` is not given, and the most lines of a log.
const PAGE_DEFAULT: usize = 10;
const LINES_MAX: usize = 200;

/// What a call is told when it is refused: code and words.
pub(super) type Refusal = (u16, String);

pub(super) fn serve(shared: &Shared, action: &str, query: &[(String, String)]) -> Value {
    let config = locked(&shared.config).clone();
    let state = locked(&shared.state);
    let call = Call { config: &config, state: &state, query, now: shared.clock.now() };
    let served = call.check_place().and_then(|()| match action {
        "ListGroups" => Ok(call.groups()),
        "ListJobs" => call.jobs(),
        "GetJobInstanceList" => call.instances(),
        "GetJobInstance" => call.instance(),
        "GetLog" => call.log(),
        "ListWorkFlows" | "ListWorkflowInstance" | "GetWorkflowInstance" => call.workflow(action),
        _ => Err((404, format!("no such action: {action}"))),
    });
    let id = "4F68ABED-AC31-4412-9297-D9A8F0401108";
    match served {
        // The documents' own example of a success carries the words of an error.
        Ok(data) => json!({
            "Code": 200,
            "Message": "jobid: 92583 not match groupId: testSchedulerx.defaultGroup",
            "RequestId": id,
            "Success": true,
            "Data": data,
        }),
        Err((code, words)) => {
            json!({ "Code": code, "Message": words, "RequestId": id, "Success": false, "Data": null })
        }
    }
}

pub(super) struct Call<'a> {
    pub(super) config: &'a SimSchedulerXConfig,
    pub(super) state: &'a State,
    query: &'a [(String, String)],
    now: Timestamp,
}

impl Call<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.value(name).filter(|value| !value.is_empty()).ok_or_else(|| (400, format!("{name} is mandatory")))
    }

    fn number(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        self.value(name).map_or(Ok(default), |text| text.parse().map_err(|_| (400, format!("{name} is invalid"))))
    }

    fn check_place(&self) -> Result<(), Refusal> {
        if self.required("RegionId")? != self.config.region {
            return Err((400, "the region is unknown".to_string()));
        }
        self.required("Namespace").map(drop)
    }

    pub(super) fn is_visible(&self, group: &str) -> bool {
        let is_here = self.value("Namespace") == Some(self.config.namespace.as_str());
        self.config.is_granted && is_here && self.config.groups.iter().any(|known| known == group)
    }

    fn groups(&self) -> Value {
        let groups = self.config.groups.iter().filter(|group| self.is_visible(group));
        let groups: Vec<Value> = groups
            .map(|group| {
                json!({
                    "AppGroupId": 6607, "AppName": group, "AppVersion": 2, "GroupId": group,
                    "Namespace": self.config.namespace, "AppKey": "APPKEYCANARY0123456789", "EnableLog": self.config.has_logs,
                })
            })
            .collect();
        json!({ "AppGroups": groups })
    }

    fn jobs(&self) -> Result<Value, Refusal> {
        let group = self.required("GroupId")?;
        let contact =
            json!([{ "UserName": "CONTACTCANARY", "UserPhone": "CONTACTCANARY", "UserMail": "CONTACTCANARY" }]);
        let all: Vec<Value> = self
            .state
            .jobs
            .values()
            .filter(|job| job.group == group && self.is_visible(group))
            .map(|job| {
                json!({
                    "JobId": job.id, "Name": job.name, "Status": i64::from(job.timing.is_enabled), "JobType": "java",
                    "TimeConfig": {
                        "TimeType": job.timing.time_type, "TimeExpression": job.timing.expression,
                        "Calendar": job.timing.calendar, "DataOffset": 0,
                    },
                    "JobMonitorInfo": { "ContactInfo": contact },
                })
            })
            .collect();
        let total = all.len();
        let (page, size) = self.page()?;
        let rows: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        Ok(json!({ "Jobs": rows, "PageNumber": page, "PageSize": size, "Total": total }))
    }

    pub(super) fn page(&self) -> Result<(usize, usize), Refusal> {
        let invalid = |name: &str| (400, format!("{name} is invalid"));
        let page = usize::try_from(self.number("PageNum", 1)?).ok().filter(|page| *page > 0);
        let size = usize::try_from(self.number("PageSize", PAGE_DEFAULT as i64)?)
            .ok()
            .filter(|size| (1..=self.config.page_size_max).contains(size));
        let page = page.ok_or_else(|| invalid("PageNum"))?;
        Ok((page, size.ok_or_else(|| invalid("PageSize"))?.min(self.config.page_max)))
    }

    fn instances(&self) -> Result<Value, Refusal> {
        let group = self.required("GroupId")?;
        let job = self.value("JobId").map(|id| id.parse::<u64>().map_err(|_| (400, "JobId is invalid".to_string())));
        let job = job.transpose()?;
        match (job, self.config.lists_groups) {
            (None, GroupLists::Refused) => return Err((400, "JobId is mandatory for this action.".to_string())),
            (None, GroupLists::Empty) => return Ok(json!({ "JobInstanceDetails": [] })),
            _ => {}
        }
        let from = self.number("StartTimestamp", self.now.as_millisecond() - 3_600_000)?;
        let until = self.number("EndTimestamp", self.now.as_millisecond())?;
        let status = self.value("Status");
        let (page, size) = self.page()?;
        let is_wanted = |run: &&SimRun| {
            let planned = run.schedule_time.as_millisecond();
            job.is_none_or(|job| run.job_id == job)
                && (from..=until).contains(&planned)
                && status.is_none_or(|status| status == run.status.to_string())
                && self.is_visible(group)
                && self.state.jobs.get(&run.job_id).is_none_or(|job| job.group == group)
        };
        let raw = self.state.raw.iter().filter_map(|text| serde_json::from_str(text).ok());
        let items = raw.chain(self.state.runs.values().filter(is_wanted).map(|run| self.item(run)));
        let rows: Vec<Value> = items.skip((page - 1) * size).take(size).collect();
        Ok(json!({ "JobInstanceDetails": rows }))
    }

    fn instance(&self) -> Result<Value, Refusal> {
        let run = self.run()?;
        let mut item = self.item(run);
        let name = self.state.jobs.get(&run.job_id).map(|job| job.name.as_str());
        item["JobName"] = json!(name.unwrap_or("removed_job"));
        item["Parameters"] = json!("PARAMETERCANARY");
        item["TraceId"] = json!("210e845016596663430048015d0a2c");
        Ok(json!({ "JobInstanceDetail": item }))
    }

    /// The run that a call names by group, job and instance.
    fn run(&self) -> Result<&SimRun, Refusal> {
        let (group, job) = (self.required("GroupId")?, self.required("JobId")?);
        let id = self.required("JobInstanceId")?;
        let mismatch = || (400, format!("jobid: {job} not match groupId: {group}"));
        let run = id.parse().ok().and_then(|id| self.state.runs.get(&std::cmp::Reverse(id)));
        let run = run.ok_or_else(|| (404, "the job instance does not exist".to_string()))?;
        let in_group = self.state.jobs.get(&run.job_id).is_none_or(|known| known.group == group);
        if run.job_id.to_string() == job && in_group && self.is_visible(group) { Ok(run) } else { Err(mismatch()) }
    }

    fn log(&self) -> Result<Value, Refusal> {
        if !self.config.has_logs {
            return Err((403, "the log service is not enabled for the application".to_string()));
        }
        let run = self.run()?;
        let from = self.number("StartTimestamp", self.now.as_millisecond() - 1_800_000)?;
        let until = self.number("EndTimestamp", self.now.as_millisecond())?;
        let lines = usize::try_from(self.number("Line", LINES_MAX as i64)?).unwrap_or(0).min(LINES_MAX);
        // All lines were written when the run ended.
        let written = run.end_time.unwrap_or(self.now).as_millisecond();
        let log: Vec<&String> =
            if (from..=until).contains(&written) { run.log.iter().rev().take(lines).collect() } else { Vec::new() };
        Ok(json!({ "Logs": log }))
    }

    /// A time string, which names no zone; empty for what has not happened.
    pub(super) fn time(&self, instant: Option<Timestamp>) -> String {
        let local = instant.map(|instant| instant.to_zoned(self.config.timezone.clone()));
        local.map_or_else(String::new, |local| local.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    fn item(&self, run: &SimRun) -> Value {
        let time = |instant| self.time(instant);
        json!({
            "InstanceId": run.id, "JobId": run.job_id, "Status": run.status, "Progress": "", "Result": run.result,
            "ScheduleTime": time(Some(run.schedule_time)), "DataTime": time(Some(run.schedule_time)),
            "StartTime": time(run.start_time), "EndTime": time(run.end_time),
            "Executor": "A", "TimeType": 1, "TriggerType": run.trigger, "WorkAddr": "192.168.0.0:16",
        })
    }
}
