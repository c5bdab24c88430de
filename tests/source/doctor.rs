//! What an examination finds out, on workspaces that behave in one way and in another.

use super::*;
use nightbell::sim::SimJob;
use nightbell::source::{Finding, Grade, Learnt};

/// The answer and the grade of the question that holds `words`.
fn answer<'a>(findings: &'a [Finding], words: &str) -> (&'a str, Grade) {
    let found = findings.iter().find(|finding| finding.question.contains(words));
    let found = found.unwrap_or_else(|| panic!("no question about {words}: {findings:?}"));
    (found.answer.as_str(), found.grade)
}

/// Instances of which each tells something: late starts, failures with words, one that waits.
fn fill(bench: &Bench, error_message: Option<&str>) {
    for n in 0..20 {
        let late = SimInstance::waiting("etl", n, ago(7200 + n as i64 * 60)).ended("success", ago(3600));
        bench.sim.put(SimInstance { start_time: Some(late.plan_time + SignedDuration::from_secs(30)), ..late });
    }
    let failed = SimInstance::waiting("etl", 100, ago(600)).ended("fail", ago(60));
    bench.sim.put(SimInstance { error_message: error_message.map(str::to_string), ..failed });
    bench.sim.put(SimInstance::waiting("etl", 101, ago(10)));
    bench.sim.put_job(SimJob::batch("etl", "SCHEDULING"));
}

fn learnt(pairs: &[(&str, &str)]) -> Learnt {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[tokio::test]
async fn a_workspace_as_documented_is_found_out_with_a_handful_of_calls() {
    let bench = Bench::start(SimConfig::default()).await;
    fill(&bench, Some("out of memory"));
    let source = bench.source();
    let findings = source.examine().await;
    for (words, expected) in [
        ("sign in", ("yes; 22 instances of the last 24 hours can be seen", Grade::Good)),
        ("list the jobs", ("1 batch jobs, 0 real-time jobs", Grade::Good)),
        ("span", ("7 days", Grade::Good)),
        ("\"offset\"", ("records", Grade::Good)),
        ("plan or start", ("plan times", Grade::Good)),
        ("waiting", ("yes", Grade::Good)),
        ("executeTime", ("minutes; not used, durations are counted from the times", Grade::Good)),
        ("errorMessage", ("yes, 1 of 1", Grade::Good)),
    ] {
        assert_eq!(answer(&findings, words), expected, "{words}");
    }
    let expected = [
        ("error_message", "yes"),
        ("execute_time", "minutes"),
        ("offset", "records"),
        ("span_days", "7"),
        ("window", "plan"),
    ];
    assert_eq!(source.learnt(), learnt(&expected));
    let requests = bench.sim.requests();
    assert!(requests.list + requests.jobs <= 8 && requests.detail == 0, "{requests:?}");
}

#[tokio::test]
async fn a_workspace_of_the_other_kind_is_found_out_too_and_polled_accordingly() {
    let config = SimConfig {
        offset: OffsetMeaning::Pages,
        window_by_start: true,
        span_days: 3,
        execute_time_unit: 1,
        ..SimConfig::default()
    };
    let bench = Bench::start(config).await;
    fill(&bench, None);
    let source = bench.source();
    let findings = source.examine().await;
    for (words, expected) in [
        ("span", ("3 days", Grade::Notice)),
        ("\"offset\"", ("pages", Grade::Good)),
        ("plan or start", ("start times", Grade::Notice)),
        ("waiting", ("none was waiting just now", Grade::Open)),
        ("executeTime", ("milliseconds; not used, durations are counted from the times", Grade::Good)),
        ("errorMessage", ("no, none of 1 does", Grade::Notice)),
    ] {
        assert_eq!(answer(&findings, words), expected, "{words}");
    }
    // A source that knows nothing is refused a week before it asks for it in parts; one that was told is not.
    let refused = bench.sim.requests().refused;
    bench.source().list(hours(7 * 24)).await.unwrap();
    assert_eq!(bench.sim.requests().refused, refused + 1);
    let told = bench.source();
    told.learn(&source.learnt());
    let listing = told.list(hours(7 * 24)).await.unwrap();
    assert_eq!(bench.sim.requests().refused, refused + 1);
    assert_eq!((listing.instances.len(), listing.requests), (21, 3));
    assert_eq!(told.learnt(), source.learnt());
}

#[tokio::test]
async fn an_empty_workspace_leaves_questions_open_and_teaches_nothing_wrong() {
    let bench = Bench::start(SimConfig::default()).await;
    let source = bench.source();
    let findings = source.examine().await;
    assert_eq!(answer(&findings, "sign in").1, Grade::Notice);
    for words in ["\"offset\"", "plan or start", "waiting", "executeTime", "errorMessage"] {
        assert_eq!(answer(&findings, words).1, Grade::Open, "{words}");
    }
    assert_eq!(source.learnt(), learnt(&[("span_days", "7")]));
}

#[tokio::test]
async fn what_is_wrong_with_signing_in_is_told_and_nothing_else_is_asked() {
    let bench = Bench::start(SimConfig { workspace_required: true, ..SimConfig::default() }).await;
    let right = bench.settings();
    let key = |access: &str, secret: &str| Auth::Key {
        access_key: inline(access),
        secret_key: inline(secret),
        security_token: None,
    };
    let known = bench.sim.config().access_key.clone();
    let cases = [
        ("the key", Settings { auth: key("UNKNOWNKEY", "canary"), ..right.clone() }, "APIGW.0301", "access key"),
        ("the signature", Settings { auth: key(&known, "canary"), ..right.clone() }, "APIGW.0301", "secret key"),
        ("the project", Settings { project_id: inline("other"), ..right.clone() }, "APIGW.0802", "permission"),
        ("no workspace", Settings { workspace: None, ..right.clone() }, "APIGW.0106", "workspace"),
        ("the workspace", Settings { workspace: Some("x".into()), ..right.clone() }, "DLF.0819", "workspace"),
    ];
    for (name, settings, code, help) in cases {
        let before = bench.sim.requests().refused;
        let findings = bench.open(&settings).examine().await;
        assert_eq!((findings.len(), findings[0].grade), (1, Grade::Bad), "{name}");
        let (told, advice) = (&findings[0].answer, findings[0].help.as_deref().unwrap());
        assert!(told.contains(code) && advice.contains(help), "{name}: {told}, {advice}");
        assert!(!format!("{findings:?}").contains("canary"), "{name}");
        assert_eq!(bench.sim.requests().refused - before, 1, "{name}");
    }
    let wrong: Arc<dyn Clock> = Arc::new(ManualClock::at(ago(3600)));
    let findings = open_with(&right, wrong).examine().await;
    assert!(findings[0].answer.contains("1h behind the service's"), "{findings:?}");
}

#[tokio::test]
async fn throttling_is_told_with_the_rate() {
    let bench = Bench::start(SimConfig::default()).await;
    bench.sim.inject(Fault::answer(429, "{}").on(Operation::Jobs).times(2));
    let findings = bench.source().examine().await;
    assert_eq!(answer(&findings, "rate limit").1, Grade::Notice);
    assert_eq!(answer(&findings, "list the jobs").1, Grade::Open);
}
