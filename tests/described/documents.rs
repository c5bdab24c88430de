//! The descriptions of DolphinScheduler, DataWorks and XXL-JOB, whole, as `docs/sources` has them.

use nightbell::model::{InstanceType, Status};
use nightbell::sign::Signable;
use nightbell::sign::alibaba::{is_signed_by, parse};
use nightbell::source::SourceErrorKind;
use serde_json::{Value, json};

use super::service::{Asked, Service, Told, ok, told};
use super::{day, descriptions, listed, only, refused, source};

const DOLPHIN: &str = "https://dolphinscheduler.example.com";

/// A run as DolphinScheduler has it.
fn dolphin_run(id: u64, name: &str, state: &str, times: u64, code: &str) -> Value {
    let mut run = json!({
        "id": id, "name": format!("{name}-2-20261121080000123"), "state": state, "recovery": "NO", "runTimes": times,
        "startTime": "2026-11-21 08:00:05", "endTime": if state == "RUNNING_EXECUTION" { Value::Null } else { "2026-11-21 08:03:00".into() },
        "host": "10.0.0.7:5678", "commandType": "SCHEDULER", "scheduleTime": "2026-11-21 08:00:00", "executorName": "li.wei",
        "restartTime": if times > 1 { "2026-11-21 08:10:00".into() } else { Value::Null }, "duration": "2m 55s",
    });
    run[code] = json!(900 + id);
    run
}

/// Answers as 3.2 or 3.3 do: by pages of two, whatever size is asked for, as a server with a lower limit may.
fn dolphin(asked: &Asked, runs: &str, code: &str) -> Told {
    if asked.header("token") != "ds_token" {
        return told(401, "");
    }
    let list = format!("/dolphinscheduler/projects/1234567890123/{runs}");
    let success =
        |data: Value| ok(json!({ "code": 0, "msg": "success", "data": data, "failed": false, "success": true }));
    let all = [
        dolphin_run(1, "etl-orders", "FAILURE", 1, code),
        dolphin_run(2, "etl-users", "SUCCESS", 1, code),
        dolphin_run(3, "settlement", "RUNNING_EXECUTION", 1, code),
        dolphin_run(4, "again", "FAILURE", 2, code),
        dolphin_run(5, "odd", "DREAMING", 1, code),
    ];
    if asked.path == list {
        // The zone of the token's user: eight hours ahead.
        let window = (asked.get("startDate"), asked.get("endDate"));
        if window != ("2026-11-20 08:30:00", "2026-11-21 08:30:00") {
            return ok(json!({ "code": 10001, "msg": "request parameter startDate is not valid", "data": null }));
        }
        let page: usize = asked.get("pageNo").parse().unwrap();
        let rows: Vec<&Value> = all.iter().skip((page - 1) * 2).take(2).collect();
        return success(json!({ "totalList": rows, "total": 5, "totalPage": 3, "pageSize": 2, "currentPage": page }));
    }
    if let Some(rest) = asked.path.strip_prefix(&format!("{list}/")) {
        let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
        let run = all.iter().find(|run| format!("{}", run["id"]) == id);
        return match (run, what) {
            (None, _) => {
                ok(json!({ "code": 50001, "msg": format!("workflow instance {id} does not exist"), "data": null }))
            }
            (Some(run), "") => success(run.clone()),
            (Some(_), "tasks") => success(json!({ "workflowInstanceState": "FAILURE", "taskList": [
                { "id": 70, "name": "extract", "taskType": "SQL", "state": "SUCCESS", "retryTimes": 0,
                  "startTime": "2026-11-21 08:00:06", "endTime": "2026-11-21 08:01:00", "logPath": "/logs/70.log" },
                { "id": 71, "name": "load", "taskType": "SHELL", "state": "FAILURE", "retryTimes": 3,
                  "startTime": "2026-11-21 08:01:01", "endTime": "2026-11-21 08:03:00", "logPath": "/logs/71.log" },
            ] })),
            _ => told(404, "{}"),
        };
    }
    if asked.path == "/dolphinscheduler/log/detail" && asked.get("taskInstanceId") == "71" {
        return success(
            json!({ "lineNum": 2, "message": "loading\npassword=canary\nERROR 1045: table orders is missing\n" }),
        );
    }
    told(404, "{}")
}

#[tokio::test]
async fn dolphinscheduler_is_read_as_described_in_both_versions() {
    let documents = descriptions("dolphinscheduler.md");
    let versions = [("process-instances", "processDefinitionCode"), ("workflow-instances", "workflowDefinitionCode")];
    assert_eq!(documents.len(), versions.len());
    for (document, (runs, code)) in documents.iter().zip(versions) {
        let service = Service::start(move |asked| dolphin(asked, runs, code)).await;
        let source = source(document, DOLPHIN, &service);
        let listing = source.list(super::day()).await.unwrap();
        assert_eq!((listing.instances.len(), listing.requests, service.asked().len()), (5, 3, 3), "three pages of two");
        assert!(listing.coverage.is_whole());
        let failed = only(&listing, "etl-orders");
        assert_eq!((failed.id.as_str(), failed.status, failed.kind), ("1", Status::Fail, InstanceType::Scheduled));
        assert_eq!(failed.plan_time.unwrap().to_string(), "2026-11-21T00:00:00Z");
        assert_eq!(failed.job.id.as_deref(), Some("901"));
        assert_eq!(only(&listing, "settlement").end_time, None);
        let again = only(&listing, "again");
        assert_eq!((again.id.as_str(), again.name.as_deref()), ("4", Some("4 (attempt 2)")));
        assert_eq!(again.start_time.unwrap().to_string(), "2026-11-21T00:10:00Z", "a rerun has a start of its own");
        // A state that the description does not know is unknown and told, and never a success.
        assert_eq!(only(&listing, "odd").status, Status::Unknown);
        assert!(listing.coverage.set_aside[0].reason.contains("\"DREAMING\" is not in \"status_map\""));
        let gone = nightbell::model::Instance { id: "99".into(), ..failed.clone() };
        assert_eq!(source.detail(&gone).await.unwrap_err().kind, SourceErrorKind::NotFound);
        if runs == "process-instances" {
            let detail = source.detail(failed).await.unwrap();
            let failing: Vec<_> = detail.nodes.iter().filter(|node| node.status == Status::Fail).collect();
            assert_eq!((failing.len(), failing[0].name.as_str(), failing[0].retries), (1, "load", Some(3)));
            let error = detail.instance.error.unwrap();
            assert!(error.contains("table orders is missing") && !error.contains("canary"), "{error}");
            assert_eq!(detail.owner.as_deref(), Some("li.wei"));
            assert!(detail.url.unwrap().ends_with("/workflow/instances/1"));
        }
    }
}

#[tokio::test]
async fn what_dolphinscheduler_refuses_is_told_with_the_remedy() {
    let document = &descriptions("dolphinscheduler.md")[0];
    let table = [
        (told(401, ""), SourceErrorKind::Credentials, "HTTP 401", "auth"),
        (
            ok(json!({ "code": 30001, "msg": "user has no operation privilege", "data": null })),
            SourceErrorKind::Configuration,
            "30001: user has no operation privilege",
            "url",
        ),
        (
            ok(json!({ "code": 0, "msg": "success", "data": null })),
            SourceErrorKind::BadAnswer,
            "no list at /data/totalList",
            "items",
        ),
        (ok(json!({ "data": {} })), SourceErrorKind::BadAnswer, "does not say at /code", "url"),
        (told(200, "<html>sign in</html>"), SourceErrorKind::BadAnswer, "HTML", "url"),
        (told(502, "Bad Gateway"), SourceErrorKind::Transient, "HTTP 502: Bad Gateway", "next poll"),
    ];
    for (answer, kind, words, help) in table {
        let service = Service::start(move |_| answer.clone()).await;
        let error = refused(&*source(document, DOLPHIN, &service)).await;
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words) && error.help.as_deref().unwrap_or_default().contains(help), "{error:?}");
    }
}

/// Answers as DataWorks does: signed requests of one business date each.
fn dataworks(asked: &Asked) -> Told {
    let refuse =
        |code: &str, words: &str| told(400, json!({ "RequestId": "R-1", "Code": code, "Message": words }).to_string());
    let Some(claimed) = parse(asked.header("authorization")) else {
        return refuse("MissingAccessKeyId", "AccessKeyId is mandatory for this action.");
    };
    let query: Vec<(String, String)> = asked.query.clone().into_iter().collect();
    let signed = |name: &String| (name.clone(), asked.header(name).to_string());
    let headers: Vec<(String, String)> = claimed.signed_headers.iter().map(signed).collect();
    let signable =
        Signable { method: &asked.method, path: "/", query: &query, headers: &headers, body: asked.body.as_bytes() };
    let has_signed = |name: &str| claimed.signed_headers.iter().any(|signed| signed == name);
    if claimed.access_key != "alibaba_ak"
        || !is_signed_by(&signable, "alibaba_sk", &claimed.signature)
        || !["host", "x-acs-action", "x-acs-version", "x-acs-content-sha256"].into_iter().all(has_signed)
    {
        return refuse("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.");
    }
    if asked.header("x-acs-version") != "2024-05-18" {
        return refuse("InvalidVersion", "Specified parameter Version is not valid.");
    }
    let run = |id: u64, name: &str, status: &str, kind: &str| {
        json!({
            "Id": id, "TaskId": 500 + id, "TaskName": name, "Status": status, "WorkflowInstanceType": kind, "RunNumber": 1,
            "Owner": "1000", "TriggerTime": 1_795_219_200_000_u64, "StartedTime": 1_795_219_205_000_u64,
            "FinishedTime": if status == "Running" { Value::Null } else { json!(1_795_219_265_000_u64) },
        })
    };
    match asked.header("x-acs-action") {
        "ListTaskInstances" => {
            // Midnight in Shanghai on the 19th and on the 20th: the days before those that the window touches.
            let rows = match asked.get("Bizdate") {
                "1795017600000" => vec![run(1, "old", "Success", "Normal")],
                "1795104000000" => {
                    vec![run(2, "ods_orders", "Failure", "Normal"), run(3, "fill", "Running", "SupplementData")]
                }
                other => return refuse("InvalidParameter", &format!("Bizdate {other} is not valid")),
            };
            ok(
                json!({ "RequestId": "R-2", "PagingInfo": { "PageNumber": 1, "PageSize": 100, "TotalCount": rows.len(), "TaskInstances": rows } }),
            )
        }
        "GetTaskInstance" if asked.get("Id") == "2" => {
            ok(json!({ "RequestId": "R-3", "TaskInstance": run(2, "ods_orders", "Failure", "Normal") }))
        }
        "GetTaskInstanceLog" if asked.get("Id") == "2" => {
            ok(json!({ "TaskInstanceLog": "start\nODPS-0130131: table not found\n" }))
        }
        other => refuse("InvalidAction.NotFound", other),
    }
}

const DATAWORKS: &str = "https://dataworks.cn-hangzhou.aliyuncs.com";

#[tokio::test]
async fn dataworks_is_read_day_by_day_with_signed_calls_that_are_counted() {
    let document = &descriptions("dataworks.md")[0];
    let service = Service::start(dataworks).await;
    let night = source(document, DATAWORKS, &service);
    let listing = listed(&*night).await;
    assert_eq!((listing.instances.len(), listing.requests, service.asked().len()), (3, 2, 2), "one call a day");
    let failed = only(&listing, "ods_orders");
    assert_eq!(
        (failed.id.as_str(), failed.status, failed.plan_time.unwrap().to_string().as_str()),
        ("2", Status::Fail, "2026-11-21T00:00:00Z")
    );
    assert_eq!(only(&listing, "fill").kind, InstanceType::Backfill);
    let detail = night.detail(failed).await.unwrap();
    assert!(detail.instance.error.unwrap().contains("table not found"));
    assert_eq!((detail.owner.as_deref(), service.asked().len()), (Some("1000"), 2));
    assert!(night.learnt()["calls"].ends_with(":4"), "{:?}", night.learnt());
    // After a restart the calls of the day are still used.
    let again = source(document, DATAWORKS, &service);
    again.learn(&[("calls".to_string(), format!("{}:99", super::now().as_second() / 3600))].into());
    let error = refused(&*again).await;
    assert_eq!((error.kind, service.asked().len()), (SourceErrorKind::Throttled, 1), "{error}");
    assert!(error.message.contains("the 100 calls of a day are used up"), "{error}");
    let wrong = source(&document.replace("ALIBABA_SK", "OTHER_SK"), DATAWORKS, &service);
    let error = refused(&*wrong).await;
    assert!(error.message.contains("SignatureDoesNotMatch"), "{error}");
    let findings = source(document, DATAWORKS, &service).examine().await;
    let told = findings.iter().find(|finding| finding.question.starts_with("How often")).unwrap();
    assert!(told.answer.contains("one every 30 minutes"), "{told:?}");
    let config = super::configured(document, DATAWORKS, &service);
    let due = config.sources[0].poll.next_after(super::now()).unwrap();
    assert_eq!(due.to_string(), "2026-11-21T01:00:00Z", "the interval that 100 calls a day allow");
}

const XXL: &str = "https://xxl-job.example.com";

/// Answers as XXL-JOB's own page is answered.
fn xxl_job(asked: &Asked, cookie: &str) -> Told {
    if asked.path == "/xxl-job-admin/login" {
        let form = asked.form();
        if (form["userName"].as_str(), form["password"].as_str()) != ("xxl_user", "xxl_password") {
            return ok(json!({ "code": 500, "msg": "账号或密码错误", "content": null }));
        }
        let set = format!("XXL_JOB_LOGIN_IDENTITY={cookie}; Max-Age=2147483647; Path=/xxl-job-admin; HttpOnly");
        return ok(json!({ "code": 200, "msg": null, "content": null }))
            .header("set-cookie", "theme=dark")
            .header("set-cookie", set);
    }
    if asked.header("cookie") != format!("XXL_JOB_LOGIN_IDENTITY={cookie}") {
        return told(302, "").header("location", "/xxl-job-admin/toLogin");
    }
    let form = asked.form();
    let (start, length): (usize, usize) = (form["start"].parse().unwrap(), form["length"].parse().unwrap());
    let page = |all: Vec<Value>| {
        let rows: Vec<&Value> = all.iter().skip(start).take(length.min(2)).collect();
        ok(json!({ "recordsTotal": all.len(), "recordsFiltered": all.len(), "data": rows }))
    };
    match asked.path.as_str() {
        "/xxl-job-admin/joblog/pageList" if form["filterTime"] == "2026-11-20 08:30:00 - 2026-11-21 08:30:00" => {
            let run = |id: u64, job: u64, trigger: u64, handle: u64| {
                json!({
                    "id": id, "jobGroup": 1, "jobId": job, "triggerTime": "2026-11-21T00:00:00.000+00:00", "triggerCode": trigger,
                    "triggerMsg": "<br>>>>触发调度<br>", "handleTime": if handle == 0 { Value::Null } else { "2026-11-21T00:01:00.000+00:00".into() },
                    "handleCode": handle, "handleMsg": if handle == 500 { "java.lang.NullPointerException" } else { "" },
                })
            };
            page(vec![run(1, 7, 200, 200), run(2, 7, 200, 500), run(3, 8, 200, 0), run(4, 9, 500, 0)])
        }
        "/xxl-job-admin/jobinfo/pageList" => {
            page(vec![json!({ "id": 7, "jobDesc": "结算" }), json!({ "id": 8, "jobDesc": "etl_orders" })])
        }
        _ => told(500, "{\"code\":500}"),
    }
}

#[tokio::test]
async fn xxl_job_is_read_with_the_cookie_of_a_sign_in_and_the_names_of_its_jobs() {
    let document = &descriptions("xxl-job.md")[0];
    let service = Service::start(|asked| xxl_job(asked, "0a1b2c3d")).await;
    let night = source(document, XXL, &service);
    let listing = listed(&*night).await;
    let told: Vec<_> =
        listing.instances.iter().map(|run| (run.id.as_str(), run.job.name.as_str(), run.status)).collect();
    let expected = [
        ("1", "结算", Status::Success),
        ("2", "结算", Status::Fail),
        ("3", "etl_orders", Status::Running),
        // A job that is in no list any more keeps its id for a name.
        ("4", "9", Status::Fail),
    ];
    assert_eq!(told, expected);
    assert_eq!(listing.instances[1].error.as_deref(), Some("java.lang.NullPointerException"));
    let asked = service.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.rsplit("admin/").next().unwrap()).collect();
    assert_eq!(paths, ["login", "joblog/pageList", "joblog/pageList", "joblog/pageList", "jobinfo/pageList"]);
    listed(&*night).await;
    assert_eq!(service.asked().len(), 4, "no second sign-in; the unknown job has the names read again");
    let wrong = source(&document.replace("XXL_PASSWORD", "OTHER"), XXL, &service);
    for _ in 0..2 {
        let error = refused(&*wrong).await;
        assert_eq!(error.kind, SourceErrorKind::Credentials);
        assert!(
            error.message.contains("gave no cookie XXL_JOB_LOGIN_IDENTITY") && error.message.contains("账号或密码错误"),
            "{error}"
        );
    }
    assert_eq!(service.asked().len(), 1, "a refused password is not tried at every poll");
}

/// A name that is not in a list of names which is not whole may be any: no run is missed meanwhile.
#[tokio::test]
async fn a_list_of_names_that_is_not_whole_leaves_open_whose_run_it_is() {
    let service = Service::start(|asked| match asked.path.as_str() {
        "/xxl-job-admin/jobinfo/pageList" => {
            // A page begins with the last row of the one before.
            let rows = [json!({ "id": 7, "jobDesc": "结算" }), json!({ "id": 8, "jobDesc": "etl_orders" })];
            let first = usize::from(asked.form()["start"] != "0");
            ok(json!({ "recordsTotal": 3, "data": &rows[first..] }))
        }
        _ => xxl_job(asked, "0a1b2c3d"),
    })
    .await;
    let night = source(&descriptions("xxl-job.md")[0], XXL, &service);
    let coverage = night.list(day()).await.unwrap().coverage;
    assert!(coverage.is_whole() && coverage.may_miss("nightly", |_| true), "{coverage:?}");
    assert!(coverage.reasons()[0].contains("the list of jobs is not whole"), "{:?}", coverage.reasons());
}

/// A cookie that has ended leads to the sign-in's page: it is renewed once, at once.
#[tokio::test]
async fn a_cookie_that_has_ended_is_renewed() {
    let cookie = std::sync::Arc::new(std::sync::Mutex::new("first".to_string()));
    let current = std::sync::Arc::clone(&cookie);
    let service = Service::start(move |asked| xxl_job(asked, &current.lock().unwrap().clone())).await;
    let night = source(&descriptions("xxl-job.md")[0], XXL, &service);
    listed(&*night).await;
    service.asked();
    *cookie.lock().unwrap() = "second".to_string();
    listed(&*night).await;
    let paths: Vec<_> =
        service.asked().iter().map(|asked| asked.path.rsplit('/').next().unwrap().to_string()).collect();
    assert_eq!(paths[..3], ["pageList", "login", "pageList"]);
}
