//! Tokens for some labels: whoever shows one sees what has them, and of everything else not even that it is there.
//!
//! Two teams share a Nightbell. Everything of the other team's has a word in it that no answer to this one's token may hold.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::desk::{hash_of, new_token};
use nightbell::model::{
    Ack, Alert, AlertId, Concerns, Content, DeliveryId, DeliveryState, LabelMatch, Labels, MessageKind, NodePart,
    ReceiverId, Role, Status,
};
use nightbell::store::{
    Access as _, Desk as _, NewSilence, NewToken, Outbox as _, OwnAlerts as _, OwnCommit, PollCommit, PollLedger as _,
    Settled, SqlStore,
};
use nightbell::web::{Needs, routes};
use serde_json::{Value, json};

use super::night::attempted;
use super::{Answer, Served};
use crate::sample::{Place, alert, at, commit, delivery, instance, resolved};

/// What is in everything of the other team's.
const OTHERS: &str = "OTHERS-canary";
const RULES: &str = "web: { listen: \"127.0.0.1:0\", tokens: true }\nsources:\n  \
    s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t }, labels: { team: own } }\n  \
    t: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t }, labels: { team: other } }\n  \
    u-OTHERS-canary: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t }, labels: { team: other } }\n\
    receivers:\n  hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\n  \
    spare: { type: webhook, url: \"http://127.0.0.1:9/\", fallback: second }\n  second: { type: webhook, url: \"http://127.0.0.1:9/\" }\n  OTHERS-canary-hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\nrules:\n  failed: { when: { status: [fail] }, notify: [hook] }\n  \
    lent: { match: { source: t, job: lent }, when: { status: [fail] }, labels: { team: own }, notify: [hook] }\n  \
    quiet: { match: { source: s, job: nothing }, when: { status: [fail] }, notify: [spare] }\n  \
    OTHERS-canary-rule: { match: { source: u-OTHERS-canary }, when: { status: [fail] }, notify: [OTHERS-canary-hook] }\n";

fn team(name: &str) -> Labels {
    [("team".to_string(), name.to_string())].into()
}

fn own() -> LabelMatch {
    LabelMatch([("team".to_string(), vec!["own".to_string()])].into())
}

/// An alert about a job of a team's.
fn of_team(id: &str, source: &str, job: &str, rule: &str, labels: Labels) -> Alert {
    let is_other = labels.get("team").is_none_or(|team| team != "own");
    let mut one = alert(id, job);
    (one.source, one.rule) = (source.into(), rule.into());
    (one.facts.alert.rule, one.facts.source.id) = (rule.into(), source.into());
    one.facts.alert.labels = labels;
    if is_other {
        one.facts.alert.summary = format!("{OTHERS} summary");
        one.facts.job.more.owner = Some(format!("{OTHERS} owner"));
        one.facts.node_details = format!("{OTHERS} details");
        one.facts.failing_nodes = vec![NodePart {
            name: format!("{OTHERS} node"),
            kind: None,
            status: Status::Fail,
            retries: None,
            start_time: None,
            end_time: None,
            log_path: Some(format!("obs://{OTHERS}/log")),
            log_tail: None,
        }];
        if let Some(run) = &mut one.facts.instance {
            (run.id, run.error) = (format!("{OTHERS}-run"), Some(format!("{OTHERS} error")));
        }
    }
    one
}

fn told(id: &str, alert: Option<&str>, kind: MessageKind, text: &str) -> nightbell::model::Notification {
    let mut one = delivery(id, "hook");
    (one.kind, one.alert) = (kind, alert.map(AlertId::new));
    one.content = Content { parts: [("text".to_string(), text.to_string()), ("subject".into(), text.into())].into() };
    one
}

fn poll(source: &str, jobs: &[&str]) -> PollCommit {
    let mut poll = commit(0);
    (poll.source, poll.now) = (source.into(), at(3600));
    for job in jobs {
        for (id, status) in [("1", Status::Success), ("2", Status::Fail), ("3", Status::Running)] {
            let mut run = instance(job, &format!("{job}-{id}"), status);
            run.source = source.into();
            poll.instances.push(run);
        }
    }
    poll
}

async fn fill(store: &SqlStore, place: &Place) {
    let mut ours = poll("s", &["mine"]);
    ours.fired = vec![
        of_team("o1", "s", "mine", "failed", team("own")),
        resolved(of_team("o2", "s", "mine", "slow", team("own")), at(5000)),
    ];
    ours.deliveries = vec![
        told("od", Some("o1"), MessageKind::AlertFiring, "mine failed"),
        told("oe", Some("o1"), MessageKind::AlertFiring, "mine failed"),
        told("om", Some("o1"), MessageKind::AlertFiring, "mine failed"),
        told("ow", None, MessageKind::AlertGroup, "two of ours"),
    ];
    store.commit_poll(&ours).await.unwrap();
    let mut other = poll("t", &["lent", "OTHERS-canary-job"]);
    other.fired = vec![
        of_team("o3", "t", "lent", "lent", team("own")),
        of_team("x1", "t", "OTHERS-canary-job", "failed", team("other")),
        // The same job, by the rule that has the labels of its source.
        of_team("x2", "t", "lent", "failed", team("other")),
        resolved(of_team("x3", "t", "OTHERS-canary-job", "gone", Labels::new()), at(5000)),
    ];
    other.deliveries = vec![
        told("xd", Some("x1"), MessageKind::AlertFiring, OTHERS),
        told("xe", Some("x1"), MessageKind::AlertFiring, OTHERS),
        told("xm", Some("x1"), MessageKind::AlertFiring, OTHERS),
        told("on", Some("o3"), MessageKind::AlertFiring, "lent failed"),
        told("xw", None, MessageKind::AlertGroup, OTHERS),
        told("xg", None, MessageKind::Digest, OTHERS),
    ];
    store.commit_poll(&other).await.unwrap();
    store.commit_poll(&poll("u-OTHERS-canary", &["OTHERS-canary-more"])).await.unwrap();
    let states = [
        ("od", DeliveryState::Dead),
        ("oe", DeliveryState::Pending),
        ("ow", DeliveryState::Delivered),
        ("xd", DeliveryState::Dead),
        ("xe", DeliveryState::Pending),
        ("xw", DeliveryState::Delivered),
        ("xg", DeliveryState::Delivered),
    ];
    store.claim(&ReceiverId::new("hook"), at(3600), 99).await.unwrap();
    let settled: Vec<Settled> = states
        .map(|(id, state)| Settled {
            last_error: Some(if id.starts_with('x') { OTHERS.into() } else { "no".into() }),
            ..attempted(id, state)
        })
        .into();
    store.settle(&settled).await.unwrap();
    // One message told of two alerts of ours, another one of ours and of theirs.
    let pool = sqlx::AnyPool::connect(&place.raw_url()).await.unwrap();
    for (part, whole) in [("om", "ow"), ("on", "xw"), ("xm", "xw")] {
        let merged = format!(
            "UPDATE delivery SET state = 'merged', merged_into = '{whole}', next_attempt_at = NULL, claimed_at = NULL \
             WHERE id = '{part}'"
        );
        sqlx::query(sqlx::AssertSqlSafe(merged)).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let ack = |by: &str| Ack { by: by.into(), reason: Some(format!("{by} says")), at: at(6000) };
    store.ack(&[AlertId::new("o1")], &ack("kim")).await.unwrap();
    store.ack(&[AlertId::new("x1")], &ack(OTHERS)).await.unwrap();
    let silence = |labels: LabelMatch, job: &str, by: &str| NewSilence {
        concerns: Concerns { jobs: vec![job.into()], labels, ..Concerns::default() },
        reason: by.into(),
        by: by.into(),
        ends_at: at(100_000),
    };
    store.add_silence(&silence(own(), "mine", "kim"), at(6000)).await.unwrap();
    store.add_silence(&silence(LabelMatch::default(), "OTHERS-canary*", OTHERS), at(6000)).await.unwrap();
    let closed = of_team("x4", "t", "OTHERS-canary-job", "more", team("other"));
    let commit = OwnCommit { now: at(6500), fired: vec![closed], changed: Vec::new(), deliveries: Vec::new() };
    store.commit_own(&commit).await.unwrap();
}

struct Shared {
    served: Served,
    viewer: String,
    responder: String,
    whole: String,
}

async fn shared() -> Shared {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, &place).await;
    let token = async |role: Role, scope: LabelMatch| {
        let token = new_token().unwrap();
        let new = NewToken { hash: hash_of(&token), name: format!("kim {role}"), role, scope, expires_at: None };
        store.add_token(&new, at(0)).await.unwrap();
        format!("Bearer {token}")
    };
    let viewer = token(Role::Viewer, own()).await;
    let responder = token(Role::Responder, own()).await;
    let whole = token(Role::Viewer, LabelMatch::default()).await;
    store.close().await;
    drop(store);
    let clock = Arc::new(ManualClock::at(at(7200)));
    let served = Served::start_with(place, RULES, clock).await;
    Shared { served, viewer, responder, whole }
}

impl Shared {
    async fn look(&self, path: &str, token: &str) -> Answer {
        self.served.get(path, &[("authorization", token)]).await
    }

    async fn ids(&self, path: &str, token: &str) -> Vec<String> {
        let answer = self.look(path, token).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let id = |item: &Value| {
            let found = [&item["alert"]["id"], &item["id"], &item["job"]].into_iter().find(|it| !it.is_null());
            found.map(|it| it.to_string().trim_matches('"').to_string()).unwrap_or_default()
        };
        answer.json()["items"].as_array().unwrap().iter().map(id).collect()
    }
}

/// A path of a route, about something of ours, of theirs, or of nobody's.
fn paths(template: &str) -> Option<[String; 3]> {
    let fill = |id: &str, source: &str, job: &str| {
        template.replace("{id}", id).replace("{source}", source).replace("{job}", job)
    };
    let ids = match () {
        () if template.contains("{job}") => {
            return Some([fill("", "s", "mine"), fill("", "t", "OTHERS-canary-job"), fill("", "t", "nothing")]);
        }
        () if !template.contains("{id}") || template.starts_with("/ack/") => return None,
        () if template.contains("/sources/") => ["s", "u-OTHERS-canary", "nothing"],
        () if template.contains("/silences/") => ["1", "2", "99"],
        () if template.contains("/digests/") => ["", "xg", "nothing"],
        () if template.contains("/deliveries/") => ["od", "xd", "nothing"],
        () => ["o1", "x1", "nothing"],
    };
    Some(ids.map(|id| fill(id, "", "")))
}

/// Every route, with a token for some labels: what is ours is shown, nothing else is, and what is not ours is answered as
/// what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_shows_what_has_the_labels_and_nothing_else() {
    let shared = shared().await;
    for route in routes().iter().filter(|route| matches!(route.needs, Needs::Role(_))) {
        let (method, template) = (route.method.as_str(), route.path);
        let token = if method == "GET" { &shared.viewer } else { &shared.responder };
        let kind = if template.starts_with("/api/") { "application/json" } else { "application/x-www-form-urlencoded" };
        let body = match (method, template.starts_with("/api/")) {
            ("GET" | "DELETE", _) => "",
            (_, true) => r#"{"reason":"because"}"#,
            (_, false) => "reason=because",
        };
        let ask = async |path: &str| {
            let answer =
                shared.served.ask(method, path, &[("authorization", token), ("content-type", kind)], body).await;
            assert!(!format!("{answer:?}").contains(OTHERS), "{method} {path} tells of theirs: {answer:?}");
            answer
        };
        let Some([ours, theirs, nobodys]) = paths(template) else {
            if method == "GET" {
                let more = match template {
                    "/api/v1/jobs" => "?source=t",
                    "/explain" | "/api/v1/explain" => "?subject=mine",
                    "/alerts" => "?state=all",
                    "/jobs" => "?source=t",
                    _ => "",
                };
                let answer = ask(&format!("{template}{more}")).await;
                let expected = if template == "/metrics" { 403 } else { 200 };
                assert_eq!(answer.status, expected, "{template}: {answer:?}");
            }
            continue;
        };
        let (theirs_told, nobodys_told) = (ask(&theirs).await, ask(&nobodys).await);
        assert_eq!(theirs_told.status, 404, "{method} {theirs}: {theirs_told:?}");
        assert_eq!((nobodys_told.status, &nobodys_told.body), (404, &theirs_told.body), "{method} {template}");
        if method == "GET" && !template.contains("digests") {
            assert_eq!(ask(&ours).await.status, 200, "{ours}");
        }
    }
    for subject in ["OTHERS-canary-job", "OTHERS-canary-job-2", "OTHERS-canary-jo", "mine/mine-2", "lent"] {
        for path in ["/explain", "/api/v1/explain"] {
            let answer = shared.look(&format!("{path}?subject={subject}"), &shared.viewer).await;
            let told = answer.body.replace(subject, "");
            assert!(!told.contains(OTHERS), "{path} {subject}: {told}");
        }
    }
    let named = "/explain?source=t&job=OTHERS-canary-job&run=OTHERS-canary-job-2";
    assert!(!shared.look(named, &shared.viewer).await.body.contains("raw_status"), "{named}");
    shared.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_are_of_what_has_the_labels() {
    let shared = shared().await;
    let table: [(&str, &[&str]); 9] = [
        ("/api/v1/alerts?", &["o3", "o2", "o1"]),
        ("/api/v1/alerts?state=firing", &["o3", "o1"]),
        ("/api/v1/alerts?source=t", &["o3"]),
        ("/api/v1/deliveries?", &["ow", "on", "om", "oe", "od"]),
        ("/api/v1/deliveries?state=dead", &["od"]),
        ("/api/v1/silences?state=all", &["1"]),
        ("/api/v1/jobs?source=s", &["mine"]),
        ("/api/v1/jobs?source=t", &["lent"]),
        ("/api/v1/digests?", &[]),
    ];
    for (path, expected) in table {
        let mut ids = shared.ids(path, &shared.viewer).await;
        let mut expected = expected.to_vec();
        ids.sort();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{path}");
        assert!(shared.ids(path, &shared.whole).await.len() >= ids.len(), "{path}");
        // The same row by row.
        let (mut walked, mut next) = (Vec::new(), String::new());
        loop {
            let page = shared.look(&format!("{path}&limit=1{next}"), &shared.viewer).await.json();
            walked.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next"].as_str() else { break };
            next = format!("&cursor={cursor}");
            assert!(walked.len() <= expected.len(), "{path}");
        }
        assert_eq!(walked.len(), expected.len(), "{path}: {walked:?}");
    }
    assert_eq!(shared.ids("/api/v1/alerts?", &shared.whole).await.len(), 7);
    let status = shared.look("/api/v1/status", &shared.viewer).await.json();
    assert_eq!((&status["alerts_firing"], &status["silences_active"]), (&json!(2), &json!(1)));
    let sources: Vec<&str> =
        status["sources"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!((sources, &status["receivers"]), (vec!["s", "t"], &json!([])));
    let loops = |status: &Value| -> Vec<String> {
        let names = status["loops"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_string());
        names.filter(|name| name.starts_with("deliver/")).collect()
    };
    assert_eq!(
        loops(&status),
        ["deliver/hook", "deliver/second", "deliver/spare"],
        "those of rules for them, and who stands in"
    );
    let page = shared.look("/deliveries", &shared.viewer).await.body;
    assert!(page.contains("<option>second</option>"), "{page}");
    let whole = shared.look("/api/v1/status", &shared.whole).await.json();
    assert_eq!(loops(&whole).len(), 4);
    assert_eq!((&whole["alerts_firing"], whole["sources"].as_array().unwrap().len()), (&json!(5), 3));
    let actions = shared.look("/api/v1/actions", &shared.viewer).await.json();
    let done: Vec<String> =
        actions["items"].as_array().unwrap().iter().map(|it| format!("{} {}", it["action"], it["by"])).collect();
    assert_eq!(done, ["\"silence\" \"kim\"", "\"ack\" \"kim\""]);
    for page in ["/", "/wall"] {
        let body = shared.look(page, &shared.viewer).await.body;
        assert!(body.contains("mine") && body.contains("lent") && body.contains("kim"), "{page}: {body}");
    }
    shared.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_does_reaches_no_further_than_they_see() {
    let shared = shared().await;
    let json = [("authorization", shared.responder.as_str()), ("content-type", "application/json")];
    let ask = async |method: &str, path: &str, body: &str| shared.served.ask(method, path, &json, body).await;
    let made = ask("POST", "/api/v1/silences", r#"{"jobs":["*"],"for":"1h","reason":"all"}"#).await;
    assert_eq!(made.status, 409, "everything of ours is everything, too: {made:?}");
    let made = ask("POST", "/api/v1/silences", r#"{"jobs":["*"],"for":"1h","reason":"all","everything":true}"#).await;
    assert_eq!((made.status, &made.json()["labels"]), (201, &json!({ "team": ["own"] })));
    let other = r#"{"labels":{"team":["other"]},"for":"1h","reason":"theirs"}"#;
    let refused = ask("POST", "/api/v1/silences", other).await;
    assert!(refused.status == 400 && refused.body.contains("team=own"), "{refused:?}");
    for (unseen, word) in [
        (r#"{"rules":["OTHERS-canary-rule"],"for":"1h","reason":"x"}"#, "there is no rule"),
        (r#"{"rules":["OTHERS-canary-rul"],"for":"1h","reason":"x"}"#, "there is no rule"),
        (r#"{"rules":["nothing"],"for":"1h","reason":"x"}"#, "there is no rule"),
        (r#"{"sources":["u-OTHERS-canary"],"for":"1h","reason":"x"}"#, "there is no source"),
    ] {
        let refused = ask("POST", "/api/v1/silences", unseen).await;
        let named: Value = serde_json::from_str(unseen).unwrap();
        let name = [&named["rules"][0], &named["sources"][0]].into_iter().find_map(Value::as_str).unwrap();
        let told = refused.body.replace(&format!("\\\"{name}\\\""), "");
        assert!(refused.status == 400 && told.contains(word) && !told.contains(OTHERS), "{unseen}: {refused:?}");
    }
    let preview = ask("POST", "/api/v1/silences/preview", r#"{"jobs":["*"]}"#).await.json();
    assert_eq!(
        (&preview["firing"], &preview["firing_of"], &preview["last_7_days_of"]),
        (&json!(2), &json!(2), &json!(3))
    );
    for (path, status) in [
        ("/api/v1/alerts/x1/ack", 404),
        ("/api/v1/alerts/o3/ack", 200),
        ("/api/v1/deliveries/xd/retry", 404),
        ("/api/v1/deliveries/od/retry", 200),
        ("/api/v1/deliveries/xw/retry", 404),
        ("/api/v1/sources/u-OTHERS-canary/poll", 404),
        ("/api/v1/sources/s/poll", 202),
    ] {
        assert_eq!(ask("POST", path, "{}").await.status, status, "{path}");
    }
    let store = shared.served.store().await;
    assert_eq!(store.acks().await.unwrap()[&AlertId::new("x1")].by, OTHERS);
    let records = nightbell::store::Deliveries::delivery_record(&store, &DeliveryId::new("xd")).await.unwrap();
    assert_eq!(records.unwrap().delivery.state, DeliveryState::Dead);
    store.close().await;
    shared.served.stop().await;
}
