//! The simulated workspace by itself: it must be as strict and as generous as the documents, or what is tested against
//! it proves nothing.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nightbell::clock::{Clock, ManualClock};
use nightbell::http::{HttpClient, HttpSettings, Outgoing, Response};
use nightbell::secret::Secrets;
use nightbell::sim::{OffsetMeaning, Requests, SimConfig, SimInstance, SimWorkspace};
use serde_json::Value;

const TOKEN: &str = "a-token";
const PROJECT: &str = "b384b9e9ab9b4ee8994c8633aabc9505";

fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

async fn workspace(offset: OffsetMeaning) -> SimWorkspace {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    let config = SimConfig { token: Some(TOKEN.to_string()), offset, ..SimConfig::default() };
    SimWorkspace::start(config, clock).await.unwrap()
}

async fn get(sim: &SimWorkspace, path: &str, headers: &[(&'static str, &str)]) -> Response {
    let client = HttpClient::new(&HttpSettings::default()).unwrap();
    let mut request = client.inner().get(format!("{}{path}", sim.endpoint()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client
        .send(Outgoing::new(request.build().unwrap(), Secrets::new()), Duration::from_secs(20), 16 << 20)
        .await
        .unwrap()
}

/// The answer to a list request that is known by its token.
async fn list(sim: &SimWorkspace, query: &str) -> Response {
    get(sim, &format!("/v1/{PROJECT}/jobs/instances/detail?{query}"), &[("x-auth-token", TOKEN)]).await
}

/// `total`, and the ids that came.
async fn ids(sim: &SimWorkspace, query: &str) -> (u64, Vec<u64>) {
    let answer = list(sim, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    let ids = body["instances"].as_array().unwrap().iter().map(|item| item["instanceId"].as_u64().unwrap());
    (body["total"].as_u64().unwrap(), ids.collect())
}

fn between(after: Timestamp, before: Timestamp) -> String {
    format!("minPlanTime={}&maxPlanTime={}", after.as_millisecond(), before.as_millisecond())
}

#[tokio::test]
async fn plan_times_at_the_ends_are_left_out() {
    let sim = workspace(OffsetMeaning::Records).await;
    sim.put_all([1, 2, 3].map(|id| SimInstance::waiting("a", id, ago(id as i64))));
    assert_eq!(ids(&sim, &between(ago(3), ago(1))).await, (1, vec![2]));
    let millisecond = SignedDuration::from_millis(1);
    assert_eq!(ids(&sim, &between(ago(3) - millisecond, ago(1) + millisecond)).await, (3, vec![1, 2, 3]));
}

#[tokio::test]
async fn without_a_window_only_today_in_china_is_told() {
    let sim = workspace(OffsetMeaning::Records).await;
    // It is eight in the morning there.
    sim.put_all([1, 7, 9, 30].map(|hours| SimInstance::waiting("a", hours as u64, ago(hours))));
    assert_eq!(ids(&sim, "").await, (2, vec![1, 7]));
}

#[tokio::test]
async fn pages_follow_the_meaning_of_offset_and_ten_are_given_unasked() {
    for (offset, second) in [(OffsetMeaning::Records, vec![1, 2, 3]), (OffsetMeaning::Pages, vec![3, 4, 5])] {
        let sim = workspace(offset).await;
        sim.put_all((0..20).map(|n| SimInstance::waiting("a", n, now() - SignedDuration::from_secs(n as i64 + 1))));
        let window = between(ago(1), now());
        assert_eq!(ids(&sim, &window).await, (20, (0..10).collect()));
        assert_eq!(ids(&sim, &format!("{window}&limit=3&offset=1")).await, (20, second), "{offset:?}");
        assert_eq!(ids(&sim, &format!("{window}&limit=1000&offset=30")).await, (20, vec![]));
    }
}

#[tokio::test]
async fn filters_choose_by_job_status_and_type() {
    let sim = workspace(OffsetMeaning::Records).await;
    sim.put(SimInstance::waiting("etl_orders", 1, ago(1)).ended("fail", ago(0)));
    sim.put(SimInstance::waiting("etl_orders_eu", 2, ago(1)).running());
    sim.put(SimInstance { kind: 5, ..SimInstance::waiting("月结", 3, ago(1)) });
    let window = between(ago(2), now());
    for (filter, expected) in [
        ("", vec![3, 2, 1]),
        ("&jobName=etl_orders", vec![2, 1]),
        ("&jobName=etl_orders&preciseQuery=true", vec![1]),
        ("&jobName=%E6%9C%88", vec![3]),
        ("&status=running", vec![2]),
        ("&instanceType=5", vec![3]),
        ("&instanceType=7", vec![]),
    ] {
        assert_eq!(ids(&sim, &format!("{window}{filter}")).await.1, expected, "{filter}");
    }
}

#[tokio::test]
async fn parameters_out_of_range_are_refused() {
    let sim = workspace(OffsetMeaning::Records).await;
    let week = between(ago(7 * 24), now());
    let longer = format!("minPlanTime={}&maxPlanTime={}", ago(7 * 24).as_millisecond() - 1, now().as_millisecond());
    assert_eq!(list(&sim, &week).await.status, 200);
    for query in
        [&longer, "limit=0", "limit=1001", "limit=x", "offset=-1", "minPlanTime=today", "instanceType=PatchData"]
    {
        let answer = list(&sim, query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains("DLF.3051"), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn who_is_unknown_is_refused_and_counted() {
    let sim = workspace(OffsetMeaning::Records).await;
    let path = format!("/v1/{PROJECT}/jobs/instances/detail");
    for (headers, code) in [
        (vec![], "APIGW.0301"),
        (vec![("authorization", "Bearer x")], "APIGW.0301"),
        (vec![("x-auth-token", "another")], "APIGW.0307"),
    ] {
        let answer = get(&sim, &path, &headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(answer.text().contains(code), "{headers:?}: {}", answer.text());
    }
    let known = [("x-auth-token", TOKEN)];
    assert_eq!(get(&sim, "/v2/anything", &known).await.status, 404);
    assert_eq!(get(&sim, &format!("/v1/{PROJECT}/jobs/a/instances/1"), &known).await.status, 400);
    assert_eq!(sim.requests(), Requests { list: 3, detail: 1, refused: 5, lists_at_once: 1, ..Requests::default() });
}

#[tokio::test]
async fn instances_change_while_it_runs() {
    let sim = workspace(OffsetMeaning::Records).await;
    sim.put(SimInstance::waiting("a", 1, ago(1)));
    assert!(sim.update("a", 1, |instance| instance.status = "fail".to_string()));
    assert_eq!(sim.get("a", 1).unwrap().status, "fail");
    assert_eq!(ids(&sim, &format!("{}&status=fail", between(ago(2), now()))).await, (1, vec![1]));
    assert!(sim.remove("a", 1));
    assert!(!sim.remove("a", 1) && !sim.update("a", 1, |_| {}));
    assert_eq!(ids(&sim, &between(ago(2), now())).await, (0, vec![]));
}
