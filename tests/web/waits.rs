//! What an alert waits for next, in words: the next step of its rule, others of its group, a window, the end of a silence.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::clock::ManualClock;
use nightbell::model::{
    Ack, Alert, AlertId, Concerns, DeliveryState, GroupPlace, Notification, ReceiverId, RuleId, SilenceId, Suppression,
};
use nightbell::store::{Desk as _, NewSilence, Outbox as _, PollLedger as _, SqlStore};

use super::Served;
use super::night::attempted;
use crate::sample::{Place, alert, at, commit, delivery, resolved};

const RULES: &str = "web: { listen: \"127.0.0.1:0\" }\nsources:\n  \
    s: { type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t } }\nreceivers:\n  \
    hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\n  boss: { type: webhook, url: \"http://127.0.0.1:9/\" }\n  \
    team: { type: webhook, url: \"http://127.0.0.1:9/\" }\nrules:\n  \
    stepped: { when: { status: [fail] }, notify: [{ to: hook }, { after: 30m, unless: acked, to: boss }, { after: 2h, to: [team, hook] }] }\n  \
    rounds: { when: { status: [fail] }, notify: [{ to: hook }, { after: 30m, to: boss }], loop: { every: 1h, times: 2 } }\n  \
    daytime: { when: { status: [fail] }, notify: [{ to: hook }, { after: 30m, during: mondays, to: boss }] }\nwindows:\n  \
    mondays: { days: [mon], from: \"03:00\", to: \"03:01\" }\n";

fn now() -> Timestamp {
    at(600)
}

/// Alerts of the rules, each with what was told of it and when.
async fn fill(store: &SqlStore) {
    let of =
        |id: &str, rule: &str| Alert { source: "s".into(), rule: RuleId::new(rule), ..alert(id, &format!("etl_{id}")) };
    let held_back = |id: &str, by: Suppression| Alert { suppressed_by: Some(by), ..of(id, "stepped") };
    let mut poll = commit(0);
    poll.source = "s".into();
    poll.now = at(0);
    poll.fired = vec![
        of("step", "stepped"),
        of("acked", "stepped"),
        // It was held back for hours, and told when that was over.
        Alert { created_at: at(-7000), ..of("late", "stepped") },
        of("round", "rounds"),
        of("night", "daytime"),
        of("untold", "stepped"),
        of("group", "stepped"),
        of("window", "stepped"),
        held_back("silenced", Suppression::Silence(SilenceId(1))),
        held_back("muted", Suppression::MuteWindow("nightly".into())),
        Alert { suspended_at: Some(at(300)), ..of("suspended", "gone") },
        resolved(of("over", "stepped"), at(500)),
    ];
    let told = |id: &str, created_at: Timestamp| Notification {
        alert: Some(AlertId::new(id)),
        created_at,
        due_at: created_at,
        ..delivery(&format!("d-{id}"), "hook")
    };
    let grouped = |id: &str, group: GroupPlace, due_at| Notification { group: Some(group), due_at, ..told(id, at(0)) };
    let group = GroupPlace { key: "etl".into(), interval: Duration::from_secs(300), repeat: None, told_at: None };
    let sent = [("step", 0), ("acked", 0), ("late", 0), ("round", -2400), ("night", 0), ("over", 0)];
    poll.deliveries = sent.iter().map(|(id, seconds)| told(id, at(*seconds))).collect();
    poll.deliveries.push(grouped("group", group, at(630)));
    poll.deliveries.push(grouped("window", GroupPlace::of_window("day"), at(4200)));
    store.commit_poll(&poll).await.unwrap();
    store.claim(&ReceiverId::new("hook"), at(0), 99).await.unwrap();
    let settled = sent.map(|(id, _)| attempted(&format!("d-{id}"), DeliveryState::Delivered));
    store.settle(&settled).await.unwrap();
    store.ack(&[AlertId::new("acked")], &Ack { by: "kim".into(), reason: None, at: at(100) }).await.unwrap();
    let concerns = Concerns { jobs: vec!["etl_*".into()], ..Concerns::default() };
    let silence = NewSilence { concerns, reason: "deploy".into(), by: "li".into(), ends_at: at(7200) };
    assert_eq!(store.add_silence(&silence, at(0)).await.unwrap(), SilenceId(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_says_what_it_waits_for_next() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    store.close().await;
    drop(store);
    let served = Served::start_with(place, RULES, Arc::new(ManualClock::at(now()))).await;
    let until = at(7200).strftime("%H:%M");
    let table = [
        ("step", "next: boss, in 20m", "下一步：boss，20 分钟后"),
        ("acked", "next: team, hook, in 1h 50m", "下一步：team, hook，1 小时 50 分后"),
        ("late", "next: boss, in 20m", "下一步：boss，20 分钟后"),
        ("round", "next: hook, in 10m", "下一步：hook，10 分钟后"),
        ("night", "", ""),
        ("untold", "", ""),
        ("group", "waits for others of its group, goes out in 1m", "等待同组告警，1 分钟后发出"),
        ("window", "held back until its window opens, goes out in 1h", "暂缓至允许通知的时段，1 小时后发出"),
        ("silenced", &format!("silenced until {until} by li (silence 1)"), &format!("由 li 静默至 {until}（静默 1）")),
        ("muted", "held back: the mute window nightly", "暂不通知：静默时段 nightly"),
        ("suspended", "suspended: nothing in the configuration covers it", "已挂起：配置中没有规则覆盖它"),
        ("over", "", ""),
    ];
    for (id, english, chinese) in table {
        for (language, words) in [("en", english), ("zh-CN", chinese)] {
            let headers = [("accept-language", language)];
            let page = served.get(&format!("/alerts/{id}"), &headers).await;
            let note = page.body.split("<p class=\"note warn\">").nth(1).and_then(|rest| rest.split("</p>").next());
            assert_eq!(note.unwrap_or_default(), words, "{id}: {}", page.body);
            let list = served.get("/alerts?state=all", &headers).await.body;
            let row = list.split("<li").find(|row| row.contains(&format!("/alerts/{id}\""))).unwrap();
            assert!(row.contains(words), "{id}: {words:?} is not in {row}");
        }
    }
    served.stop().await;
}
