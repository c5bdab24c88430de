//! The schedules that the service tells of its jobs.

use jiff::SignedDuration;
use nightbell::model::JobSchedule;
use nightbell::sim::{Fault, Operation, SimTiming};
use nightbell::source::TellsSchedules as _;

use super::{Bench, now};

/// Each schedule as "job: next due time" or "job: why not".
fn told(schedules: Vec<JobSchedule>) -> Vec<String> {
    let line = |told: JobSchedule| match told.due {
        Ok(schedule) => format!("{}: {}", told.job, schedule.next_after(now()).unwrap()),
        Err(why) => format!("{}: {why}", told.job),
    };
    schedules.into_iter().map(line).collect()
}

fn timing(time_type: i64, expression: &str) -> SimTiming {
    SimTiming { time_type, ..SimTiming::cron(expression) }
}

#[tokio::test]
async fn the_schedules_of_jobs_are_read_in_the_zone_of_the_source() {
    let bench = Bench::start().await;
    let cases = [
        ("daily", SimTiming::cron("0 0 2 * * ?")),
        ("off", SimTiming { is_enabled: false, ..SimTiming::cron("0 0 2 * * ?") }),
        ("calendar", SimTiming { calendar: "workdays".into(), ..SimTiming::cron("0 0 2 * * ?") }),
        ("rate", timing(3, "3600")),
        ("after", timing(4, "60")),
        ("once", timing(5, "2026-11-22 00:00:00")),
        ("called", timing(100, "")),
        ("odd", SimTiming::cron("0 0 2 31W * ?")),
        ("new", timing(77, "?")),
    ];
    bench.sim.remove_job(1);
    for (id, (name, timing)) in (10..).zip(cases) {
        bench.sim.put_job(id, name);
        bench.sim.plan_job(id, timing);
    }
    for id in [30, 31] {
        bench.sim.put_job(id, "twin");
    }
    let source = bench.source();
    assert_eq!(
        told(source.schedules().await.unwrap()),
        [
            "after: it runs a while after the run before",
            "calendar: it goes by a calendar of the service",
            "daily: 2026-11-21T18:00:00Z",
            "new: what plans it is not known",
            "odd: its expression \"0 0 2 31W * ?\" cannot be followed: its day of the month is \"31W\"",
            "rate: it runs at a fixed rate, and from when on is not told",
            "twin: several jobs have this name",
        ]
    );
    let mut settings = bench.settings();
    settings.jobs = vec!["10".into(), "30".into()];
    let some = told(bench.open(&settings).schedules().await.unwrap());
    assert_eq!(some, ["daily: 2026-11-21T18:00:00Z", "twin: 2026-11-21T01:00:00Z"]);
}

#[tokio::test]
async fn schedules_of_a_while_ago_do_not_serve() {
    let bench = Bench::start().await;
    let source = bench.source();
    assert_eq!(told(source.schedules().await.unwrap()), ["load: 2026-11-21T01:00:00Z"]);
    bench.clock.set(now() + SignedDuration::from_mins(1));
    bench.sim.plan_job(1, SimTiming::cron("0 30 * * * ?"));
    assert_eq!(told(source.schedules().await.unwrap()), ["load: 2026-11-21T00:30:00Z"]);
    bench.clock.set(now() + SignedDuration::from_mins(2));
    bench.sim.inject(Fault::answer(503, "").on(Operation::Action("ListJobs")).times(20));
    source.schedules().await.unwrap_err();
}
