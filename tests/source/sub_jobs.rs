//! Which real-time job a sub-job belongs to, and what it costs to find out.

use super::*;
use nightbell::model::{Belonging, JobRef, PartOf};
use nightbell::sim::SimJob;

/// A run of a sub-job of this name.
fn run_of(name: &str, kind: InstanceType) -> Instance {
    Instance { job: JobRef { name: name.to_string(), id: None }, kind, ..an_instance("1") }
}

fn stream(name: &str, nodes: &[&str]) -> SimJob {
    let nodes = nodes.iter().map(|node| SimNode::ended(node, "DLISpark", "NORMAL", ago(60), now())).collect();
    SimJob { nodes, ..SimJob::real_time(name, "NORMAL") }
}

fn part(job: &str, node: &str) -> Option<Belonging> {
    Some(Belonging::Node(PartOf { job: job.to_string(), node: node.to_string() }))
}

/// (list of jobs, status of a job) asked for so far.
fn asked(bench: &Bench) -> (usize, usize) {
    (bench.sim.requests().jobs, bench.sim.requests().job_status)
}

#[tokio::test]
async fn a_sub_job_belongs_to_the_real_time_job_whose_name_and_node_it_has() {
    use InstanceType::{Scheduled, Subjob, Unknown};
    let bench = Bench::start(SimConfig::default()).await;
    for job in [
        stream("job_sms", &["DLI_SMS_PROCESS"]),
        stream("a", &["b_c", "b_x"]),
        stream("a_b", &["c", "d"]),
        stream("流_订单", &["入 库"]),
    ] {
        bench.sim.put_job(job);
    }
    bench.sim.put_job(SimJob::batch("job", "SCHEDULING"));
    let source = bench.source();
    let table = [
        ("job_sms_DLI_SMS_PROCESS", Subjob, part("job_sms", "DLI_SMS_PROCESS")),
        ("流_订单_入 库", Subjob, part("流_订单", "入 库")),
        // Both have such a node: the longest name is the likeliest.
        ("a_b_c", Subjob, part("a_b", "c")),
        // Only the shorter one has it.
        ("a_b_x", Subjob, part("a", "b_x")),
        // Nobody has it, the node was renamed since.
        ("a_b_z", Subjob, part("a_b", "z")),
        ("job_sms_gone", Subjob, part("job_sms", "gone")),
        ("job_other", Subjob, None),
        ("job_sms", Subjob, None),
        // The older dialect tells no type, and then only a node's name proves it.
        ("job_sms_DLI_SMS_PROCESS", Unknown, part("job_sms", "DLI_SMS_PROCESS")),
        ("job_sms_gone", Unknown, None),
        ("etl_orders", Unknown, None),
        ("job_sms_DLI_SMS_PROCESS", Scheduled, None),
    ];
    for (name, kind, expected) in table {
        assert_eq!(source.belonging(&run_of(name, kind), false).await, expected, "{name} {kind:?}");
    }
    assert_eq!(asked(&bench), (1, 3), "one list, and each of three jobs once");
}

#[tokio::test]
async fn the_list_of_real_time_jobs_serves_for_minutes_and_trouble_is_not_asked_again_at_once() {
    let manual = ManualClock::at(now());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let bench = Bench { sim: SimWorkspace::start(SimConfig::default(), Arc::clone(&clock)).await.unwrap(), clock };
    let (source, run) = (bench.source(), run_of("s_out", InstanceType::Subjob));
    bench.sim.inject(Fault::answer(403, "").on(Operation::Jobs));
    for (minutes, lists, expected) in
        [(0, 1, None), (4, 1, None), (5, 2, part("s", "out")), (9, 2, part("s", "out")), (10, 3, part("s", "out"))]
    {
        bench.sim.put_job(stream("s", &["out"]));
        manual.set(now() + SignedDuration::from_mins(minutes));
        assert_eq!(source.belonging(&run, false).await, expected, "after {minutes} minutes");
        assert_eq!(asked(&bench), (lists, 0), "after {minutes} minutes");
    }
    // Names of a while ago serve while the list cannot be read.
    manual.set(now() + SignedDuration::from_mins(20));
    bench.sim.inject(Fault::answer(403, "").on(Operation::Jobs));
    assert_eq!(source.belonging(&run, false).await, part("s", "out"));
    // Who reads all jobs anyway has the names.
    manual.set(now() + SignedDuration::from_mins(30));
    source.jobs().await.unwrap();
    let before = asked(&bench);
    assert_eq!(source.belonging(&run, false).await, part("s", "out"));
    assert_eq!(asked(&bench), before);
}
