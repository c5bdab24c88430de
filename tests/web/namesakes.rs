//! Runs of many jobs with one and the same id, as of all workflows of one schedule: each is explained, and all of them can be
//! walked.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::model::Status;
use nightbell::store::PollLedger as _;

use super::{AROUND, Served};
use crate::program::{nightbell, text};
use crate::sample::{Place, at, commit, instance};

const JOBS: usize = 24;
const ID: &str = "scheduled__2026-11-21T00:00:00+00:00";
const ASKED: &str = "scheduled__2026-11-21T00%3A00%3A00%2B00%3A00";

async fn served() -> Served {
    let place = Place::new();
    let store = place.open().await;
    let mut poll = commit(0);
    poll.source = "s".into();
    poll.instances = (1..=JOBS)
        .map(|number| nightbell::model::Instance {
            source: "s".into(),
            ..instance(&format!("dag_{number:02}"), ID, Status::Success)
        })
        .collect();
    store.commit_poll(&poll).await.unwrap();
    store.close().await;
    drop(store);
    let web = "web: { listen: \"127.0.0.1:0\" }\n";
    Served::start_in(place, web, Arc::new(ManualClock::at(at(60)))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_runs_with_one_id_is_explained_by_page_and_api() {
    let served = served().await;
    for job in ["dag_03", "dag_11", "dag_24"] {
        let title = format!("<h2>{job} / {ID}");
        let query = format!("source=s&job={job}&run={ASKED}");
        for path in [format!("/explain?{query}"), format!("/explain?subject={job}/{ASKED}")] {
            let page = served.get(&path, &[]).await;
            // The plus sign of the offset is written as a browser is told it.
            let body = page.body.replace("&#43;", "+");
            assert!(page.status == 200 && body.contains(&title), "{title:?} is not on {path}: {body}");
        }
        for path in [format!("/api/v1/explain?{query}"), format!("/api/v1/explain?subject={job}/{ASKED}")] {
            let answer = served.get(&path, &[]).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let items = answer.json()["items"].as_array().unwrap().clone();
            assert_eq!((items.len(), &items[0]["job"]), (1, &job.into()), "{path}");
        }
    }
    for (path, status) in [
        ("/api/v1/explain?source=s&job=dag_25&run=x", 404),
        ("/api/v1/explain?source=s&job=dag_25", 404),
        ("/api/v1/explain?source=s&job=dag_24", 200),
        ("/api/v1/explain?source=s&job=slow", 200),
        ("/api/v1/explain?source=s", 400),
        ("/api/v1/explain?subject=dag_24&run=x", 400),
        ("/api/v1/explain", 400),
        ("/api/v1/explain?subject=x&cursor=nonsense", 400),
        ("/api/v1/explain?subject=x&limit=501", 400),
    ] {
        let answer = served.get(path, &[]).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_many_jobs_share_is_walked_to_the_last_of_them() {
    let served = served().await;
    let all: Vec<String> = (1..=JOBS).map(|number| format!("dag_{number:02}")).collect();
    for limit in [1, 7, 24, 500] {
        let (mut walked, mut next) = (Vec::new(), String::new());
        for _ in 0..=JOBS {
            let path = format!("/api/v1/explain?subject={ASKED}&limit={limit}{next}");
            let page = served.get(&path, &[]).await.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit, "{path}: {page}");
            walked.extend(items.iter().map(|item| item["job"].as_str().unwrap().to_string()));
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(walked, all, "{limit} at a time");
    }
    // The page shows ten, and leads on to the others.
    let (mut shown, mut path) = (Vec::new(), format!("/explain?subject={ASKED}"));
    for _ in 0..3 {
        let body = served.get(&path, &[]).await.body;
        shown.extend(all.iter().filter(|job| body.contains(&format!("<h2>{job} / "))).cloned());
        let further = body.split("<a class=\"button\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        match further {
            Some(link) => path = link.replace("&amp;", "&").replace("&#38;", "&"),
            None => break,
        }
    }
    assert_eq!(shown, all);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_explains_the_run_of_the_job_that_is_named() {
    let served = served().await;
    let file = served.place.directory.path().join("rules.yaml");
    std::fs::write(&file, format!("version: 1\nstore: \"{}\"\n{AROUND}", served.place.url())).unwrap();
    let explain = async |subject: String| {
        let mut command = nightbell(&["explain", "-c", file.to_str().unwrap(), &subject]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let one = explain(format!("dag_24/{ID}")).await;
    let said = text(&one.stdout);
    assert!(one.status.success() && said.starts_with(&format!("dag_24/{ID} in s\n")), "{said}{}", text(&one.stderr));
    let many = explain(ID.to_string()).await;
    let (said, complaint) = (text(&many.stdout), text(&many.stderr));
    assert_eq!(said.matches(&format!("/{ID} in s\n")).count(), 20, "{said}");
    assert!(complaint.contains("the first 20 of those with this id; name the job: JOB/ID"), "{complaint}");
    served.stop().await;
}
