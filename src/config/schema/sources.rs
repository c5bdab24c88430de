//! The keys under `sources`.

use serde_json::{Map, Value};

use super::values::{
    Key, duration, flag, key, labels, mapping, must, named, needing_one_of, number, path, schedule, secret, text,
    texts, word, zone,
};
use super::{by_type, huawei_auth};
use crate::source::KINDS;

/// The mapping of names to sources.
pub(super) fn all() -> Value {
    let mut all = named(by_type("A connection to one scheduler.", "source", &KINDS));
    all["minProperties"] = 1.into();
    all
}

/// What every source has.
fn common(kind: &str) -> Vec<Key> {
    vec![
        must("type", word(&[kind]), "The kind of scheduler."),
        key(
            "poll",
            schedule(),
            "When it is asked: a crontab line of five fields; six put seconds first. Default: * * * * *",
        ),
        key("lookback", duration(), "How far back each poll looks, by plan time; default 24h, at most 7d."),
        key(
            "first_poll",
            duration(),
            "On the very first poll, failures older than this are recorded and not told. Default: 1h.",
        ),
        key("labels", labels(), "Texts by name, for what its jobs raise: { team: finance }."),
        key("ca_file", path(), "A certificate authority to trust beside the system's (PEM)."),
    ]
}

pub(super) fn definitions() -> Map<String, Value> {
    let places: [&[&str]; 2] = [&["region"], &["endpoint"]];
    let all = [("source_dataarts", dataarts()), ("source_schedulerx", schedulerx())];
    all.into_iter().map(|(name, value)| (name.to_string(), needing_one_of(value, &places))).collect()
}

fn dataarts() -> Value {
    let own = [
        key("region", text(), "The region, ap-southeast-3 say; or name an endpoint."),
        key("endpoint", text(), "Instead of the region's own host: private clouds, proxies."),
        must("project_id", secret(), "The project's id."),
        key("workspace", text(), "The workspace's id; without it, the default workspace."),
        key("jobs", texts(), "Read only these jobs, by their exact names; without it, the whole workspace."),
        key("requests_per_second", number(), "The pace of requests. Default: 2."),
        must("auth", huawei_auth(), "How requests prove who asks: keys, a token, or a user."),
    ];
    mapping("A workspace of Huawei Cloud DataArts Factory.", common("dataarts").into_iter().chain(own))
}

fn schedulerx() -> Value {
    let auth = mapping(
        "The keys of a RAM user.",
        [
            must("access_key", secret(), "The AccessKey's id."),
            must("secret_key", secret(), "The AccessKey's secret."),
            key("security_token", secret(), "Comes with temporary (STS) keys."),
        ],
    );
    let own = [
        key("region", text(), "The region, cn-hangzhou say; or name an endpoint."),
        key("endpoint", text(), "Instead of the region's own host: VPC, proxies."),
        must("namespace", text(), "The namespace's id."),
        must("groups", texts(), "The groups' ids (\"application id\" in the console)."),
        key("jobs", texts(), "Ids of the jobs to listen to; without it, all jobs of the groups."),
        key("workflows", flag(), "Also tell of workflows, the runs of their jobs as nodes (Professional edition)."),
        must("auth", auth, "The keys of a RAM user who may read the groups."),
        key("timezone", zone(), "The zone of the service's time strings. Default: Asia/Shanghai."),
    ];
    mapping("Groups of Alibaba Cloud SchedulerX.", common("schedulerx").into_iter().chain(own))
}
