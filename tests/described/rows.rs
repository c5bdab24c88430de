//! What every description can say: ways to sign in, pages, windows, samples, and what `doctor` shows of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nightbell::model::Status;
use nightbell::source::{Grade, SourceErrorKind};
use serde_json::{Value, json};

use super::service::{Asked, Service, Told, ok, told};
use super::{configured, listed, refused, source};
use crate::program::{nightbell, text};

const HOST: &str = "https://s.example.com";
const ROWS: &str = r#"items: /rows
fields:
  id: /id
  job: /job
  status: /status
  planned: { pointer: /at, format: epoch }
  ended: { pointer: /end, format: epoch }
status_map: { done: success, bad: fail, busy: running }
"#;

fn row(id: u64, status: &str) -> Value {
    json!({ "id": id, "job": format!("job_{id}"), "status": status, "at": 1_795_219_200, "end": 1_795_219_260 })
}

fn rows(rows: &[Value]) -> Value {
    json!({ "rows": rows })
}

fn keys(more: &str) -> String {
    format!("type: http\nurl: {HOST}/runs\n{more}\n{ROWS}")
}

#[tokio::test]
async fn every_way_to_sign_in_is_sent_as_it_should_be() {
    let table = [
        ("auth: { user: { env: U }, password: { env: P } }", "authorization", "Basic dTpw"),
        ("auth: { token: { env: T } }", "authorization", "Bearer t"),
        ("auth: { header: X-Token, value: { env: T } }", "x-token", "t"),
        ("headers: { X-Api-Key: { env: K } }", "x-api-key", "k"),
    ];
    for (auth, name, value) in table {
        let service = Service::start(|_| ok(rows(&[row(1, "done")]))).await;
        listed(&*source(&keys(auth), HOST, &service)).await;
        assert_eq!(service.asked()[0].header(name), value, "{auth}");
    }
}

/// A token in a file is read again for each request: whoever renews it need tell nobody.
#[tokio::test]
async fn a_token_in_a_file_is_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let service = Service::start(|_| ok(rows(&[]))).await;
    let night = source(&keys(&format!("auth: {{ token: {{ file: {} }} }}", file.path().display())), HOST, &service);
    for token in ["first", "second"] {
        std::fs::write(file.path(), token).unwrap();
        listed(&*night).await;
        assert_eq!(service.asked()[0].header("authorization"), format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn a_login_s_token_is_renewed_once_when_it_is_refused() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&logins);
    let service = Service::start(move |asked: &Asked| -> Told {
        if asked.path == "/login" {
            let count = counted.fetch_add(1, Ordering::SeqCst) + 1;
            return ok(json!({ "data": { "token": format!("canary-{count}"), "seconds": 3600 } }));
        }
        match asked.header("x-session") {
            "canary-1" => told(401, json!({ "message": "session canary-1 has ended" }).to_string()),
            "canary-2" => ok(rows(&[row(1, "bad")])),
            _ => told(403, "{}"),
        }
    })
    .await;
    let login = "auth:\n  login:\n    url: /login\n    user: { env: U }\n    password: { env: P }\n    \
                 body: { name: \"{{user}}\", password: \"{{password}}\" }\n    token: /data/token\n    \
                 expires_in: /data/seconds\n    header: X-Session";
    let night = source(&keys(login), HOST, &service);
    listed(&*night).await;
    assert_eq!(service.asked()[0].json(), json!({ "name": "u", "password": "p" }));
    listed(&*night).await;
    assert_eq!(logins.load(Ordering::SeqCst), 2);
    // One that is refused although it is new is told, without the token.
    let refusing = Service::start(|asked| {
        if asked.path == "/login" {
            ok(json!({ "data": { "token": "canary-9" } }))
        } else {
            told(401, "who is canary-9?")
        }
    })
    .await;
    let error = refused(&*source(&keys(login), HOST, &refusing)).await;
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(error.message.contains("who is <secret>?") && !format!("{error:?}").contains("canary"), "{error:?}");
    assert_eq!(refusing.asked().len(), 4, "a sign-in and a request, twice");
}

#[tokio::test]
async fn pages_follow_links_of_the_same_host_only() {
    let service = Service::start(|asked| match asked.path.as_str() {
        "/runs" => ok(rows(&[row(1, "done")])).header("link", "</more?p=2>; rel=\"next\""),
        "/more" => ok(rows(&[row(2, "done")])),
        _ => told(404, ""),
    })
    .await;
    let night = source(&keys("paging: { kind: link, header: true }"), HOST, &service);
    assert_eq!(listed(&*night).await.instances.len(), 2);
    let elsewhere =
        Service::start(|_| ok(json!({ "rows": [row(1, "done")], "next": "http://127.0.0.1:1/steal" }))).await;
    let error = refused(&*source(&keys("paging: { kind: link, pointer: /next }"), HOST, &elsewhere)).await;
    assert!(error.message.contains("another host"), "{error}");
}

/// Rows that move while they are read: the list is read once more, and what is lost then is said.
#[tokio::test]
async fn rows_that_move_while_they_are_read_are_read_again() {
    let moves = Arc::new(Mutex::new(1));
    let left = Arc::clone(&moves);
    let service = Service::start(move |asked| {
        let mut all: Vec<Value> = (1..=5).map(|id| row(id, "done")).collect();
        let start: usize = asked.get("start").parse().unwrap();
        let mut left = left.lock().unwrap();
        if start > 0 && *left > 0 {
            // A row of the first page went: the rest have moved up.
            *left -= 1;
            all.remove(0);
        }
        ok(rows(&all.into_iter().skip(start).take(2).collect::<Vec<_>>()))
    })
    .await;
    let keys = keys("query: { start: \"{{offset}}\" }\npaging: { kind: offset }");
    let listing = source(&keys, HOST, &service).list(super::day()).await.unwrap();
    assert_eq!((listing.instances.len(), listing.coverage.is_whole()), (5, true));
    *moves.lock().unwrap() = 100;
    let listing = source(&keys, HOST, &service).list(super::day()).await.unwrap();
    assert!(!listing.coverage.is_whole(), "{:?}", listing.coverage);
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let count = AtomicUsize::new(0);
    let service = Service::start(move |_| ok(rows(&[row(count.fetch_add(1, Ordering::SeqCst) as u64, "done")]))).await;
    let error = refused(&*source(
        &keys("query: { p: \"{{page}}\" }\npaging: { kind: page, max_pages: 7 }\nrequests_per_second: 1000"),
        HOST,
        &service,
    ))
    .await;
    assert!(error.message.contains("more than 7 pages"), "{error}");
    assert_eq!(service.asked().len(), 7);
}

/// A scheduler without a window: Nightbell keeps what the window has, and what has not ended.
#[tokio::test]
async fn a_window_is_kept_where_the_scheduler_has_none() {
    let old = |id, status: &str| json!({ "id": id, "job": "old", "status": status, "at": 1_700_000_000, "end": 1_700_000_060 });
    let service = Service::start(move |asked| match asked.get("p") {
        "1" => ok(rows(&[row(1, "done"), old(2, "busy")])),
        "2" => ok(rows(&[old(3, "done"), old(4, "bad")])),
        _ => ok(rows(&[old(5, "done")])),
    })
    .await;
    let night = source(&keys("query: { p: \"{{page}}\" }\npaging: { kind: page, newest_first: true }"), HOST, &service);
    let listing = listed(&*night).await;
    let ids: Vec<_> = listing.instances.iter().map(|run| run.id.as_str()).collect();
    assert_eq!((ids, listing.requests), (vec!["1", "2"], 2), "reading ends where the window begins");
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_costs_itself_only_and_is_said() {
    let odd = [
        row(1, "bad"),
        json!({ "job": "no_id", "status": "bad" }),
        json!({ "id": 3, "job": "odd_time", "status": "bad", "at": "soon" }),
        row(4, "dreaming"),
        json!(7),
    ];
    let service = Service::start(move |_| ok(rows(&odd))).await;
    let listing = source(&keys(""), HOST, &service).list(super::day()).await.unwrap();
    let told: Vec<_> = listing.instances.iter().map(|run| (run.id.as_str(), run.status)).collect();
    assert_eq!(told, [("1", Status::Fail), ("3", Status::Fail), ("4", Status::Unknown)]);
    assert!(listing.coverage.is_whole(), "the cursor moves on");
    let reasons: Vec<_> = listing.coverage.set_aside.iter().map(|aside| aside.reason.as_str()).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(listing.coverage.may_miss("no_id", |_| true));
    let said = listing.coverage.reasons().join("; ");
    assert!(said.starts_with("4 items could not be understood") && said.contains("\"id\" is not at /id"), "{said}");
}

/// A log that is a text is no JSON, says nothing of success, and may be longer than any answer that is read whole.
#[tokio::test]
async fn the_end_of_a_log_that_is_a_long_text_is_told() {
    let lines: String =
        (0..300_000).map(|number| format!("{number}: a line of a log that goes on and on and on\n")).collect();
    assert!(2 * lines.len() > 16 << 20);
    let log = format!("{lines}{lines}bad row 7, password=canary");
    let service = Service::start(move |asked| match asked.path.as_str() {
        "/runs" => ok(json!({ "code": 0, "rows": [row(1, "bad")] })),
        "/runs/1/log" => told(200, log.clone()).header("content-type", "text/plain"),
        _ => told(404, ""),
    })
    .await;
    let more = "success: { pointer: /code, values: [\"0\"] }\nlog: { url: \"/runs/{{id}}/log\" }";
    let night = source(&keys(more), HOST, &service);
    let run = listed(&*night).await.instances.remove(0);
    let told = night.detail(&run).await.unwrap().instance.error.unwrap();
    assert!(told.contains("299999: a line") && told.ends_with("bad row 7, password=<redacted>"), "{told}");
}

#[tokio::test]
async fn doctor_shows_rows_as_they_are_read_beside_the_raw_ones() {
    let service =
        Service::start(|_| ok(rows(&[row(1, "bad"), row(2, "dreaming"), json!({ "id": 3, "password": "canary" })])))
            .await;
    let found = source(&keys("calls_per_day: 100"), HOST, &service).examine().await;
    assert_eq!(service.asked().len(), 1);
    let answers = |question: &str| -> Vec<(String, Grade)> {
        let of = found.iter().filter(|finding| finding.question == question);
        of.map(|finding| (finding.answer.clone(), finding.grade)).collect()
    };
    let read = answers("How is a row read?");
    assert_eq!(read.len(), 3);
    assert!(
        read[0].0.contains("id 1 job \"job_1\" status fail (bad)") && read[0].0.contains("\"status\":\"bad\""),
        "{read:?}"
    );
    assert!(read[2].0.starts_with("set aside") && read[2].1 == Grade::Bad && !read[2].0.contains("canary"), "{read:?}");
    assert!(answers("Is every row understood?")[0].0.contains("\"dreaming\" is not in \"status_map\""));
    assert!(answers("What was never seen?")[0].0.contains("no run has the status busy, done"));
    assert!(answers("How often can it be polled?")[0].0.contains("every 15 minutes"), "{found:?}");
    let silent = Service::start(|_| told(401, "")).await;
    let found = source(&keys(""), HOST, &silent).examine().await;
    assert_eq!((found.len(), found[0].question.as_str(), found[0].grade), (1, "Can it sign in?", Grade::Bad));
}

#[tokio::test]
async fn a_saved_answer_is_mapped_without_a_network() {
    let service = Service::start(|_| told(500, "")).await;
    let config = configured(&keys("success: { pointer: /code, values: [\"0\"] }"), HOST, &service);
    let map = |text: &str| config.sources[0].scheduler.map_sample(&config.sources[0].id, text.as_bytes()).unwrap();
    let sample =
        map(&json!({ "code": 0, "rows": [row(1, "bad"), row(2, "dreaming"), { "id": 3 }] }).to_string()).unwrap();
    assert_eq!(sample.rows.len(), 2);
    assert!(sample.rows[0].mapped.contains("status fail (bad)") && sample.rows[0].raw.contains("job_1"), "{sample:?}");
    let notes = sample.notes.join("; ");
    assert!(notes.contains("dreaming") && notes.contains("\"job\" is not at /job"), "{notes}");
    assert!(map(&json!({ "code": 7, "rows": [] }).to_string()).unwrap_err().contains("/code is 7"));
    assert!(map("<html>").unwrap_err().contains("HTML"));
    assert_eq!(service.asked().len(), 0);
}

#[test]
fn what_is_wrong_with_a_description_is_told_at_its_key() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime.block_on(Service::start(|_| ok(rows(&[]))));
    let table = [
        ("query: { p: \"{{page}}\" }", "sources.night", "\"paging\" is missing"),
        ("paging: { kind: page }", "sources.night.paging.kind", "the request has no {{page}}"),
        ("paging: { kind: pages }", "sources.night.paging.kind", "did you mean \"page\""),
        ("query: { c: \"{{cursor}}\" }\npaging: { kind: cursor }", "sources.night.paging.kind", "do not fit cursor"),
        ("query: { f: \"{{from:%Y-%m-%d}}\" }", "sources.night", "names no zone"),
        ("auth: { tokn: { env: T } }", "sources.night.auth", "did you mean \"token\""),
        ("auth: { token: { env: T }, header: X }", "sources.night.auth", "several ways"),
        ("log: { url: \"/log/{{node}}\" }", "sources.night.log", "which \"detail\" does not read"),
        ("calls_per_day: 0", "sources.night.calls_per_day", "more than 0"),
        ("itemz: /x", "sources.night.itemz", "unknown key"),
    ];
    for (more, path, words) in table {
        let text = keys(more);
        let problem = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| configured(&text, HOST, &service)));
        let problem = *problem.expect_err(more).downcast::<String>().unwrap();
        assert!(problem.contains(path) && problem.contains(words), "{more}: {problem}");
    }
}

/// A test in the rule file lists the runs of a saved answer, and is held to what it expects.
#[test]
fn a_test_plays_a_saved_answer() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let due = "2026-11-21T02:00:00Z";
    let row =
        |id, state: &str, ended: &str| json!({ "id": id, "job": "etl", "state": state, "due": due, "ended": ended });
    let answer = json!({ "rows": [row(1, "ok", due), row(2, "bad", "2026-11-21T03:10:00Z")] });
    write("runs.json", &answer.to_string());
    let rules = |to: &str, file: &str| {
        format!(
            "version: 1\nsources:\n  night:\n    type: http\n    url: http://127.0.0.1:9/runs\n    items: /rows\n    fields: {{ id: /id, \
             job: /job, status: /state, planned: /due, ended: /ended }}\n    status_map: {{ ok: success, bad: fail }}\nreceivers:\n  hook: {{ type: webhook, \
             url: \"http://127.0.0.1:9/\" }}\n  mail: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\nrules:\n  failed: {{ when: {{ \
             status: [fail] }}, notify: [hook] }}\ntests:\n  saved:\n    at: \"2026-11-21T02:30:00Z\"\n    samples: [{{ file: {file} }}]\n    \
             expect:\n      - {{ at: \"2026-11-21T03:10:00Z\", rule: failed, job: etl, to: [{to}] }}\n"
        )
    };
    let run = |rules: &str| {
        write("rules.yaml", rules);
        let output = nightbell(&["test", "-c", "rules.yaml"]).current_dir(directory.path()).output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        (output.status.code(), said)
    };
    assert_eq!(run(&rules("hook", "runs.json")).0, Some(0), "{:?}", run(&rules("hook", "runs.json")));
    let (code, said) = run(&rules("mail", "runs.json"));
    assert!(code == Some(1) && said.contains("it went to hook, and not to mail"), "{code:?} {said}");
    let (code, said) = run(&rules("hook", "gone.json"));
    assert!(
        code == Some(78) && said.contains("tests.saved.samples[0].file") && said.contains("cannot be read"),
        "{code:?} {said}"
    );
    write("empty.json", "{\"rows\": []}");
    let (code, said) = run(&rules("hook", "empty.json"));
    assert!(code == Some(78) && said.contains("it has no run"), "{code:?} {said}");
}
