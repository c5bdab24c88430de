//! Two replicas, each with a page of its own: what their metrics say of who runs what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightbell::clock::SystemClock;

use crate::sample::{Place, fresh_database};
use crate::web::api::Described;
use crate::web::{AROUND, Served};

/// The leases that a replica tells of, each with the token under which it holds it; 0 where it does not.
async fn leases(served: &Served) -> BTreeMap<String, i64> {
    let told = served.get("/metrics", &[]).await.body;
    let values = |family: &str| -> BTreeMap<String, i64> {
        let head = format!("nightbell_{family}{{lease=\"");
        let lines = told.lines().filter_map(|line| line.strip_prefix(&head)?.split_once("\"} "));
        lines.map(|(name, value)| (name.to_string(), value.parse().unwrap())).collect()
    };
    let (held, tokens) = (values("lease_held"), values("lease_token"));
    assert!(held.keys().eq(tokens.keys()), "{told}");
    for (name, held) in held {
        assert!([0, 1].contains(&held) && (tokens[&name] > 0) == (held == 1), "{name}: {told}");
    }
    tokens
}

/// A stand-by is as ready as whoever polls: an update waits for it before it stops the other.
#[tokio::test(flavor = "multi_thread")]
async fn who_stands_by_is_ready_though_nobody_is_asked_for_a_year() {
    let url = fresh_database();
    let seldom = AROUND.replace("project_id: p,", "project_id: p, poll: \"0 0 1 1 *\",");
    let another = seldom.replace(
        "receivers:\n",
        "  t: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, \
        poll: \"0 0 1 1 *\", auth: { token: t } }\nreceivers:\n",
    );
    assert!(seldom != AROUND && another != seldom);
    let mut replicas = Vec::new();
    // The last one has a source that the files in force have not: nobody asks that.
    for rules in [&seldom, &seldom, &another] {
        let rules = format!("web: {{ listen: \"127.0.0.1:0\" }}\n{rules}");
        let served = Served::start_on(Place::file(), &url, &rules, Arc::new(SystemClock)).await;
        let began = Instant::now();
        loop {
            let ready = served.get("/-/ready", &[]).await;
            if ready.status == 200 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "replica {} never is: {ready:?}", replicas.len());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        replicas.push(served);
    }
    for served in replicas.into_iter().rev() {
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lease_is_held_by_one_of_two_replicas() {
    let url = fresh_database();
    let rules = format!("web: {{ listen: \"127.0.0.1:0\" }}\n{AROUND}");
    let start = async || Served::start_on(Place::file(), &url, &rules, Arc::new(SystemClock)).await;
    let (one, two) = (start().await, start().await);
    let until = async |what: &str, is_so: &dyn Fn(i64, i64) -> bool, needs_both: bool| {
        let began = Instant::now();
        loop {
            let (of_one, of_two) = (leases(&one).await, leases(&two).await);
            // Each is there from the start, whoever holds it.
            assert!(of_one.len() >= 10 && of_one.keys().eq(of_two.keys()), "{of_one:?} {of_two:?}");
            let holds = |all: &BTreeMap<String, i64>| all.values().any(|token| *token > 0);
            let is_shared = !needs_both || holds(&of_one) && holds(&of_two);
            if is_shared && of_one.iter().all(|(name, token)| is_so(*token, of_two[name])) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "never {what}: {of_one:?} {of_two:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    until("one holder each", &|one, two| (one > 0) != (two > 0), true).await;
    for served in [&one, &two] {
        let answer = served.get("/api/v1/status", &[]).await;
        Described::new().check("GET", "/api/v1/status", &answer);
        let status = answer.json();
        let replicas = status["replicas"].as_array().unwrap();
        let ids: Vec<&str> = replicas.iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{status:#}");
        assert!(replicas.iter().all(|it| it["is_of_configuration_in_force"] == true), "{status:#}");
        let held = status["leases"].as_array().unwrap();
        assert!(held.len() >= 10, "{status:#}");
        for lease in held {
            // One that is handed over is nobody's for a moment.
            assert!(lease["holder"].as_str().is_none_or(|holder| ids.contains(&holder)), "{lease:#} of {ids:?}");
        }
        let holders = held.iter().filter_map(|lease| lease["holder"].as_str());
        assert!(holders.collect::<std::collections::BTreeSet<_>>().len() == 2, "each of them has some: {status:#}");
        let page = served.get("/status", &[]).await.body;
        let shown = page.split("<h2>Replicas</h2>").nth(1).unwrap_or_else(|| panic!("no replicas in {page}"));
        let shown = shown.split("</section>").next().unwrap();
        for replica in replicas {
            // Both are of this process.
            let name = format!(">{} {}<", replica["host"].as_str().unwrap(), replica["pid"]);
            assert_eq!(shown.matches(&name).count(), 2, "{name} in {shown}");
        }
        assert!(shown.contains("poll/s"), "who polls is said: {shown}");
    }
    one.stop().await;
    two.stop().await;
}
