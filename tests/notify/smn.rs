//! SMN with an IAM user: the simulated account's own sign-in service gives the token, and a topic on loopback takes it.

use std::sync::Arc;

use nightbell::clock::{Clock, ManualClock};
use nightbell::model::Attempt;
use nightbell::model::AttemptOutcome::{Delivered, Retry, Unauthorized};
use nightbell::notify::Notifier as _;
use nightbell::sim::{Fault, Operation, SimConfig, SimUser, SimWorkspace};

use super::http::{Reply, Server, header};
use super::{delivery, firing, now, open, settings};

const PASSWORD: &str = "pass word canary/1+2";

/// The account that signs the user in.
async fn account() -> SimWorkspace {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    let user = Some(SimUser::new("bell", PASSWORD, "acme"));
    let config = SimConfig { user, project_id: "p1".into(), ..SimConfig::default() };
    SimWorkspace::start(config, clock).await.unwrap()
}

fn yaml(topic: &Server, account: &SimWorkspace, password: &str) -> String {
    format!(
        "{{ type: smn, endpoint: '{}', project_id: p1, topic_urn: 'urn:smn:r:p1:t', auth: {{ user: bell, \
         password: '{password}', domain: acme, iam_endpoint: '{}' }} }}",
        topic.base,
        account.endpoint()
    )
}

/// A topic that takes tokens of the account, the second one and later.
fn topic(head: &str, _: &[u8]) -> (u16, String) {
    match header(head, "x-auth-token").and_then(|token| token.strip_prefix("issued-token-")) {
        Some("1") | None => (401, r#"{"error_code":"APIGW.0307","error_msg":"The token must be updated."}"#.into()),
        Some(_) => (200, r#"{"request_id":"r","message_id":"m"}"#.into()),
    }
}

fn patient(head: &str, body: &[u8]) -> (u16, String) {
    topic(&head.replace("issued-token-1", "issued-token-0"), body)
}

async fn attempts(yaml: &str, count: usize) -> Vec<Attempt> {
    let (receiver, notifier) = (settings(yaml), open(yaml));
    let mut attempts = Vec::new();
    for _ in 0..count {
        attempts.push(notifier.send(&delivery(&receiver, &firing()), now()).await);
    }
    attempts
}

#[tokio::test]
async fn one_token_serves_every_message() {
    let (account, topic) = (account().await, Server::start(Reply::Vendor(patient)).await);
    for attempt in attempts(&yaml(&topic, &account, PASSWORD), 3).await {
        assert_eq!(attempt.outcome, Delivered, "{attempt:?}");
    }
    assert_eq!((account.requests().sign_in, topic.requests().len()), (1, 3));
    let sent = String::from_utf8_lossy(&topic.requests()[0]).into_owned();
    assert!(sent.to_lowercase().contains("x-project-id: p1"), "{sent}");
    assert!(!sent.contains("canary"), "the password goes to the sign-in service only");
}

#[tokio::test]
async fn a_stale_token_is_replaced_once_within_the_attempt() {
    let (account, topic) = (account().await, Server::start(Reply::Vendor(topic)).await);
    let attempt = attempts(&yaml(&topic, &account, PASSWORD), 1).await.remove(0);
    assert_eq!(attempt.outcome, Delivered, "{attempt:?}");
    assert_eq!((account.requests().sign_in, topic.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_topic_that_calls_every_token_stale_is_not_asked_for_ever() {
    let refuse: fn(&str, &[u8]) -> (u16, String) = |_, _| (401, r#"{"error_code":"APIGW.0307"}"#.into());
    let (account, topic) = (account().await, Server::start(Reply::Vendor(refuse)).await);
    let attempt = attempts(&yaml(&topic, &account, PASSWORD), 1).await.remove(0);
    assert_eq!((attempt.outcome, topic.requests().len()), (Unauthorized, 2), "{attempt:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it_and_not_tried_at_every_attempt() {
    let (account, topic) = (account().await, Server::start(Reply::Vendor(topic)).await);
    for attempt in attempts(&yaml(&topic, &account, "wrong canary"), 3).await {
        let error = attempt.error.unwrap();
        assert_eq!(attempt.outcome, Unauthorized, "{error}");
        assert!(error.contains("cannot sign in: HTTP 401") && error.contains("auth.password"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
    assert_eq!((account.requests().sign_in, topic.requests().len()), (1, 0), "it would lock the user");
}

#[tokio::test]
async fn trouble_of_the_sign_in_service_is_tried_again() {
    let (account, topic) = (account().await, Server::start(Reply::Vendor(patient)).await);
    account.inject(Fault::answer(503, "").on(Operation::SignIn));
    account.inject(Fault::answer(200, "<html>Sign in</html>").on(Operation::SignIn));
    let outcomes: Vec<_> =
        attempts(&yaml(&topic, &account, PASSWORD), 3).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Retry, Retry, Delivered]);
    let nobody = yaml(&topic, &account, PASSWORD).replace(account.endpoint(), "http://127.0.0.1:1");
    let attempt = attempts(&nobody, 1).await.remove(0);
    assert_eq!((attempt.outcome, attempt.status.as_deref()), (Retry, Some("sign-in")), "{attempt:?}");
}
