//! The page that explains a run: every rule, what it measured, and the one reason.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::model::{Alert, AlertId, DeliveryState, Instance, ReceiverId, RuleId, Status};
use nightbell::store::{Outbox as _, PollLedger as _};

use super::night::attempted;
use super::{AROUND, Served};
use crate::sample::{Place, alert, at, commit, delivery, instance};

async fn served() -> Served {
    let place = Place::new();
    let store = place.open().await;
    let run = |id: &str, status| Instance { source: "s".into(), ..instance("etl_orders", id, status) };
    let mut fired = Alert { source: "s".into(), rule: RuleId::new("failed"), ..alert("a1", "etl_orders") };
    fired.facts.alert.rule = RuleId::new("failed");
    fired.facts.instance.as_mut().unwrap().id = "2".into();
    let mut told = delivery("d1", "hook");
    (told.alert, told.rule) = (Some(AlertId::new("a1")), Some(RuleId::new("failed")));
    let mut poll = commit(0);
    poll.source = "s".into();
    poll.instances = vec![run("1", Status::Success), run("2", Status::Fail), run("3", Status::Running)];
    (poll.fired, poll.deliveries) = (vec![fired], vec![told]);
    store.commit_poll(&poll).await.unwrap();
    store.claim(&ReceiverId::new("hook"), at(0), 9).await.unwrap();
    store.settle(&[attempted("d1", DeliveryState::Delivered)]).await.unwrap();
    store.close().await;
    drop(store);
    Served::start_with(
        place,
        &format!("web: {{ listen: \"127.0.0.1:0\" }}\n{AROUND}"),
        Arc::new(ManualClock::at(at(60))),
    )
    .await
}

/// The texts between tags, one after the other.
fn said(page: &str) -> String {
    let main = page.split("<main").nth(1).unwrap_or_else(|| panic!("no contents in {page}"));
    let texts = main.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("|")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_says_what_it_measured_and_why_nobody_was_told() {
    let served = served().await;
    let explained_in = async |run: &str, language: &str| {
        let path = format!("/explain?source=s&job=etl_orders&run={run}");
        let page = served.get(&path, &[("accept-language", language)]).await.body;
        (said(&page), page)
    };
    let explained = async |run: &str| explained_in(run, "en").await;
    let elsewhere = "Rules about other jobs|1|slow|match.job: the name is not slow";
    let (failed, page) = explained("2").await;
    for expected in ["etl_orders / 2|s", "|failed|error|notified|Now: status fail|etl_orders failed|", elsewhere] {
        assert!(failed.contains(expected), "{expected:?} is not in {failed}");
    }
    assert!(page.contains("href=\"/alerts/a1\""), "the alert is a step away: {page}");
    let (running, _) = explained("3").await;
    for expected in
        ["etl_orders / 3|s", "|failed|error|not notified|Not notified: status running is not fail|", elsewhere]
    {
        assert!(running.contains(expected), "{expected:?} is not in {running}");
    }
    let elsewhere = "涉及其他作业的规则|1|slow|match.job：名称不匹配 slow";
    let (failed, _) = explained_in("2", "zh-CN").await;
    for expected in ["|failed|错误|已通知|现状：状态：失败|", elsewhere] {
        assert!(failed.contains(expected), "{expected:?} is not in {failed}");
    }
    let (running, _) = explained_in("3", "zh-CN").await;
    let expected = "|failed|错误|未通知|未通知：状态“运行中”不属于：失败|";
    assert!(running.contains(expected), "{expected:?} is not in {running}");
    served.stop().await;
}

/// Whoever is refused is told why in their language, and a program in English.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_in_the_language_of_who_asked() {
    let served = served().await;
    let table = [
        ("/nothing", "there is nothing here of that name", "没有这个名称的内容"),
        ("/alerts?cursor=x", "the cursor is not from an answer of this API", "该游标不是这里给出的"),
    ];
    for (path, english, chinese) in table {
        for (language, words) in [("en", english), ("zh-CN", chinese)] {
            let page = served.get(path, &[("accept-language", language)]).await;
            assert!(page.status >= 400 && page.body.contains(words), "{path}: {words:?} is not in {}", page.body);
        }
    }
    let problem = served.get("/api/v1/alerts?cursor=x", &[("accept-language", "zh-CN")]).await;
    assert_eq!(problem.json()["detail"], "the cursor is not from an answer of this API");
    served.stop().await;
}
