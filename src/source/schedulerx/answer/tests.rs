//! The documents' example answers, and odd ones, as tables.

use super::*;

const GET_JOB_INSTANCE: &str = include_str!("../../../../tests/data/schedulerx/get-job-instance.json");

fn zone() -> TimeZone {
    TimeZone::get("Asia/Shanghai").unwrap()
}

fn row(fields: &str) -> Row {
    let data = format!(r#"{{"JobInstanceDetails":[{{"InstanceId":1,"JobId":2,{fields}}}]}}"#);
    read_rows(&data, &zone()).unwrap().remove(0).unwrap()
}

#[test]
fn the_documented_detail_is_a_success_in_spite_of_its_message() {
    let envelope = Envelope::read(GET_JOB_INSTANCE).unwrap();
    assert_eq!((envelope.success, envelope.code.as_deref()), (Some(true), Some("200")));
    assert!(envelope.message.unwrap().contains("not match"));
    let row = read_detail(envelope.data.unwrap().get(), &zone()).unwrap().unwrap();
    assert_eq!(
        (row.id.as_str(), row.job_id.as_str(), row.job_name.as_deref()),
        ("11111111", "92583", Some("ManualJob"))
    );
    assert_eq!((row.status, row.raw_status.as_str(), row.kind), (Status::Success, "4 success", InstanceType::Manual));
    let time: Timestamp = "2020-07-27T03:52:10Z".parse().unwrap();
    assert_eq!((row.plan_time, row.start_time, row.end_time), (Some(time), Some(time), Some(time)));
    // "success" is no failure text.
    assert_eq!(row.error, None);
}

#[test]
fn envelopes_of_every_shape_are_read() {
    for (text, success) in [
        (r#"{"Success":true}"#, Some(true)),
        (r#"{"Success":"true","Code":"200"}"#, Some(true)),
        (r#"{"Success":false,"Code":400}"#, Some(false)),
        (r#"{"Success":null}"#, None),
        (r#"{"Success":1}"#, None),
        (r#"{"Data":[]}"#, None),
        (r#"{"Code":"Throttling.User","Message":"x","HostId":"h"}"#, None),
    ] {
        assert_eq!(Envelope::read(text).unwrap().success, success, "{text}");
    }
    for text in ["", "{", "[]", "1", "nonsense", r#"{"Success":true,"Success":false}"#] {
        assert!(Envelope::read(text).is_err(), "{text}");
    }
}

#[test]
fn times_are_read_in_the_zone_or_not_at_all() {
    let known: Timestamp = "2020-07-27T03:52:10Z".parse().unwrap();
    for text in ["2020-07-27 11:52:10", "2020-07-27T11:52:10", " 2020-07-27 11:52:10 ", "2020-07-27T03:52:10Z"] {
        assert_eq!(read_time(text, &zone()), Some(known), "{text}");
    }
    for text in ["", "-", "null", "2020-07-27 25:00:00", "1970-01-01 00:00:00", "0000-00-00 00:00:00", "soon"] {
        assert_eq!(read_time(text, &zone()), None, "{text}");
    }
}

#[test]
fn a_row_tells_its_failure_and_no_stale_end() {
    let failed = row(
        r#""Status":5,"Result":"code=500 password=canary","StartTime":"2020-07-27 11:52:10","EndTime":"2020-07-27 11:52:40""#,
    );
    assert_eq!((failed.status, failed.raw_status.as_str()), (Status::Fail, "5 failed"));
    assert_eq!(failed.error.as_deref(), Some("code=500 password=<redacted>"));
    let again = row(r#""Status":"3","Result":"old","EndTime":"2020-07-27 11:52:40""#);
    assert_eq!((again.status, again.end_time, again.error), (Status::Running, None, None));
    let odd = row(r#""Status":42,"TriggerType":77,"StartTime":null,"EndTime":"""#);
    assert_eq!((odd.status, odd.raw_status.as_str(), odd.kind), (Status::Unknown, "42", InstanceType::Unknown));
}

#[test]
fn an_odd_row_costs_only_itself() {
    let data = r#"{"JobInstanceDetails":[
        {"InstanceId":9007199254740993,"JobId":"2","Status":4},
        {"JobId":2,"Status":4}, {"InstanceId":1,"Status":4}, {"InstanceId":1,"JobId":2}, {"InstanceId":1.5,"JobId":2,"Status":4},
        7, null, {"InstanceId":1,"InstanceId":2,"JobId":2,"Status":4},
        {"InstanceId":"abc","JobId":2,"Status":5,"Result":{"a":1}}]}"#;
    let rows = read_rows(data, &zone()).unwrap();
    let ids: Vec<_> = rows.iter().filter_map(|row| Some(row.as_ref().ok()?.id.as_str())).collect();
    assert_eq!((rows.len(), ids), (9, vec!["9007199254740993", "abc"]));
    for data in ["null", "{}", r#"{"JobInstanceDetails":null}"#, r#"{"JobInstanceDetails":[]}"#] {
        assert_eq!(read_rows(data, &zone()).unwrap().len(), 0, "{data}");
    }
    for data in ["[]", "7", r#"{"JobInstanceDetails":{"a":1}}"#] {
        assert!(read_rows(data, &zone()).is_err(), "{data}");
    }
}

#[test]
fn lists_of_jobs_and_groups_are_read_without_keys_and_contacts() {
    let jobs = r#"{"Jobs":[{"JobId":92583,"Name":"load","Status":1,"JobMonitorInfo":{"ContactInfo":[{"UserPhone":"canary"}]}},
        {"JobId":2,"Name":"off","Status":"0"},{"JobId":3}],"PageNumber":1,"PageSize":100,"Total":3}"#;
    let (rows, count, total) = read_jobs(jobs).unwrap();
    assert_eq!((rows.len(), count, total), (2, 3, Some(3)));
    assert_eq!((rows[0].name.as_str(), rows[0].is_enabled, rows[1].is_enabled), ("load", true, false));
    assert!(!format!("{rows:?}").contains("canary"));
    let groups = r#"{"AppGroups":[{"GroupId":"a.group","AppKey":"canary","AppGroupId":7},{"AppKey":"x"}]}"#;
    assert_eq!(read_groups(groups).unwrap(), ["a.group"]);
    assert_eq!(read_groups("null").unwrap(), Vec::<String>::new());
    assert!(read_groups(r#"{"AppGroups":"canary"}"#).is_err());
}

#[test]
fn a_log_is_lines_or_nothing() {
    assert_eq!(read_log(r#"{"Logs":["b","a"]}"#), ["b", "a"]);
    for data in ["null", "{}", r#"{"Logs":7}"#, "[]"] {
        assert!(read_log(data).is_empty(), "{data}");
    }
}
