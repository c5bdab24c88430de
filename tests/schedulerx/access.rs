//! Signing in, seeing the groups, keeping to the rate, and what is no answer.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use nightbell::clock::{Clock, ManualClock};
use nightbell::sim::{Fault, FaultKind, GroupLists, Operation};
use nightbell::source::schedulerx::Settings;
use nightbell::source::{Grade, Source, SourceErrorKind};

use super::{Bench, LIST, ago, day, failed, inline, open_with, success};

#[tokio::test]
async fn an_account_that_sees_nothing_is_an_error_and_never_all_is_well() {
    let bench = Bench::with(|config| config.is_granted = false).await;
    bench.sim.put(failed(1, 60, "x"));
    let source = bench.source();
    let error = source.list(day()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(error.message.contains("sees no group") && error.to_string().contains("grant"), "{error}");
    bench.sim.configure(|config| config.is_granted = true);
    assert_eq!(source.list(day()).await.unwrap().instances.len(), 1);
    let settings = Settings { groups: vec!["testSchedulerx.defaultGroup".into(), "b".into()], ..bench.settings() };
    let error = bench.open(&settings).list(day()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (SourceErrorKind::Configuration, "the account sees one group in the namespace, and not b")
    );
    let settings = Settings { namespace: "another".into(), ..bench.settings() };
    assert!(bench.open(&settings).list(day()).await.unwrap_err().message.contains("sees no group"));
}

#[tokio::test]
async fn groups_are_looked_for_again_after_an_error() {
    let bench = Bench::start().await;
    let source = bench.source();
    source.list(day()).await.unwrap();
    bench.sim.inject(Fault::answer(500, "").on(LIST).times(2));
    source.list(day()).await.unwrap_err();
    source.list(day()).await.unwrap();
    assert_eq!(bench.sim.calls("ListGroups"), 2);
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_not_taken_for_silence() {
    let bench = Bench::start().await;
    bench.sim.put(success(1, 60));
    let source = bench.source();
    source.list(day()).await.unwrap();
    bench.sim.configure(|config| config.is_granted = false);
    assert_eq!(source.list(day()).await.unwrap_err().kind, SourceErrorKind::Credentials);
    bench.sim.configure(|config| config.is_granted = true);
    assert_eq!(source.list(day()).await.unwrap().instances.len(), 1);
}

#[tokio::test]
async fn every_call_is_signed_anew() {
    let bench = Bench::start().await;
    bench.sim.put(success(1, 60));
    // A broken connection: the request may have arrived, so that its nonce is used up.
    bench.sim.inject(Fault::once(FaultKind::BreakOff(10)).on(LIST));
    assert_eq!(bench.source().list(day()).await.unwrap().instances.len(), 1);
    assert_eq!((bench.sim.calls("GetJobInstanceList"), bench.sim.refused()), (3, 0));
    let used = r#"{"Code":"SignatureNonceUsed","Message":"used"}"#;
    bench.sim.inject(Fault::answer(400, used).on(LIST));
    assert_eq!(bench.source().list(day()).await.unwrap().instances.len(), 1);
}

#[tokio::test]
async fn a_temporary_key_s_token_is_sent_and_signed() {
    let bench = Bench::with(|config| config.security_token = Some("CAIS/temporary+token==".into())).await;
    bench.source().list(day()).await.unwrap();
    for wrong in [None, Some(inline("another-token-canary"))] {
        let settings = Settings { security_token: wrong, ..bench.settings() };
        let error = bench.open(&settings).list(day()).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Credentials, "{error}");
        assert!(
            error.help.as_deref().unwrap().contains("temporary") && !error.to_string().contains("canary"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn wrong_keys_are_refused_and_told_without_them() {
    let bench = Bench::with(|config| config.security_token = Some("security-token-canary".into())).await;
    let right = bench.settings();
    let table = [
        (
            Settings { secret_key: inline("wrong-secret-canary"), ..right.clone() },
            "SignatureDoesNotMatch",
            "secret key",
        ),
        (
            Settings { access_key: inline("LTAI5tUnknownCanary1"), ..right.clone() },
            "InvalidAccessKeyId.NotFound",
            "access key",
        ),
    ];
    for (settings, code, help) in table {
        let error = bench.open(&settings).list(day()).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Credentials);
        assert!(error.message.contains(code) && error.help.as_deref().unwrap().contains(help), "{error}");
        let printed = format!("{error} {error:?} {settings:?}").to_lowercase();
        assert!(!printed.contains("canary") && !printed.contains("ltai5t"), "{printed}");
    }
    assert_eq!(bench.sim.refused(), 2, "a refusal is not tried again");
}

#[tokio::test]
async fn a_clock_that_is_off_is_named() {
    let bench = Bench::start().await;
    let wrong: Arc<dyn Clock> = Arc::new(ManualClock::at(ago(3600 + 120)));
    let error = open_with(&bench.settings(), wrong).list(day()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials);
    assert!(error.message.contains("InvalidTimeStamp.Expired"), "{error}");
    assert!(error.message.ends_with("this machine's clock is 1h 2m behind the service's"), "{error}");
}

#[tokio::test]
async fn a_region_that_is_missing_is_named() {
    let bench = Bench::start().await;
    let settings = Settings { region: None, ..bench.settings() };
    let error = bench.open(&settings).list(day()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Configuration, "{error}");
    assert!(error.message.contains("RegionId is mandatory"), "{error}");
}

#[tokio::test]
async fn a_throttled_call_is_made_again_when_the_service_allows() {
    let bench = Bench::start().await;
    bench.sim.put(success(1, 60));
    let busy = r#"{"Code":"Throttling.User","Message":"Request was denied due to user flow control."}"#;
    bench.sim.inject(Fault::answer(400, busy).header("x-acs-retry-after", "20").on(LIST));
    assert_eq!(bench.source().list(day()).await.unwrap().instances.len(), 1);
    bench.sim.inject(Fault::answer(400, busy).header("x-acs-retry-after", "20").on(LIST).times(2));
    let error = bench.source().list(day()).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (SourceErrorKind::Throttled, Some(Duration::from_millis(20))));
    // A pause too long for a retry within the poll is left to the next one.
    bench.sim.inject(Fault::answer(400, busy).header("x-acs-retry-after", "60000").on(Operation::Action("ListGroups")));
    let calls = bench.sim.calls("ListGroups");
    assert_eq!(bench.source().list(day()).await.unwrap_err().kind, SourceErrorKind::Throttled);
    assert_eq!(bench.sim.calls("ListGroups"), calls + 1);
}

/// Two sources of one key share what a minute allows: the service counts by user.
#[tokio::test]
async fn sources_of_one_key_keep_to_the_rate_together() {
    let bench = Bench::with(|config| config.calls_per_minute = 4).await;
    bench.sim.put(success(1, 60));
    let settings = Settings { calls_per_minute: 4, ..bench.settings() };
    let (one, two) = (bench.open(&settings), bench.open(&settings));
    // Two calls each: the page, and a look whether it was cut short.
    one.list(day()).await.unwrap();
    two.list(day()).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(300), two.list(day())).await;
    assert!(more.is_err(), "a fifth call in the minute had to wait");
    assert_eq!((bench.sim.calls("GetJobInstanceList"), bench.sim.refused()), (4, 0));
}

#[tokio::test]
async fn what_only_looks_like_an_answer_is_an_error() {
    use SourceErrorKind::*;
    let bench = Bench::start().await;
    bench.sim.put(success(1, 60));
    let deep = format!("{{\"Success\":true,\"Data\":{}", "[".repeat(100_000));
    let answer = |body: &str| Fault::answer(200, body.to_string());
    let refused = r#"{"Success":false,"Code":403,"Message":"no permission","Data":null}"#;
    let table: Vec<(&str, Fault, SourceErrorKind, &str)> = vec![
        ("refused", answer(refused), Credentials, "code 403: no permission"),
        ("no word of success", answer(r#"{"Data":{"JobInstanceDetails":[]}}"#), BadAnswer, "does not say"),
        ("null success", answer(r#"{"Success":null,"Code":500,"Message":"odd"}"#).times(2), Transient, "odd"),
        ("html", answer("<html>Sign in</html>"), BadAnswer, "HTML"),
        ("empty", answer(""), BadAnswer, "empty"),
        ("cut", Fault::once(FaultKind::CutShort(40)), BadAnswer, "breaks off"),
        ("deep", answer(&deep), BadAnswer, "deeper"),
        ("a list", answer("[]"), BadAnswer, "another shape"),
        ("other data", answer(r#"{"Success":true,"Data":[1]}"#), BadAnswer, "not a list of instances"),
        ("endless", Fault::once(FaultKind::Endless), BadAnswer, "larger than"),
        ("503", Fault::answer(503, r#"{"Code":"ServiceUnavailable"}"#).times(2), Transient, "ServiceUnavailable"),
        ("redirect", Fault::answer(302, "").header("location", "http://127.0.0.1:9/"), Configuration, "HTTP 302"),
    ];
    for (name, fault, kind, words) in table {
        let source = bench.source();
        source.list(day()).await.unwrap();
        bench.sim.inject(fault.on(LIST));
        let error = source.list(day()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.message.contains(words), "{name}: {error}");
    }
}

#[tokio::test]
async fn an_examination_answers_what_the_documents_leave_open() {
    let said = async |bench: &Bench, settings: &Settings| -> Vec<(String, Grade)> {
        let findings = bench.open(settings).examine().await;
        findings.into_iter().map(|found| (format!("{} {}", found.question, found.answer), found.grade)).collect()
    };
    let has = |found: &[(String, Grade)], words: &str, grade: Grade| {
        let is_there = found.iter().any(|(text, graded)| text.contains(words) && *graded == grade);
        assert!(is_there, "{words:?} {grade:?} is not in {found:#?}");
    };
    let bench = Bench::start().await;
    bench.sim.put(success(1, 3600));
    let found = said(&bench, &bench.settings()).await;
    has(&found, "Can it sign in? yes", Grade::Good);
    has(&found, "see its groups? yes", Grade::Good);
    has(&found, "listed as a whole? yes", Grade::Good);
    has(&found, "found at the time it shows", Grade::Good);
    has(&found, "10000 a minute", Grade::Good);
    assert!(!format!("{found:?}").contains("CANARY"));

    assert!(bench.sim.calls("GetJobInstanceList") <= 2, "a handful of calls");

    let wrong_zone = Settings { timezone: TimeZone::UTC, ..bench.settings() };
    has(&said(&bench, &wrong_zone).await, "not UTC", Grade::Bad);
    let wrong_key = Settings { secret_key: inline("wrong"), ..bench.settings() };
    has(&said(&bench, &wrong_key).await, "Can it sign in? HTTP 400 SignatureDoesNotMatch", Grade::Bad);
    bench.sim.configure(|config| config.lists_groups = GroupLists::Refused);
    has(&said(&bench, &bench.settings()).await, "no: its 1 jobs are asked one by one", Grade::Notice);
    bench.sim.configure(|config| config.is_granted = false);
    let found = said(&bench, &bench.settings()).await;
    has(&found, "Can it sign in? yes", Grade::Good);
    has(&found, "sees no group", Grade::Bad);

    let quiet = Bench::start().await;
    let found = said(&quiet, &quiet.settings()).await;
    has(&found, "no instance was found in 24 hours", Grade::Open);
    has(&found, "is assumed", Grade::Open);
}
