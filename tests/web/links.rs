//! The acknowledge link of a message: opening it changes nothing, its button does, and once is as good as twice.

use nightbell::sign::{ACK, Link, LinkKey};
use nightbell::store::{Access as _, Desk as _};

use super::night::{Night, night};
use super::raw;
use crate::program::{Stage, TELL_FAILURES, failed, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_acknowledges_when_its_button_is_pressed_and_nothing_else() {
    let Night { served, clock, .. } = night().await;
    let store = served.store().await;
    let key = LinkKey::new(store.link_key("never taken: there is one").await.unwrap());
    let until = super::night::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    let link = Link { alert: "a1", episode: 1, action: ACK, until };
    let address = |alert: &str, sign: &str| format!("/ack/{alert}?until={}&sign={sign}", until.as_second());
    let signature = key.signature(&link);
    let path = address("a1", &signature);
    for _ in 0..3 {
        let page = served.get(&path, &[("user-agent", "a mail scanner")]).await;
        assert!(page.status == 200 && page.body.contains("<form method=\"post\""), "{page:?}");
        assert!(!store.acks().await.unwrap().contains_key("a1"), "to look changes nothing");
    }
    let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let nameless = served.ask("POST", &path, &form, "who=").await;
    assert!(nameless.status == 200 && !store.acks().await.unwrap().contains_key("a1"), "{nameless:?}");
    let crossed = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")];
    assert_eq!(served.ask("POST", &path, &crossed, "who=kim").await.status, 403);
    let done = served.ask("POST", &path, &form, "who=kim&reason=on+it").await;
    assert_eq!(done.status, 200, "{done:?}");
    let first = store.acks().await.unwrap().remove("a1").unwrap();
    assert_eq!((first.by.as_str(), first.reason.as_deref()), ("kim (link)", Some("on it")));
    served.set(&clock, super::night::now().checked_add(jiff::SignedDuration::from_mins(5)).unwrap()).await;
    assert_eq!(served.ask("POST", &path, &form, "who=kim").await.status, 200);
    assert_eq!(store.acks().await.unwrap().remove("a1").unwrap(), first, "twice is once");
    // Somebody else has the same message: that kim has it is said first, and what the press would do.
    let taken = async || store.acks().await.unwrap().remove("a1").unwrap().by;
    let late = served.ask("POST", &path, &form, "who=lee").await;
    assert!(late.status == 200 && late.body.contains("Take over") && late.body.contains("kim (link)"), "{late:?}");
    assert_eq!(taken().await, "kim (link)", "a press on a page of before takes nothing from anybody");
    let page = served.get(&path, &[]).await.body;
    let had = page.split("name=\"had\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let over = served.ask("POST", &path, &form, &format!("who=lee&had={had}")).await;
    assert!(over.status == 200 && over.body.contains("lee (link)"), "{over:?}");
    assert_eq!(taken().await, "lee (link)");
    for wrong in [
        address("a1", &signature[1..]),
        address("a2", &signature),
        address("a1", ""),
        // One of another episode, or for something else, is another link.
        address("a1", &key.signature(&Link { episode: 2, ..link })),
        address("a1", &key.signature(&Link { action: "close", ..link })),
        address("a1", &LinkKey::new("another key").signature(&link)),
        path.replace("until=", "until=1"),
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(served.ask(method, &wrong, &form, "who=eve").await.status, 404, "{method} {wrong}");
        }
    }
    served.set(&clock, until.checked_add(jiff::SignedDuration::from_secs(1)).unwrap()).await;
    assert_eq!(served.ask("POST", &path, &form, "who=kim").await.status, 410);
    let over = Link { alert: "a3", ..link };
    served.set(&clock, super::night::now()).await;
    let done = served.ask("POST", &address("a3", &key.signature(&over)), &form, "who=kim").await;
    assert!(
        done.status == 200 && !store.acks().await.unwrap().contains_key("a3"),
        "what is over takes no ack: {done:?}"
    );
    served.stop().await;
}

/// From the message to the acknowledgement: what a receiver was sent leads to a page of whoever sent it.
#[tokio::test(flavor = "multi_thread")]
async fn the_link_in_a_delivered_message_acknowledges_the_alert_that_it_is_about() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let here = format!("http://127.0.0.1:{port}");
    let web = format!("web: {{ listen: \"127.0.0.1:{port}\", url: \"{here}\" }}\n");
    let stage = Stage::set(&format!("{web}{TELL_FAILURES}")).await;
    stage.workspace.put(failed("etl_orders", 34765));
    let _running = stage.start();
    let began = std::time::Instant::now();
    while stage.sink.hits().is_empty() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "nobody is told");
        pause(50).await;
    }
    let told = stage.sink.hits()[0].json();
    let link = |key: &str| {
        let link = told["data"]["alert"][key].as_str().unwrap_or_else(|| panic!("no {key} in {told:#}"));
        link.strip_prefix(&here).unwrap_or_else(|| panic!("{link} leads elsewhere")).to_string()
    };
    let ask = async |method: &str, path: &str, body: &str| {
        let kind = "content-type: application/x-www-form-urlencoded";
        let head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{kind}\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        raw(([127, 0, 0, 1], port).into(), request.as_bytes()).await
    };
    let acked = async || stage.listed("alerts").await[0]["acked"].clone();
    let page = ask("GET", &link("url"), "").await;
    assert!(page.status == 200 && page.body.contains("etl_orders"), "{page:?}");
    let offer = ask("GET", &link("ack_url"), "").await;
    assert!(offer.status == 200 && offer.body.contains("<form method=\"post\""), "{offer:?}");
    assert!(acked().await.is_null(), "to look changes nothing");
    let done = ask("POST", &link("ack_url"), "who=kim&reason=on+it").await;
    assert_eq!(done.status, 200, "{done:?}");
    let acked = acked().await;
    assert_eq!((&acked["by"], &acked["reason"]), (&"kim (link)".into(), &"on it".into()), "{acked}");
}

/// Who looks at a delivery on the page has not received the message.
#[test]
fn what_is_shown_of_a_message_holds_no_signature() {
    let key = LinkKey::new("canary");
    let until = super::night::now();
    let sign = key.signature(&Link { alert: "a1", episode: 1, action: ACK, until });
    for text in [
        format!("https://bell.example.com/ack/a1?until=1&sign={sign}"),
        format!("<a href=\"https://bell.example.com/ack/a1?until=1&amp;sign={sign}\">"),
        format!("{{\"ack_url\":\"https://bell.example.com/ack/a1?until=1&sign={sign}\"}}"),
    ] {
        let shown = nightbell::desk::json::without_signatures(&text);
        assert!(!shown.contains(&sign) && shown.contains("sign=<secret>"), "{shown}");
    }
}
