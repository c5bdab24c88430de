//! Signing in by user and password, against the simulated workspace's own sign-in service.

use super::*;
use nightbell::sim::SimUser;

const PASSWORD: &str = "pass word canary/1+2";

/// A workspace with one user, and the clock that moves it.
async fn bench() -> (Bench, ManualClock) {
    let manual = ManualClock::at(now());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let user = Some(SimUser::new("watcher", PASSWORD, "acme"));
    let config = SimConfig { user, ..SimConfig::default() };
    (Bench { sim: SimWorkspace::start(config, Arc::clone(&clock)).await.unwrap(), clock }, manual)
}

fn by_password(bench: &Bench, user: &str, password: &str, domain: &str) -> Settings {
    let auth = Auth::Password {
        iam_endpoint: bench.sim.endpoint().to_string(),
        user: inline(user),
        password: inline(password),
        domain: inline(domain),
    };
    Settings { auth, ..bench.settings() }
}

fn window(clock: &dyn Clock) -> Window {
    Window { from: clock.now() - SignedDuration::from_hours(1), to: clock.now() }
}

#[tokio::test]
async fn one_token_serves_until_shortly_before_its_end() {
    let (bench, clock) = bench().await;
    let source = bench.open(&by_password(&bench, "watcher", PASSWORD, "acme"));
    for (hours, sign_ins) in [(0, 1), (1, 1), (22, 1), (23, 2), (45, 2), (46, 3)] {
        clock.set(now() + SignedDuration::from_hours(hours));
        source.list(window(&clock)).await.unwrap();
        assert_eq!(bench.sim.requests().sign_in, sign_ins, "after {hours} hours");
    }
    assert_eq!(bench.sim.requests().refused, 0, "no request went out with a token that had ended");
}

#[tokio::test]
async fn a_stale_token_is_replaced_once_and_the_request_made_again() {
    let (bench, clock) = bench().await;
    let source = bench.open(&by_password(&bench, "watcher", PASSWORD, "acme"));
    source.list(window(&clock)).await.unwrap();
    bench.sim.revoke_tokens();
    source.list(window(&clock)).await.unwrap();
    let counted = bench.sim.requests();
    assert_eq!((counted.sign_in, counted.list, counted.refused), (2, 3, 1));
    // A service that calls every token stale is not asked for ever.
    let stale = r#"{"error_code":"APIGW.0307","error_msg":"The token must be updated."}"#;
    bench.sim.inject(Fault::answer(401, stale).on(Operation::List).times(10));
    let error = source.list(window(&clock)).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Credentials, "{error}");
    assert_eq!(bench.sim.requests().list - counted.list, 2);
}

#[tokio::test]
async fn many_requests_at_once_sign_in_once() {
    let (bench, clock) = bench().await;
    let source = bench.open(&by_password(&bench, "watcher", PASSWORD, "acme"));
    let lists = (0..8).map(|_| source.list(window(&clock)));
    for listing in futures_util::future::join_all(lists).await {
        listing.unwrap();
    }
    assert_eq!(bench.sim.requests().sign_in, 1);
}

#[tokio::test]
async fn who_is_refused_is_told_what_to_check_and_nothing_secret() {
    let (bench, clock) = bench().await;
    for (user, password, domain) in
        [("watcher", "wrong canary", "acme"), ("nobody", PASSWORD, "acme"), ("watcher", PASSWORD, "other")]
    {
        let settings = by_password(&bench, user, password, domain);
        let error = bench.open(&settings).list(window(&clock)).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Credentials, "{error}");
        assert!(error.message.starts_with("cannot sign in: HTTP 401"), "{error}");
        assert!(error.help.as_deref().unwrap().contains("auth.password"), "{error}");
        let printed = format!("{error} {error:?} {settings:?}");
        assert!(!printed.contains("canary"), "{printed}");
    }
    assert_eq!(bench.sim.requests().list, 0, "without a token nothing is asked");
    let echo = format!(r#"{{"error":{{"code":401,"message":"no user with {PASSWORD}"}}}}"#);
    bench.sim.inject(Fault::answer(401, echo).on(Operation::SignIn));
    let settings = by_password(&bench, "watcher", PASSWORD, "acme");
    let error = bench.open(&settings).list(window(&clock)).await.unwrap_err();
    assert!(error.message.contains("no user with <secret>"), "{error}");
}

#[tokio::test]
async fn a_refused_password_is_not_tried_until_it_changes_or_time_has_passed() {
    let (bench, clock) = bench().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wrong").unwrap();
    let mut settings = by_password(&bench, "watcher", PASSWORD, "acme");
    let Auth::Password { password, .. } = &mut settings.auth else { unreachable!() };
    *password = SecretRef::File(file.path().to_path_buf());
    let source = bench.open(&settings);
    for (minutes, sign_ins) in [(0, 1), (1, 1), (14, 1), (15, 2), (16, 2)] {
        clock.set(now() + SignedDuration::from_mins(minutes));
        source.list(window(&clock)).await.unwrap_err();
        assert_eq!(bench.sim.requests().sign_in, sign_ins, "after {minutes} minutes");
    }
    std::fs::write(file.path(), PASSWORD).unwrap();
    source.list(window(&clock)).await.unwrap();
    assert_eq!(bench.sim.requests().sign_in, 3);
}

#[tokio::test]
async fn trouble_of_the_sign_in_service_is_classed() {
    use SourceErrorKind::*;
    let (bench, clock) = bench().await;
    let source = bench.open(&by_password(&bench, "watcher", PASSWORD, "acme"));
    for (status, body, kind, words) in [
        (400, "{}", Configuration, "auth.domain"),
        (403, "{}", Credentials, "programmatic access"),
        (404, "<html>", Configuration, "auth.iam_endpoint"),
        (503, "", Transient, "next poll"),
        (200, "<html>Sign in</html>", BadAnswer, "endpoint"),
    ] {
        // A refusal is held for a while; the clock goes past it.
        clock.set(clock.now() + SignedDuration::from_hours(1));
        bench.sim.inject(Fault::answer(status, body).on(Operation::SignIn));
        let error = source.list(window(&clock)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}: {error}");
        assert!(error.message.starts_with("cannot sign in: ") && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_ends_between_two_pages_is_renewed_and_no_row_is_missed() {
    let (bench, clock) = bench().await;
    bench.sim.put_all((0..2500).map(|n| success(n, 3600)));
    let source = bench.open(&by_password(&bench, "watcher", PASSWORD, "acme"));
    // The first page comes as it is, the second is refused.
    bench.sim.inject(Fault::once(FaultKind::Delay(Duration::ZERO)).on(Operation::List));
    let stale = r#"{"error_code":"APIGW.0307","error_msg":"The token must be updated."}"#;
    bench.sim.inject(Fault::answer(401, stale).on(Operation::List));
    let listing = source.list(Window { from: ago(24 * 3600), to: clock.now() }).await.unwrap();
    assert_eq!((ids(&listing).len(), listing.coverage.is_whole()), (2500, true));
    assert_eq!(bench.sim.requests().sign_in, 2);
}
