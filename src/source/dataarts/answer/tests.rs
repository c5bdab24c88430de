//! Bodies as the documents show them, and as no document does.

use crate::limits::ANSWER_KEPT_BYTES_MAX;
use std::time::Duration;

use super::*;
use crate::limits::INSTANCE_ERROR_BYTES_MAX;
use crate::model::InstanceType::{Backfill, Manual, Unknown as UnknownType};

fn page(body: &str) -> Result<paging::Page<Item>, String> {
    read_page(&"warehouse".into(), body.as_bytes())
}

fn read(body: &str) -> (Vec<Instance>, Vec<SetAside>) {
    let (mut read, mut aside) = (Vec::new(), Vec::new());
    for item in page(body).unwrap().rows {
        match item {
            Item::Read(instance) => read.push(instance),
            Item::SetAside(item) => aside.push(item),
        }
    }
    (read, aside)
}

/// A list of one item: the least that is needed, and `fields`, which may name the same keys again in the other dialect.
fn one(fields: &str) -> Instance {
    let body = format!("{{\"total\":1,\"instances\":[{{\"jobName\":\"j\",\"instanceId\":1{fields}}}]}}");
    let (mut read, aside) = read(&body);
    assert_eq!(aside, [], "{body}");
    read.remove(0)
}

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/data/dataarts/", $name))
    };
}

#[test]
fn the_documents_example_lists_are_read() {
    type Row<'a> = (&'a str, &'a str, Status, InstanceType, u64);
    let tables: [(&str, &[Row<'_>]); 3] = [
        (
            data!("list-2024.json"),
            &[
                ("34765", "job_batch", Status::Success, Manual, 18),
                ("34764", "job_batch", Status::Success, Backfill, 17),
            ],
        ),
        (
            data!("list-2021-batch.json"),
            &[
                ("34765", "job_batch", Status::Success, UnknownType, 18),
                ("34764", "job_batch", Status::Success, UnknownType, 17),
            ],
        ),
        (
            data!("list-2021-realtime.json"),
            &[
                ("30654", "job_sms_DLI_SMS_PROCESS", Status::Fail, UnknownType, 60),
                ("28960", "job_sms_DLI_SMS_PROCESS", Status::Fail, UnknownType, 30),
            ],
        ),
    ];
    for (body, rows) in tables {
        assert_eq!(page(body).unwrap().total, Some(2));
        let (instances, aside) = read(body);
        assert_eq!((instances.len(), aside.len()), (rows.len(), 0));
        for (instance, (id, job, status, kind, seconds)) in instances.iter().zip(rows) {
            assert_eq!((instance.id.as_str(), instance.job.name.as_str()), (*id, *job));
            assert_eq!((instance.status, instance.kind), (*status, *kind), "{id}");
            // From the times, whatever executeTime or exeTime say.
            let long_after = "2026-11-21T00:00:00Z".parse().unwrap();
            assert_eq!(instance.duration(long_after), Some(Duration::from_secs(*seconds)), "{id}");
        }
    }
    let (instances, _) = read(data!("list-2024.json"));
    assert_eq!(instances[0].job.id.as_deref(), Some("608627"));
    assert_eq!(instances[0].name.as_deref(), Some("job_batch"));
    assert_eq!(instances[0].plan_time, Some("2019-03-04T03:53:00Z".parse().unwrap()));
}

#[test]
fn the_documents_example_detail_is_read_verbatim() {
    let mut asked = one(",\"status\":\"running\",\"jobId\":608627,\"planTime\":1551425326540");
    asked.id = "34765".to_string();
    let detail = read_detail(&asked, data!("detail-2024.json").as_bytes()).unwrap();
    let instance = &detail.instance;
    assert_eq!((instance.status, instance.raw_status.as_str()), (Status::Fail, "fail"));
    assert_eq!(instance.duration(instance.end_time.unwrap()), Some(Duration::from_secs(60)));
    assert_eq!(instance.job.id.as_deref(), Some("608627"), "what the detail does not tell stays");
    let time = |milliseconds| Some(jiff::Timestamp::from_millisecond(milliseconds).unwrap());
    let node = |name: &str, kind: &str, start, end, log_path: Option<&str>| Node {
        name: name.to_string(),
        kind: Some(kind.to_string()),
        status: Status::Success,
        raw_status: "success".to_string(),
        retries: Some(0),
        start_time: time(start),
        end_time: time(end),
        log_path: log_path.map(str::to_string),
        log_tail: None,
    };
    let log_path = "obs://dlf-test-log/job_batch/2019-03-04 11_53_00.000/error/error.job";
    let expected = [
        node("Dummy_8556", "Dummy", 1551671584000, 1551671590000, None),
        node("error", "DWS SQL", 1551671594000, 1551671598000, Some(log_path)),
    ];
    assert_eq!(detail.nodes, expected);
}

#[test]
fn a_run_that_was_started_again_loses_its_end() {
    let asked = one(",\"status\":\"fail\",\"startTime\":1551671580000,\"endTime\":1551671598000");
    let detail = |body: &str| read_detail(&asked, body.as_bytes()).unwrap().instance;
    let again = detail(r#"{"status":"running","startTime":1551671700000}"#);
    assert_eq!((again.status, again.end_time), (Status::Running, None));
    let ended = detail(r#"{"status":"fail"}"#);
    assert_eq!((ended.start_time, ended.end_time), (asked.start_time, asked.end_time));
}

#[test]
fn both_dialects_mean_the_same() {
    let camel = one(
        r#","status":"success","jobInstanceName":"n","jobId":"7","instanceType":0,"planTime":1551671580000,"startTime":1551671581000,"endTime":1551671582000"#,
    );
    let snake = r#"{"total":1,"instances":[{"job_name":"j","instance_id":"1","status":"success","job_instance_name":"n",
        "job_id":7,"instance_type":"0","plan_time":1551671580000,"start_time":"1551671581000","end_time":1551671582000,
        "execute_time":4000,"submit_time":null}]}"#;
    assert_eq!(read(snake).0, [camel]);
}

#[test]
fn a_failure_text_keeps_its_lines_and_is_cut() {
    let one = |field: &str| one(&format!(r#","status":"fail",{field}"#));
    assert_eq!(one(r#""errorMessage": " line 1\nline 2 ""#).error.as_deref(), Some("line 1\nline 2"));
    assert_eq!(one(r#""error_message": "snake""#).error.as_deref(), Some("snake"));
    for nothing in [r#""errorMessage": null"#, r#""errorMessage": """#, r#""errorMessage": {"a": 1}"#, r#""x": 1"#] {
        assert_eq!(one(nothing).error, None, "{nothing}");
    }
    let long = one(&format!(r#""errorMessage": "{}""#, "错".repeat(10_000))).error.unwrap();
    assert!(long.len() <= INSTANCE_ERROR_BYTES_MAX && long.ends_with('…'), "{}", long.len());
}

#[test]
fn every_status_word_has_its_meaning() {
    for (fields, status) in [
        (r#""waiting""#, Status::Waiting),
        (r#""waiting-confirm""#, Status::Waiting),
        (r#""initialized""#, Status::Waiting),
        (r#""running""#, Status::Running),
        (r#""success""#, Status::Success),
        (r#""success","forceSuccess":true"#, Status::ForcedSuccess),
        (r#""success","ignoreSuccess":true"#, Status::IgnoredFailure),
        (r#""success","force_success":true,"ignore_success":true"#, Status::ForcedSuccess),
        (r#""success","forceSuccess":false,"ignoreSuccess":null"#, Status::Success),
        (r#""fail","ignoreSuccess":true"#, Status::Fail),
        (r#""forceSuccess""#, Status::ForcedSuccess),
        (r#""ignoreSuccess""#, Status::IgnoredFailure),
        (r#""fail""#, Status::Fail),
        (r#""running-exception""#, Status::RunningException),
        (r#""pause""#, Status::Pause),
        (r#""manual-stop""#, Status::ManualStop),
        (r#""manual""#, Status::ManualStop),
        (r#""skip""#, Status::Skip),
        (r#""skip-by-depend""#, Status::Skip),
        (r#""freeze""#, Status::Freeze),
        (r#""rejected""#, Status::Rejected),
        (r#""successful""#, Status::Unknown),
        (r#""成功""#, Status::Unknown),
        ("5", Status::Unknown),
    ] {
        assert_eq!(one(&format!(",\"status\":{fields}")).status, status, "{fields}");
    }
    assert_eq!(one(",\"status\":\"Paused by moon\"").raw_status, "Paused by moon");
}

#[test]
fn ids_beyond_two_to_the_53rd_stay_exact_as_numbers_and_as_strings() {
    let body = r#"{"total":3,"instances":[
        {"jobName":"a","instanceId":9007199254740993,"status":"fail","jobId":9007199254740995},
        {"jobName":"a","instanceId":"9007199254740992","status":"fail","jobId":"9007199254740997"},
        {"jobName":"a","instanceId":340282366920938463463374607431768211457,"status":"fail"}]}"#;
    let (instances, _) = read(body);
    let ids: Vec<_> = instances.iter().map(|instance| instance.id.as_str()).collect();
    assert_eq!(ids, ["9007199254740993", "9007199254740992", "340282366920938463463374607431768211457"]);
    assert_eq!(instances[0].job.id.as_deref(), Some("9007199254740995"));
    assert_eq!(instances[1].job.id.as_deref(), Some("9007199254740997"));
}

#[test]
fn odd_values_of_fields_that_do_not_matter_cost_nothing() {
    for fields in [
        r#","executeTime":0.3"#,
        r#","executeTime":"1e999","exeTime":{},"version":[[]],"x":{"y":null}"#,
        r#","executeTime":null,"planTime":null,"startTime":0,"endTime":-1,"instanceType":"9","jobId":null"#,
        r#","planTime":{},"startTime":[],"endTime":false,"jobId":{},"jobInstanceName":7,"instanceType":null"#,
    ] {
        let instance = one(&format!(",\"status\":\"fail\"{fields}"));
        assert_eq!(instance.duration("2026-11-21T00:00:00Z".parse().unwrap()), None, "{fields}");
        assert_eq!((instance.kind, instance.plan_time), (UnknownType, None), "{fields}");
    }
}

#[test]
fn a_bad_item_is_set_aside_and_the_rest_is_read() {
    let good = r#"{"jobName":"a","instanceId":1,"status":"fail"}"#;
    for (bad, reason) in [
        (r#"{"jobName":"b","status":"fail"}"#, "no instance id"),
        (r#"{"jobName":"b","instanceId":{},"status":"fail"}"#, "no instance id"),
        (r#"{"jobName":"b","instanceId":1.5,"status":"fail"}"#, "no instance id"),
        (r#"{"instanceId":2,"status":"fail"}"#, "no job name"),
        (r#"{"jobName":"","instanceId":2,"status":"fail"}"#, "no job name"),
        (r#"{"jobName":["b"],"instanceId":2,"status":"fail"}"#, "no job name"),
        (r#"{"jobName":"\ud800","instanceId":2,"status":"fail"}"#, "no job name"),
        (r#"{"jobName":"b","instanceId":2}"#, "no status"),
        (r#"{"jobName":"b","instanceId":2,"status":null}"#, "no status"),
        (r#"{"jobName":"b","instanceId":2,"instanceId":3,"status":"fail"}"#, "twice"),
        ("null", "not an object"),
        ("[1,2]", "not an object"),
        ("\"text\"", "not an object"),
        ("3.5", "not an object"),
    ] {
        let body = format!("{{\"total\":3,\"instances\":[{good},{bad},{good}]}}");
        let (instances, aside) = read(&body);
        assert_eq!(instances.len(), 2, "{bad}");
        assert_eq!(aside.len(), 1, "{bad}");
        assert!(aside[0].reason.contains(reason), "{bad}: {}", aside[0].reason);
        assert_eq!(aside[0].snippet, bad);
    }
    let huge = format!(r#"{{"total":1,"instances":[{{"instanceId":"{}"}}]}}"#, "9".repeat(5000));
    assert!(read(&huge).1[0].snippet.len() <= ANSWER_KEPT_BYTES_MAX);
}

#[test]
fn an_item_whose_bytes_are_no_text_is_set_aside() {
    let mut body = br#"{"total":2,"instances":[{"jobName":"a","instanceId":1,"status":"fail"},{"jobName":"b"#.to_vec();
    body.extend(b"\xff\xfe\",\"instanceId\":2,\"status\":\"fail\"}]}");
    let rows = read_page(&"warehouse".into(), &body).unwrap().rows;
    assert!(matches!(&rows[0], Item::Read(instance) if instance.job.name == "a"));
    assert!(matches!(&rows[1], Item::SetAside(item) if item.reason == "not valid UTF-8"));
}

#[test]
fn long_names_are_cut_between_characters_and_marked() {
    let name = "数".repeat(1000);
    let instance = one(&format!(",\"status\":\"fail\",\"jobInstanceName\":\"{name}\""));
    let kept = instance.name.unwrap();
    assert!(kept.len() <= FIELD_BYTES_MAX && kept.len() > FIELD_BYTES_MAX - 4, "{}", kept.len());
    assert!(kept.ends_with("数…"));
}

#[test]
fn escapes_in_names_and_keys_are_undone() {
    let body = r#"{"total":1,"instances":[{"job\u004eame":"a\"\\\n\u65e5\ud83d\ude00","instanceId":"\u0031","status":"fail"}]}"#;
    let (instances, _) = read(body);
    assert_eq!((instances[0].job.name.as_str(), instances[0].id.as_str()), ("a\"\\\n日😀", "1"));
}

#[test]
fn what_is_no_list_is_an_error_that_says_so() {
    let deep = format!("{{\"total\":1,\"instances\":{}", "[".repeat(100_000));
    let deep_item = format!("{{\"total\":1,\"instances\":[{{\"x\":{}1{}}}]}}", "[".repeat(100), "]".repeat(100));
    for (body, words) in [
        ("", "empty"),
        (" \n", "empty"),
        ("<!DOCTYPE html><title>Sign in</title>", "HTML page?): <!DOCTYPE html><title>Sign in</title>"),
        ("\n <html>", "HTML page?"),
        ("nothing", "not JSON: nothing"),
        ("{\"total\":2,\"instances\":[{\"jobName\":\"a\"", "breaks off after 38 bytes"),
        ("{\"total\":2}", "no list of instances"),
        ("{}", "no list of instances"),
        ("{\"total\":1,\"instances\":null}", "no list of instances"),
        ("[]", "another shape"),
        ("{\"total\":1,\"instances\":{}}", "another shape"),
        ("{\"total\":1,\"instances\":[NaN]}", "not JSON"),
        ("{\"total\":1,\"instances\":[]} x", "not JSON"),
        (deep.as_str(), "nested deeper than 64"),
        (deep_item.as_str(), "nested deeper than 64"),
    ] {
        let error = page(body).unwrap_err();
        assert!(error.contains(words), "{:?}: {error}", &body[..body.len().min(60)]);
        assert!(error.len() < 700, "{error}");
    }
}

#[test]
fn totals_that_are_no_count_are_unknown_and_empty_lists_are_lists() {
    for (body, total) in [
        (r#"{"total":0,"instances":[]}"#, Some(0)),
        (r#"{"total":0,"instances":null}"#, Some(0)),
        (r#"{"total":0}"#, Some(0)),
        (r#"{"total":"12","instances":[]}"#, Some(12)),
        (r#"{"instances":[]}"#, None),
        (r#"{"total":null,"instances":[]}"#, None),
        (r#"{"total":-1,"instances":[]}"#, None),
        (r#"{"total":1.5,"instances":[]}"#, None),
        (r#"{"total":[],"instances":[]}"#, None),
        ("\u{feff}{\"total\":0,\"instances\":[]}", Some(0)),
    ] {
        assert_eq!(page(body).unwrap().total, total, "{body}");
    }
}

#[test]
fn brackets_inside_strings_do_not_nest() {
    let body =
        format!(r#"{{"total":1,"instances":[{{"jobName":"{}\"","instanceId":1,"status":"fail"}}]}}"#, "[".repeat(500));
    assert_eq!(read(&body).0.len(), 1);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = read_page(&"warehouse".into(), &body);
        let _ = read_detail(&one(",\"status\":\"fail\""), &body);
    }

    #[test]
    fn no_change_of_a_byte_makes_it_panic(at in 0..400usize, byte in proptest::prelude::any::<u8>()) {
        let mut body = data!("list-2024.json").as_bytes().to_vec();
        let at = at % body.len();
        body[at] = byte;
        let _ = read_page(&"warehouse".into(), &body);
    }
}
