//! The reader's zone: times are on the clock that the browser has, with the offset shown; without one, on the configuration's.

use std::sync::Arc;

use nightbell::clock::ManualClock;

use super::Served;
use super::night::{fill, now};
use crate::sample::Place;

#[tokio::test(flavor = "multi_thread")]
async fn times_are_on_the_readers_clock_with_the_offset_shown() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    store.close().await;
    drop(store);
    let web = "timezone: Europe/Berlin\nweb: { listen: \"127.0.0.1:0\" }\n";
    let served = Served::start_in(place, web, Arc::new(ManualClock::at(now()))).await;
    // The alert's run was due ten minutes before midnight in UTC.
    let (berlin, shanghai) = (
        ("2026-11-21 00:50:00 +01:00", "Europe/Berlin (UTC+01:00)"),
        ("2026-11-21 07:50:00 +08:00", "Asia/Shanghai (UTC+08:00)"),
    );
    for (cookie, (time, foot)) in [
        ("zone=Asia%2FShanghai", shanghai),
        ("lang=zh; zone=Asia%2FShanghai; theme=dark", shanghai),
        ("zone=nonsense", berlin),
        ("zone=..%2F..%2Fetc%2Fpasswd", berlin),
        ("other=1", berlin),
    ] {
        let body = served.get("/alerts/a1", &[("cookie", cookie)]).await.body;
        assert!(body.contains(&format!(">{time}</time></dd>")), "{cookie}: {time} is not in {body}");
        let shown = body.split("<footer").nth(1).unwrap();
        assert!(shown.contains(foot), "{cookie}: {foot} is not in {shown}");
    }
    served.stop().await;
}
