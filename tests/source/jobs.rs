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
            let jobs = source.jobs().await.unwrap();
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
    let jobs = source.jobs().await.unwrap();
    assert_eq!((jobs[0].status, jobs[0].owner.as_deref()), (JobStatus::Exception, Some("etl-team")));
    let nodes = source.job_nodes(&jobs[0]).await.unwrap();
    assert_eq!((nodes[0].status, nodes[0].log_path.as_deref()), (Status::Fail, Some("obs://log/流 a")));
    let gone = Job { name: "gone".to_string(), ..jobs[0].clone() };
    assert_eq!(source.job_nodes(&gone).await.unwrap_err().kind, SourceErrorKind::NotFound);
}
