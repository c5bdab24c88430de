//! The descriptions of Databricks, Dagster and Kestra, whole, as `docs/sources` has them.

use nightbell::model::{InstanceType, Status};
use nightbell::source::SourceErrorKind;
use serde_json::{Value, json};

use super::service::{Asked, Service, Told, ok, told};
use super::{descriptions, listed, only, refused, source};

const DATABRICKS: &str = "https://dbc-a1b2c3d4.cloud.databricks.com";

/// A run as Databricks has it.
fn databricks_run(id: u64, name: &str, life: &str, result: Option<&str>) -> Value {
    let mut state = json!({ "life_cycle_state": life, "state_message": "", "user_cancelled_or_timedout": false });
    if let Some(result) = result {
        state["result_state"] = result.into();
    }
    if result == Some("FAILED") {
        state["state_message"] = "Task load failed with message: Workload failed".into();
    }
    json!({
        "job_id": 11_223_344, "run_id": id, "run_name": name, "state": state, "start_time": 1_795_219_200_000_u64,
        "end_time": if result.is_some() { 1_795_219_260_000_u64 } else { 0 }, "trigger": "PERIODIC", "run_type": "JOB_RUN",
        "creator_user_name": "li.wei@example.com", "run_page_url": format!("https://dbc-a1b2c3d4.cloud.databricks.com/?o=1#job/11223344/run/{id}"),
    })
}

fn databricks(asked: &Asked) -> Told {
    if asked.path == "/oidc/v1/token" {
        let form = asked.form();
        let is_right = asked.header("authorization")
            == "Basic ZGF0YWJyaWNrc19jbGllbnRfaWQ6ZGF0YWJyaWNrc19jbGllbnRfc2VjcmV0"
            && form["grant_type"] == "client_credentials"
            && form["scope"] == "all-apis";
        return match is_right {
            true => ok(json!({ "access_token": "eyJ.granted", "token_type": "Bearer", "expires_in": 3600 })),
            false => told(401, json!({ "error": "invalid_client" }).to_string()),
        };
    }
    if asked.header("authorization") != "Bearer eyJ.granted" {
        return told(403, json!({ "error_code": "PERMISSION_DENIED", "message": "Invalid access token." }).to_string());
    }
    let failed = databricks_run(9_007_199_254_740_993, "etl_orders", "TERMINATED", Some("FAILED"));
    match asked.path.as_str() {
        "/api/2.2/jobs/runs/list" => {
            if asked.get("start_time_from") != "1795134600000" || asked.get("start_time_to") != "1795221000000" {
                return told(
                    400,
                    json!({ "error_code": "INVALID_PARAMETER_VALUE", "message": "start_time_from" }).to_string(),
                );
            }
            let (rows, next) = match asked.get("page_token") {
                "" if asked.query.contains_key("page_token") => return told(400, "{}"),
                "" => (vec![failed, databricks_run(2, "etl_users", "TERMINATED", Some("SUCCESS"))], Some("CAEQ")),
                "CAEQ" => (vec![databricks_run(3, "stream", "RUNNING", None)], None),
                _ => {
                    return told(
                        400,
                        json!({ "error_code": "INVALID_PARAMETER_VALUE", "message": "page_token" }).to_string(),
                    );
                }
            };
            let mut body = json!({ "runs": rows, "has_more": next.is_some() });
            if let Some(next) = next {
                body["next_page_token"] = next.into();
            }
            ok(body)
        }
        "/api/2.2/jobs/runs/get" if asked.get("run_id") == "9007199254740993" => {
            let mut run = failed;
            let task = |key: &str, result: &str| {
                json!({
                    "run_id": 70, "task_key": key, "attempt_number": 1, "start_time": 1_795_219_200_000_u64, "end_time": 1_795_219_260_000_u64,
                    "state": { "life_cycle_state": "TERMINATED", "result_state": result }, "run_page_url": format!("https://example.com/{key}"),
                })
            };
            run["tasks"] = json!([task("extract", "SUCCESS"), task("load", "FAILED")]);
            ok(run)
        }
        _ => {
            told(404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run does not exist." }).to_string())
        }
    }
}

#[tokio::test]
async fn databricks_is_read_with_a_client_s_token_and_page_tokens() {
    let document = &descriptions("databricks.md")[0];
    let service = Service::start(databricks).await;
    let night = source(document, DATABRICKS, &service);
    let listing = listed(&*night).await;
    assert_eq!((listing.instances.len(), listing.requests, service.asked().len()), (3, 2, 3), "a token and two pages");
    let failed = only(&listing, "etl_orders");
    assert_eq!(
        (failed.id.as_str(), failed.status, failed.kind),
        ("9007199254740993", Status::Fail, InstanceType::Scheduled)
    );
    assert_eq!((only(&listing, "stream").status, only(&listing, "stream").end_time), (Status::Running, None));
    let detail = night.detail(failed).await.unwrap();
    let nodes: Vec<_> = detail.nodes.iter().map(|node| (node.name.as_str(), node.status)).collect();
    assert_eq!(nodes, [("extract", Status::Success), ("load", Status::Fail)]);
    assert!(detail.url.unwrap().ends_with("run/9007199254740993"));
    assert_eq!(detail.instance.error.as_deref(), Some("Task load failed with message: Workload failed"));
    listed(&*night).await;
    assert_eq!(service.asked().len(), 4, "two for the detail and two for the list, with the same token");
    // A list without runs is left out of the answer.
    let empty = Service::start(|asked| {
        if asked.path.ends_with("token") { databricks(asked) } else { ok(json!({ "has_more": false })) }
    })
    .await;
    assert_eq!(listed(&*source(document, DATABRICKS, &empty)).await.instances.len(), 0);
    let wrong = source(&document.replace("CLIENT_SECRET", "OTHER"), DATABRICKS, &service);
    let error = refused(&*wrong).await;
    assert!(error.kind == SourceErrorKind::Credentials && error.message.contains("invalid_client"), "{error}");
    let looping = Service::start(|asked| {
        if asked.path.ends_with("token") { databricks(asked) } else {
            ok(json!({ "runs": [databricks_run(asked.query.len() as u64, "a", "RUNNING", None)], "next_page_token": "CAEQ" }))
        }
    })
    .await;
    let error = refused(&*source(document, DATABRICKS, &looping)).await;
    assert!(error.message.contains("leads back") && error.help.unwrap().contains("paging"), "{}", error.message);
}

const DAGSTER: &str = "https://dagster.example.com";

fn dagster(asked: &Asked) -> Told {
    if asked.header("dagster-cloud-api-token") != "dagster_token" {
        return told(401, json!({ "errors": [{ "message": "Unauthorized" }] }).to_string());
    }
    let (body, graph) = (asked.json(), |data: Value| ok(json!({ "data": data })));
    let query = body["query"].as_str().unwrap_or_default();
    let run = |id: &str, job: &str, status: &str| {
        json!({
            "__typename": "Run", "runId": id, "jobName": job, "status": status, "creationTime": 1_795_219_200.25, "startTime": 1_795_219_201.5,
            "endTime": if status == "STARTED" { Value::Null } else { json!(1_795_219_260.0) }, "runConfigYaml": "{}", "tags": [],
        })
    };
    if query.contains("runsOrError(") {
        let variables = &body["variables"];
        if variables["after"] != 1_795_134_600 || variables["before"] != 1_795_221_000 {
            return graph(
                json!({ "runsOrError": { "__typename": "InvalidPipelineRunsFilterError", "message": "bad filter" } }),
            );
        }
        let rows = match variables["cursor"].as_str() {
            None if variables["cursor"].is_null() => vec![run("a1", "etl", "FAILURE"), run("a2", "etl_2", "SUCCESS")],
            Some("a2") => vec![run("a3", "long", "STARTED")],
            _ => vec![],
        };
        return graph(json!({ "runsOrError": { "__typename": "Runs", "results": rows } }));
    }
    match (query.contains("stepStats"), body["variables"]["id"].as_str()) {
        (true, Some("a1")) => graph(json!({ "runOrError": { "__typename": "Run", "stepStats": [
            { "stepKey": "load", "status": "FAILURE", "startTime": 1_795_219_202.0, "endTime": 1_795_219_250.0 },
            { "stepKey": "extract", "status": "SUCCESS", "startTime": 1_795_219_202.0, "endTime": null },
        ] } })),
        (false, Some("a1")) => graph(json!({ "runOrError": run("a1", "etl", "FAILURE") })),
        _ => graph(json!({ "runOrError": { "__typename": "RunNotFoundError" } })),
    }
}

#[tokio::test]
async fn dagster_is_read_by_queries() {
    let document = &descriptions("dagster.md")[0];
    let service = Service::start(dagster).await;
    let night = source(document, DAGSTER, &service);
    let listing = listed(&*night).await;
    assert_eq!((listing.instances.len(), listing.requests), (3, 3), "the list ends at an empty page");
    let failed = only(&listing, "etl");
    assert_eq!(failed.start_time.unwrap().to_string(), "2026-11-21T00:00:01.5Z");
    let detail = night.detail(failed).await.unwrap();
    assert_eq!((detail.nodes.len(), detail.nodes[0].name.as_str(), detail.nodes[0].status), (2, "load", Status::Fail));
    assert!(detail.url.unwrap().ends_with("/runs/a1"));
    let gone = nightbell::model::Instance { id: "zz".into(), ..failed.clone() };
    assert_eq!(night.detail(&gone).await.unwrap_err().kind, SourceErrorKind::NotFound);
    let broken = Service::start(|_| ok(json!({ "errors": [{ "message": "Cannot query field" }], "data": null }))).await;
    let error = refused(&*source(document, DAGSTER, &broken)).await;
    assert!(error.kind == SourceErrorKind::BadAnswer && error.message.contains("__typename"), "{error}");
    let python = json!({ "data": { "runsOrError": { "__typename": "PythonError", "message": "boom" } } });
    let python = Service::start(move |_| ok(python.clone())).await;
    let error = refused(&*source(document, DAGSTER, &python)).await;
    assert!(error.message.contains("PythonError: boom"), "{error}");
}

const KESTRA: &str = "https://kestra.example.com";

fn kestra(asked: &Asked) -> Told {
    // kestra_user:kestra_password
    if asked.header("authorization") != "Basic a2VzdHJhX3VzZXI6a2VzdHJhX3Bhc3N3b3Jk" {
        return told(401, "");
    }
    let run = |id: &str, flow: &str, state: &str| {
        json!({
            "id": id, "namespace": "etl", "flowId": flow, "scheduleDate": "2026-11-21T00:00:00Z",
            "state": { "current": state, "startDate": "2026-11-21T00:00:01.123Z", "endDate": if state == "RUNNING" { Value::Null } else { "2026-11-21T00:01:00Z".into() } },
            "taskRunList": [
                { "id": "t1", "taskId": "extract", "state": { "current": "SUCCESS", "startDate": "2026-11-21T00:00:01Z", "endDate": "2026-11-21T00:00:09Z" } },
                { "id": "t2", "taskId": "load", "state": { "current": state, "startDate": "2026-11-21T00:00:09Z", "endDate": "2026-11-21T00:01:00Z" } },
            ],
        })
    };
    match asked.path.as_str() {
        "/api/v1/main/executions/search" => {
            let from = asked.get("filters[startDate][GREATER_THAN_OR_EQUAL_TO]");
            if from != "2026-11-20T00:30:00Z" {
                return told(422, json!({ "message": format!("Illegal argument: {from}") }).to_string());
            }
            let rows = match asked.get("page") {
                "1" => vec![run("e1", "orders", "FAILED"), run("e2", "users", "WARNING")],
                "2" => vec![run("e3", "long", "RUNNING")],
                _ => vec![],
            };
            ok(json!({ "results": rows, "total": 3 }))
        }
        "/api/v1/main/executions/e1" => ok(run("e1", "orders", "FAILED")),
        "/api/v1/main/logs/e1/download" if asked.get("taskRunId") == "t2" => {
            told(200, "2026-11-21 INFO loading\n2026-11-21 ERROR no table\n")
        }
        _ => told(404, json!({ "message": "Not Found" }).to_string()),
    }
}

#[tokio::test]
async fn kestra_is_read_page_by_page() {
    let document = &descriptions("kestra.md")[0];
    let service = Service::start(kestra).await;
    let night = source(document, KESTRA, &service);
    let listing = listed(&*night).await;
    assert_eq!((listing.instances.len(), listing.requests), (3, 2), "the count says that the second page is the last");
    let failed = only(&listing, "etl/orders");
    assert_eq!((failed.status, only(&listing, "etl/users").status), (Status::Fail, Status::IgnoredFailure));
    let detail = night.detail(failed).await.unwrap();
    assert_eq!((detail.nodes.len(), detail.nodes[1].name.as_str()), (2, "load"));
    assert!(detail.instance.error.unwrap().ends_with("ERROR no table"));
    // A page that is cut off in the middle of the list, again and again.
    let short =
        Service::start(
            |asked| if asked.get("page") == "2" { ok(json!({ "results": [], "total": 3 })) } else { kestra(asked) },
        )
        .await;
    let listing = source(document, KESTRA, &short).list(super::day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.requests, listing.coverage.is_whole()), (2, 4, false));
    assert!(listing.coverage.reasons()[0].contains("counts 3 rows and gave 2"), "{:?}", listing.coverage.reasons());
}
