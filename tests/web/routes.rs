//! The table of routes, walked: every route asks who it is, refuses who may less, and tells no secret and nothing that a
//! browser would run.

use std::collections::BTreeSet;

use nightbell::desk::hash_of;
use nightbell::model::Role;
use nightbell::store::Access as _;
use nightbell::web::{Needs, routes};

use super::night::{HOSTILE, Night, night};
use super::{Answer, Served};

/// A path with names of things that there are in the place of `{names}`.
fn path(template: &str, id: &str) -> String {
    let id = if template.contains("silences") { "1" } else { id };
    template.replace("{id}", id).replace("{source}", "s").replace("{job}", "etl_orders")
}

fn id_of(template: &str) -> &'static str {
    match () {
        () if template.contains("sources") => "s",
        () if template.contains("digests") => "d4",
        () if template.contains("deliveries") && template.contains("retry") => "d2",
        () if template.contains("deliveries") && template.contains("drop") => "d3",
        () if template.contains("deliveries") => "d1",
        () => "a1",
    }
}

/// What the address is asked besides.
fn query(template: &str) -> &'static str {
    match template {
        "/api/v1/jobs" => "?source=s",
        "/explain" | "/api/v1/explain" => "?subject=etl_orders",
        _ => "",
    }
}

fn body(template: &str, is_api: bool) -> (&'static str, &'static str) {
    match (is_api, template.contains("silences")) {
        (true, true) => ("application/json", r#"{"jobs":["etl_*"],"for":"1h","reason":"deploy"}"#),
        (true, false) => ("application/json", r#"{"reason":"because"}"#),
        (false, true) => ("application/x-www-form-urlencoded", "job=etl_*&for=1h&reason=deploy&step=preview"),
        (false, false) => {
            ("application/x-www-form-urlencoded", "reason=because&token=nb_x&next=/&lang=en&theme=dark&zone=")
        }
    }
}

async fn ask(served: &Served, method: &str, template: &str, path: &str, authorization: Option<&str>) -> Answer {
    let (kind, body) = body(template, template.starts_with("/api/"));
    let mut headers = vec![("content-type", kind)];
    headers.extend(authorization.map(|it| ("authorization", it)));
    let path = format!("{path}{}", query(template));
    served.ask(method, &path, &headers, if method == "GET" || method == "DELETE" { "" } else { body }).await
}

fn assert_harmless(what: &str, answer: &Answer) {
    // Of the hook's secret it is the second: in the file it stands as base64.
    for canary in ["canary", "Y2FuYXJ5"] {
        assert!(!answer.body.contains(canary) && !answer.head.contains(canary), "{what} tells a secret: {answer:?}");
    }
    let kind = answer.header("content-type").unwrap_or_default();
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none';"), "{what}: {policy}");
    if kind.starts_with("text/html") && !policy.contains("sandbox") {
        for live in ["<img src=x", "<script>alert", "javascript:alert(1)\"", "</script><script>", "\u{202e}"] {
            assert!(!answer.body.contains(live), "{what} holds {live:?}:\n{}", answer.body);
        }
        assert!(!answer.body.contains(" style=\"") && !answer.body.contains(" onerror=\""), "{what}");
    }
    assert_ne!(answer.status, 500, "{what}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_who_it_is_and_refuses_who_may_less() {
    let Night { served, viewer, responder, .. } = night().await;
    // What is nowhere in the file, and is worth as much as what is: who has it is somebody.
    let store = served.store().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let token_of = |header: &str| header.trim_start_matches("Bearer ").to_string();
    let begun = served.ask("POST", "/sign-in", &form, &format!("token={}", token_of(&responder))).await;
    let session = begun.header("set-cookie").and_then(|it| it.split(['=', ';']).nth(1)).unwrap().to_string();
    let mut secrets = vec![store.link_key("never taken: there is one").await.unwrap(), hash_of(&session), session];
    secrets.extend([&viewer, &responder].into_iter().flat_map(|one| [token_of(one), hash_of(&token_of(one))]));
    store.close().await;
    let assert_harmless = |what: &str, answer: &Answer| {
        assert_harmless(what, answer);
        for secret in &secrets {
            assert!(
                !answer.body.contains(secret) && !answer.head.contains(secret),
                "{what} tells {secret}: {answer:?}"
            );
        }
    };
    let all = routes();
    assert!(all.len() > 45, "{}", all.len());
    // What changes something comes last, and what ends things last of all.
    let (looks, acts): (Vec<_>, Vec<_>) = all.iter().partition(|route| route.method == "GET");
    for route in looks.into_iter().chain(acts) {
        let (method, template) = (route.method.as_str(), route.path);
        let what = format!("{method} {template}");
        let path = path(template, id_of(template));
        let nobody = ask(&served, method, template, &path, None).await;
        assert_harmless(&what, &nobody);
        let is_program = ["/api/", "/metrics", "/-/"].iter().any(|head| template.starts_with(head));
        match route.needs {
            Needs::Nothing => {
                assert!(![401, 403, 500].contains(&nobody.status) || template == "/sign-in", "{what}: {nobody:?}")
            }
            Needs::Role(_) if is_program => assert_eq!(nobody.status, 401, "{what}"),
            Needs::Role(_) => {
                let place = nobody.header("location").unwrap_or_default();
                assert!(nobody.status == 303 && place.starts_with("/sign-in?next="), "{what}: {nobody:?}");
            }
        }
        let by_viewer = ask(&served, method, template, &path, Some(&viewer)).await;
        assert_harmless(&what, &by_viewer);
        match route.needs {
            Needs::Role(Role::Responder) => assert_eq!(by_viewer.status, 403, "{what}: {by_viewer:?}"),
            Needs::Role(Role::Viewer) => assert_eq!(by_viewer.status, 200, "{what}: {by_viewer:?}"),
            Needs::Nothing => {}
        }
        if method != "GET" {
            for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example.com")] {
                let headers = [("authorization", responder.as_str()), (name, value)];
                let crossed = served.ask(method, &path, &headers, "").await;
                assert_eq!(crossed.status, 403, "{what} from another site: {crossed:?}");
            }
        }
        if template.contains("{id}") && method == "GET" && route.needs != Needs::Nothing {
            let missing = path.replace(id_of(template), "nothing").replace("/1", "/99");
            let missing = ask(&served, method, template, &missing, Some(&viewer)).await;
            assert_eq!(missing.status, 404, "{what}: {missing:?}");
        }
    }
    // What is done says no more than what is looked at.
    for route in all.iter().filter(|route| route.needs == Needs::Role(Role::Responder)) {
        let (method, template) = (route.method.as_str(), route.path);
        let what = format!("{method} {template}");
        let done = ask(&served, method, template, &path(template, id_of(template)), Some(&responder)).await;
        assert_harmless(&what, &done);
        assert!([200, 201, 202, 204, 303, 404, 409].contains(&done.status), "{what}: {done:?}");
    }
    served.stop().await;
}

/// Whoever adds a way to change something over the API adds it here, too: rules, receivers and secrets have none.
#[test]
fn what_the_api_changes_is_this_and_nothing_else() {
    let writes = BTreeSet::from([
        "DELETE /api/v1/alerts/{id}/ack",
        "DELETE /api/v1/silences/{id}",
        "POST /api/v1/alerts/{id}/ack",
        "POST /api/v1/alerts/{id}/close",
        "POST /api/v1/deliveries/{id}/drop",
        "POST /api/v1/deliveries/{id}/retry",
        "POST /api/v1/silences",
        // It changes nothing: what it asks is too long for an address.
        "POST /api/v1/silences/preview",
        "POST /api/v1/sources/{id}/poll",
    ]);
    let all = routes();
    let found: BTreeSet<String> = all
        .iter()
        .filter(|route| route.path.starts_with("/api/") && route.method != "GET")
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(found, writes.into_iter().map(String::from).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_text_on_every_page() {
    let Night { served, viewer, responder, .. } = night().await;
    let job: String = percent_encoding(HOSTILE);
    let pages = [
        "/".to_string(),
        "/wall".into(),
        "/alerts?state=all".into(),
        format!("/alerts?state=all&job={job}"),
        "/alerts/a2".into(),
        "/alerts/a3".into(),
        "/jobs".into(),
        format!("/jobs/s/{job}"),
        format!("/explain?subject={job}"),
        format!("/explain?source=s&job={job}&run=2"),
        "/deliveries".into(),
        "/deliveries/d2".into(),
        format!("/deliveries?receiver={job}"),
        "/silences".into(),
        format!("/silences?job={job}&reason={job}&for={job}&rule={job}"),
        "/digests".into(),
        "/digests/d4".into(),
        "/status".into(),
        format!("/nothing/{job}"),
        format!("/sign-in?next={job}"),
        // A database server takes no NUL, not even to look for it.
        "/alerts/%00".into(),
        "/alerts?job=a%00b".into(),
        "/jobs?source=%00".into(),
        "/jobs/s/%00".into(),
        "/explain?subject=%00".into(),
        "/explain?source=s&job=%00&run=%00".into(),
        "/deliveries/%00".into(),
        "/digests/%00".into(),
    ];
    for page in pages {
        for language in ["en", "zh"] {
            for role in [&viewer, &responder] {
                let headers =
                    [("authorization", role.as_str()), ("cookie", &format!("lang={language}; theme=dark; zone={job}"))];
                let answer = served.get(&page, &headers).await;
                assert_harmless(&page, &answer);
                assert!([200, 404].contains(&answer.status), "{page}: {answer:?}");
            }
        }
    }
    for path in
        ["alerts/%00", "deliveries/d%00", "digests/%00", "jobs/s/%00", "jobs/s/%00/calendar", "jobs/%00/x/instances"]
    {
        let answer = served.get(&format!("/api/v1/{path}"), &[("authorization", &viewer)]).await;
        assert!([200, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    for path in ["/api/v1/alerts", "/api/v1/alerts/a2", "/api/v1/deliveries/d2", "/api/v1/silences?state=all"] {
        let answer = served.get(path, &[("authorization", &viewer)]).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert!(answer.json().to_string().contains("onerror"), "{path} tells what there is");
    }
    served.stop().await;
}

fn percent_encoding(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
