//! Whoever asks for the same again and again is sent it again when something has happened, and not because a second is over.

use jiff::SignedDuration;

use super::night::{Night, night, now};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_that_is_over_makes_no_new_answer() {
    let Night { served, viewer, clock, .. } = night().await;
    // What its first poll comes to is news.
    for _ in 0..300 {
        if served.get("/-/ready", &[]).await.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for path in [
        "/",
        "/wall",
        "/alerts?state=all",
        "/alerts/a1",
        "/jobs",
        "/jobs/s/etl_orders",
        "/deliveries",
        "/deliveries/d3",
        "/silences",
        "/digests",
        "/status",
        "/api/v1/status",
        "/api/v1/alerts",
        "/api/v1/jobs?source=s",
        "/api/v1/jobs/s/etl_orders",
        "/api/v1/jobs/s/etl_orders/instances",
        "/api/v1/deliveries",
    ] {
        let mut statuses = Vec::new();
        // The loops go round meanwhile, and one may have something to say.
        for _ in 0..5 {
            served.set(&clock, now() + SignedDuration::from_secs(1)).await;
            let first = served.get(path, &[("authorization", &viewer)]).await;
            assert_eq!(first.status, 200, "{path}: {first:?}");
            let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_string();
            served.set(&clock, now() + SignedDuration::from_secs(50)).await;
            let again = served.get(path, &[("authorization", &viewer), ("if-none-match", &tag)]).await;
            statuses.push(again.status);
            if again.status == 304 {
                assert!(again.body.is_empty() && again.header("etag") == Some(&tag), "{path}: {again:?}");
                break;
            }
        }
        assert_eq!(statuses.last(), Some(&304), "{path}: {statuses:?}");
    }
    // What is shown gets no older than a minute.
    served.set(&clock, now()).await;
    let tag = served.get("/", &[("authorization", &viewer)]).await.header("etag").unwrap().to_string();
    served.set(&clock, now() + SignedDuration::from_mins(2)).await;
    let later = served.get("/", &[("authorization", &viewer), ("if-none-match", &tag)]).await;
    assert_eq!(later.status, 200);
    assert!(later.body.contains("ago"), "{}", later.body);
    served.stop().await;
}

/// Without a script nothing asks for what hangs on a wall anew but the browser itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_wall_is_fresh_without_a_script() {
    let Night { served, viewer, .. } = night().await;
    for (path, is_fresh) in [("/wall", true), ("/", true), ("/alerts/a1", false), ("/silences", false)] {
        let page = served.get(path, &[("authorization", &viewer)]).await.body;
        let head = page.split("</head>").next().unwrap();
        let refreshes = head.contains("<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>");
        assert_eq!(refreshes, is_fresh, "{path}: {head}");
    }
    served.stop().await;
}
