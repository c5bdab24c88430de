//! Digests as they were sent: their texts, and the page of the mail with its pictures.

use nightbell::model::{Content, DeliveryState, MessageKind, Notification, ReceiverId};
use nightbell::store::{Outbox as _, PollLedger as _};

use super::night::{Night, attempted, night_with};
use crate::sample::{at, commit, delivery};

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_shown_with_its_pictures_and_not_with_what_they_are_made_of() {
    const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUg==";
    let parts = [
        ("subject", "3 jobs still broken"),
        ("text", "Still broken (3)"),
        ("html", "<p>Still broken</p><img src=\"cid:outcomes@nightbell\"><img src=\"cid:odd@nightbell\">"),
        ("image/outcomes.png", PICTURE),
        ("image/odd.png", "\"><script>alert(1)</script>"),
    ];
    let content = Content { parts: parts.map(|(name, text)| (name.to_string(), text.to_string())).into() };
    let Night { served, viewer, .. } = night_with(async |store| {
        let mut poll = commit(0);
        poll.now = at(3600);
        poll.deliveries.push(Notification { kind: MessageKind::Digest, content, ..delivery("e1", "team") });
        store.commit_poll(&poll).await.unwrap();
        store.claim(&ReceiverId::new("team"), at(3600), 9).await.unwrap();
        store.settle(&[attempted("e1", DeliveryState::Delivered)]).await.unwrap();
    })
    .await;
    let get = async |path: &str| served.get(path, &[("authorization", &viewer)]).await.body;
    let mail = get("/digests/e1/html").await;
    assert!(mail.contains(&format!("<img src=\"data:image/png;base64,{PICTURE}\">")), "{mail}");
    assert!(!mail.contains("cid:outcomes") && !mail.contains("<script"), "{mail}");
    for path in ["/digests/e1", "/deliveries/e1"] {
        let page = get(path).await;
        assert!(page.contains("Still broken (3)") && !page.contains(PICTURE), "{path}: {page}");
    }
    let list = get("/deliveries").await;
    assert!(list.contains("3 jobs still broken"), "{list}");
    served.stop().await;
}
