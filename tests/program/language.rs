//! `language`: each receiver is told in its own, and machines in none.

use super::{Stage, failed};

#[tokio::test]
async fn every_receiver_is_told_in_its_language() {
    let stage = Stage::set("").await;
    let rules = format!(
        "  chinese: {{ type: slack, webhook_url: '{}' }}\n  english: {{ type: slack, webhook_url: '{}', language: en }}\n\
         rules:\n  failed: {{ when: {{ status: [fail] }}, severity: critical, notify: [hook, chinese, english] }}\n\
         language: zh\n",
        stage.sink.url("chinese"),
        stage.sink.url("english")
    );
    stage.write_config(&rules);
    stage.workspace.put(failed("etl_orders", 7));
    stage.once(0).await;
    let told = |path: &str| stage.sink.hits_at(path)[0].json();
    let (chinese, english) = (told("chinese")["text"].to_string(), told("english")["text"].to_string());
    assert!(chinese.contains("【紧急】etl_orders 运行 ") && chinese.contains("后失败"), "{chinese}");
    assert!(english.contains("CRITICAL: etl_orders failed after "), "{english}");
    let alert = &told("hook")["data"]["alert"];
    assert!(alert["summary"].as_str().unwrap().starts_with("etl_orders failed after "), "{alert}");
    assert_eq!(alert["reason"]["code"], "status");
}
