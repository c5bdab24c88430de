//! The workspace in every spelling, order, meaning of `offset` and rate: whatever the real one turns out to be, the same
//! instances come over.

use super::*;
use nightbell::model::JobStatus;
use nightbell::sim::{Dialect, ListOrder, SimJob};

const DIALECTS: [Dialect; 3] = [Dialect::Present, Dialect::Dgc, Dialect::Snake];

#[tokio::test]
async fn the_same_instance_comes_over_in_every_dialect() {
    for dialect in DIALECTS {
        let bench = Bench::start(SimConfig { dialect, ..SimConfig::default() }).await;
        let node = SimNode::ended("load", "DWS SQL", "fail", ago(50), ago(42)).log_path("obs://log/a b");
        let words = Some("relation does not exist".to_string());
        bench.sim.put(SimInstance {
            kind: 7,
            error_message: words.clone(),
            ..SimInstance::waiting("月结", 1, ago(60)).ended("fail", ago(42)).node(node)
        });
        let source = bench.source();
        let mut listing = source.list(hours(1)).await.unwrap();
        assert_eq!((listing.instances.len(), listing.coverage.set_aside.len()), (1, 0), "{dialect:?}");
        let listed = listing.instances.remove(0);
        let detail = source.detail(&listed).await.unwrap();
        for instance in [&listed, &detail.instance] {
            assert_eq!((instance.job.name.as_str(), instance.id.as_str()), ("月结", "1"), "{dialect:?}");
            assert_eq!((instance.status, instance.name.as_deref()), (Status::Fail, Some("月结")), "{dialect:?}");
            assert_eq!((instance.plan_time, instance.start_time), (Some(ago(60)), Some(ago(60))), "{dialect:?}");
            assert_eq!(instance.duration(now()), Some(Duration::from_secs(18)), "{dialect:?}");
            // What the older one does not tell is unknown.
            let is_old = dialect == Dialect::Dgc;
            let kind = if is_old { InstanceType::Unknown } else { InstanceType::Once };
            assert_eq!((instance.kind, instance.job.id.is_none()), (kind, is_old), "{dialect:?}");
            assert_eq!(instance.error, words.clone().filter(|_| !is_old), "{dialect:?}");
        }
        assert_eq!(detail.nodes[0].log_path.as_deref(), Some("obs://log/a b"), "{dialect:?}");
        assert_eq!((detail.nodes[0].name.as_str(), detail.nodes[0].retries), ("load", Some(0)), "{dialect:?}");
    }
}

#[tokio::test]
async fn flags_make_statuses_of_their_own_in_the_dialects_that_have_them() {
    for dialect in DIALECTS {
        let bench = Bench::start(SimConfig { dialect, ..SimConfig::default() }).await;
        bench.sim.put(SimInstance { ignore_success: true, ..success(1, 60) });
        bench.sim.put(SimInstance { force_success: true, ..success(2, 60) });
        let mut statuses: Vec<_> = bench
            .source()
            .list(hours(1))
            .await
            .unwrap()
            .instances
            .iter()
            .map(|one| (one.id.clone(), one.status))
            .collect();
        statuses.sort_by(|a, b| a.0.cmp(&b.0));
        let statuses: Vec<_> = statuses.into_iter().map(|(_, status)| status).collect();
        let expected = match dialect {
            Dialect::Dgc => [Status::Success, Status::Success],
            Dialect::Present | Dialect::Snake => [Status::IgnoredFailure, Status::ForcedSuccess],
        };
        assert_eq!(statuses, expected, "{dialect:?}");
    }
}

#[tokio::test]
async fn named_jobs_jobs_themselves_and_errors_are_right_in_every_dialect() {
    for dialect in DIALECTS {
        let bench = Bench::start(SimConfig { dialect, workspace_required: true, ..SimConfig::default() }).await;
        for (id, job) in [(1, "etl"), (2, "etl_2"), (3, "my_etl")] {
            bench.sim.put(SimInstance { job: job.to_string(), ..success(id, 60) });
        }
        let job = SimJob { last_instance: Some(("fail".into(), ago(9))), ..SimJob::batch("etl", "PAUSED") };
        bench.sim.put_job(job);
        let settings = Settings { jobs: vec!["etl".to_string()], ..bench.settings() };
        let source = bench.open(&settings);
        // The older dialect takes the name for a part of one.
        assert_eq!(ids(&source.list(hours(1)).await.unwrap()), BTreeSet::from(["1".to_string()]), "{dialect:?}");
        let job = source.jobs().await.unwrap().jobs.remove(0);
        let told = (job.status, job.last_instance_status.as_deref(), job.last_instance_end_time);
        assert_eq!(told, (JobStatus::Paused, Some("fail"), Some(ago(9))), "{dialect:?}");
        let error = bench.open(&Settings { workspace: None, ..settings }).list(hours(1)).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Configuration, "{dialect:?}: {error}");
        assert!(error.message.contains(".0106") && error.to_string().contains("workspace"), "{error}");
    }
}

#[tokio::test]
async fn every_instance_is_read_in_whatever_order_the_list_comes() {
    use ListOrder::{NewestFirst, OldestFirst, Shuffled, ShuffledAnew};
    for order in [NewestFirst, OldestFirst, Shuffled, ShuffledAnew] {
        for offset in [OffsetMeaning::Records, OffsetMeaning::Pages] {
            let bench = Bench::start(SimConfig { order, offset, ..SimConfig::default() }).await;
            bench.sim.put_all((0..2500).map(|n| success(n, 3600 + n as i64)));
            let source = bench.source();
            for poll in 0..2 {
                let listing = source.list(hours(24)).await.unwrap();
                assert_eq!(
                    (ids(&listing).len(), listing.coverage.is_whole()),
                    (2500, true),
                    "{order:?} {offset:?} {poll}"
                );
                // A list that keeps its order costs its pages; one that does not is read by halving its time.
                let most = if order == ShuffledAnew { 60 } else { 4 };
                assert!(listing.requests <= most, "{order:?} {offset:?} {poll}: {} requests", listing.requests);
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_that_bears_few_requests_is_throttled_and_read_whole_a_minute_later() {
    let manual = ManualClock::at(now());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let config = SimConfig { requests_per_minute: Some(4), ..SimConfig::default() };
    let bench = Bench { sim: SimWorkspace::start(config, Arc::clone(&clock)).await.unwrap(), clock };
    bench.sim.put_all((0..2500).map(|n| success(n, 3600 + n as i64)));
    let source = bench.source();
    assert_eq!(source.list(hours(24)).await.unwrap().instances.len(), 2500);
    let error = source.list(hours(24)).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Throttled, "{error}");
    assert!(error.message.contains("APIGW.0308") && error.to_string().contains("requests_per_second"), "{error}");
    manual.set(now() + SignedDuration::from_mins(1));
    assert_eq!(source.list(hours(24)).await.unwrap().instances.len(), 2500);
}
