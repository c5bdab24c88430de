//! Signing in on the page, what people do there, and that it is over when they say so.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::model::{AlertId, Role};
use nightbell::store::{Board as _, Desk as _};

use super::Served;
use super::night::{Night, fill, night, token};
use crate::sample::Place;

fn form<'a>(cookie: &'a str, site: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie), ("sec-fetch-site", site)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_token_and_ends_when_somebody_says_so() {
    let Night { served, responder, clock, .. } = night().await;
    let token = responder.trim_start_matches("Bearer ");
    let wrong = served.ask("POST", "/sign-in", &form("", "same-origin"), "token=nb_wrong&next=/alerts").await;
    assert_eq!(wrong.status, 403);
    assert_eq!(served.ask("POST", "/sign-in", &form("", "cross-site"), &format!("token={token}")).await.status, 403);
    let begun =
        served.ask("POST", "/sign-in", &form("", "same-origin"), &format!("token={token}&next=%2Falerts%2Fa1")).await;
    assert_eq!((begun.status, begun.header("location")), (303, Some("/alerts/a1")));
    let set = begun.header("set-cookie").unwrap().to_string();
    for word in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(word), "{set}");
    }
    let cookie = set.split(';').next().unwrap();
    let page = served.get("/alerts/a1", &[("cookie", cookie)]).await;
    assert!(page.status == 200 && page.body.contains("action=\"/alerts/a1/ack\""), "{page:?}");
    assert_eq!(served.ask("POST", "/alerts/a1/ack", &form(cookie, "cross-site"), "reason=x").await.status, 403);
    let acked = served.ask("POST", "/alerts/a1/ack", &form(cookie, "same-origin"), "reason=on+it").await;
    assert_eq!((acked.status, acked.header("location")), (303, Some("/alerts/a1")));
    let store = served.store().await;
    let ack = store.acks().await.unwrap().remove("a1").unwrap();
    assert!(ack.by.starts_with("responder") && ack.reason.as_deref() == Some("on it"), "{ack:?}");
    let closed = served.ask("POST", "/alerts/a1/close", &form(cookie, "same-origin"), "reason=planned").await;
    assert_eq!(closed.status, 303);
    let ended = store.alert(&AlertId::new("a1")).await.unwrap().unwrap().facts.alert.ended.unwrap();
    assert_eq!((ended.reason.as_str(), ended.note.as_deref()), ("closed", Some("planned")));
    let made = served.ask("POST", "/silences", &form(cookie, "same-origin"), "job=*&for=1h&reason=all&step=make").await;
    assert!(
        made.status == 200 && store.silences().await.unwrap().len() == 1,
        "everything needs a second word: {made:?}"
    );
    let made =
        served.ask("POST", "/silences", &form(cookie, "same-origin"), "job=etl_*&for=1h&reason=deploy&step=make").await;
    assert_eq!((made.status, store.silences().await.unwrap().len()), (303, 2));
    assert_eq!(served.ask("POST", "/sign-out", &form(cookie, "same-origin"), "").await.status, 303);
    assert_eq!(served.get("/alerts", &[("cookie", cookie)]).await.status, 303, "a copy of the cookie is worth nothing");
    // One that was begun with a token that is revoked, or that has lasted too long, is over too.
    let begin = async || {
        let begun = served.ask("POST", "/sign-in", &form("", "same-origin"), &format!("token={token}")).await;
        begun.header("set-cookie").unwrap().split(';').next().unwrap().to_string()
    };
    let cookie = begin().await;
    assert_eq!(served.get("/alerts", &[("cookie", &cookie)]).await.status, 200);
    served.set(&clock, super::night::now().checked_add(jiff::SignedDuration::from_hours(24 * 15)).unwrap()).await;
    assert_eq!(served.get("/alerts", &[("cookie", &cookie)]).await.status, 303);
    let cookie = begin().await;
    use nightbell::store::Access as _;
    store.revoke_tokens(&nightbell::desk::hash_of(token)[..12], super::night::now()).await.unwrap();
    assert_eq!(served.get("/alerts", &[("cookie", &cookie)]).await.status, 303);
    served.stop().await;
}

/// Behind TLS the browser itself holds the cookie to this host: none of another one, and none over plain HTTP, takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_cookie_is_of_this_host_alone() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    let responder = token(&store, Role::Responder).await;
    store.close().await;
    drop(store);
    let web = "web: { listen: \"127.0.0.1:0\", url: \"https://bell.example.com\", tokens: true }\n";
    let served = Served::start_in(place, web, Arc::new(ManualClock::at(super::night::now()))).await;
    let shown = format!("token={}", responder.trim_start_matches("Bearer "));
    let mut asked = form("", "same-origin");
    asked.push(("host", "bell.example.com"));
    let begun = served.ask("POST", "/sign-in", &asked, &shown).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let set = begun.header("set-cookie").unwrap();
    let (pair, rest) = set.split_once(';').unwrap();
    let session = pair.strip_prefix("__Host-nightbell=").unwrap_or_else(|| panic!("{set}"));
    let attributes: Vec<&str> = rest.split(';').map(str::trim).collect();
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(attributes.contains(&attribute), "{attribute} is not in {set}");
    }
    assert!(!set.to_ascii_lowercase().contains("domain"), "{set}");
    let get = async |cookie: &str| served.get("/alerts", &[("cookie", cookie)]).await.status;
    assert_eq!(get(pair).await, 200);
    // One that anybody on the way or on a neighbour's host may have set.
    assert_eq!(get(&format!("nightbell={session}")).await, 303);
    let gone = served.ask("POST", "/sign-out", &form(pair, "same-origin"), "").await;
    let set = gone.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-nightbell=;") && set.contains("Secure") && set.contains("Max-Age=0"), "{set}");
    assert_eq!(get(pair).await, 303);
    served.stop().await;
}
