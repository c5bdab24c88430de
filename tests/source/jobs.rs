//! The job list and the status of real-time jobs.

use super::*;
use nightbell::model::{Job, JobStatus};
use nightbell::sim::SimJob;

fn names(jobs: &[Job]) -> BTreeSet<String> {
    jobs.iter().map(|job| job.name.clone()).collect()
}

#[tokio::test]
async fn every_job_of_both_kinds_is_read_under_both_meanings_of_offset() {
    for offset in [OffsetMeaning::Records, OffsetMeaning::Pages] {
        let bench = Bench::start(SimConfig { offset, ..SimConfig::default() }).await;
        for n in 0..350 {
            bench.sim.put_job(SimJob::batch(&format!("batch_{n:04}"), "SCHEDULING"));
        }
        for n in 0..101 {
            bench.sim.put_job(SimJob::real_time(&format!("stream_{n:04}"), "NORMAL"));
        }
        let source = bench.source();
        for poll in 0..2 {
            let before = bench.sim.requests().jobs;
            let list = source.jobs().await.unwrap();
            assert_eq!(list.shortfall, None, "{offset:?}");
            let jobs = list.jobs;
            assert_eq!((jobs.len(), names(&jobs).len()), (451, 451), "{offset:?}");
            assert_eq!(jobs.iter().filter(|job| job.is_real_time).count(), 101, "{offset:?}");
            let requests = bench.sim.requests().jobs - before;
            assert!(requests <= 7 - poll, "{offset:?}: {requests} requests");
        }
    }
}

#[tokio::test]
async fn a_job_list_that_is_not_whole_is_an_error() {
    let bench = Bench::start(SimConfig::default()).await;
    let body = r#"{"total":3,"jobs":[{"name":"a","status":"STOPPED"}]}"#;
    bench.sim.inject(Fault::answer(200, body).on(Operation::Jobs).times(1000));
    let error = bench.source().jobs().await.unwrap_err();
    assert_eq!(error.message, "1 of 3 jobs could be read");
    assert!(bench.sim.requests().jobs < 10);
}

#[tokio::test]
async fn the_nodes_of_a_real_time_job_come_with_its_status() {
    let bench = Bench::start(SimConfig::default()).await;
    let node = SimNode::ended("out", "MRSFlinkJob", "EXCEPTION", ago(60), now()).log_path("obs://log/流 a");
    bench.sim.put_job(SimJob { nodes: vec![node], ..SimJob::real_time("流 a", "EXCEPTION") });
    let source = bench.source();
    let jobs = source.jobs().await.unwrap().jobs;
    assert_eq!((jobs[0].status, jobs[0].owner.as_deref()), (JobStatus::Exception, Some("etl-team")));
    let nodes = source.nodes_of(&jobs[0]).await.unwrap();
    assert_eq!((nodes[0].status, nodes[0].log_path.as_deref()), (Status::Fail, Some("obs://log/流 a")));
    let gone = Job { name: "gone".to_string(), ..jobs[0].clone() };
    assert_eq!(source.nodes_of(&gone).await.unwrap_err().kind, SourceErrorKind::NotFound);
}

/// One odd item must not hide all other jobs for ever.
#[tokio::test]
async fn an_odd_job_costs_no_other_job() {
    let bench = Bench::start(SimConfig::default()).await;
    for (odd, known) in [
        (r#"{"name":"b"}"#, 2),
        (r#"{"name":"b","status":{}}"#, 2),
        (r#"{"status":"NORMAL"}"#, 1),
        ("null", 1),
        (r#"{"name":"b","name":"c","status":"NORMAL"}"#, 1),
    ] {
        let body = format!(r#"{{"total":2,"jobs":[{{"name":"a","status":"STOPPED"}},{odd}]}}"#);
        bench.sim.inject(Fault::answer(200, body).on(Operation::Jobs));
        let list = bench.source().jobs().await.unwrap();
        // A row without a name may be of any job: that one is not in the list proves nothing.
        assert_eq!(list.shortfall.is_none(), known == 2, "{odd}");
        let jobs = list.jobs;
        assert_eq!(jobs.len(), known, "{odd}");
        assert!(jobs.iter().all(|job| job.name == "a" || job.status == JobStatus::Unknown), "{odd}");
    }
}

/// Without a total, a full page is no end.
#[tokio::test]
async fn a_job_list_without_a_total_is_read_to_its_end() {
    let bench = Bench::start(SimConfig::default()).await;
    let page = |from: usize, to: usize| {
        let jobs: Vec<String> = (from..to).map(|n| format!(r#"{{"name":"job_{n}","status":"STOPPED"}}"#)).collect();
        Fault::answer(200, format!(r#"{{"jobs":[{}]}}"#, jobs.join(","))).on(Operation::Jobs)
    };
    // By pages: the second and the third follow, and behind them is nothing.
    for (from, to) in [(0, 100), (100, 200), (200, 230), (0, 0)] {
        bench.sim.inject(page(from, to));
    }
    let list = bench.source().jobs().await.unwrap();
    assert_eq!((list.jobs.len(), list.shortfall), (230, None));
}
