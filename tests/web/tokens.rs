//! Who is let in: tokens, proxies, and nobody else.

use std::sync::Arc;

use nightbell::clock::ManualClock;
use nightbell::config::{Config, LoadOptions};
use nightbell::desk::{hash_of, new_token};
use nightbell::model::{LabelMatch, Role};
use nightbell::store::{Access as _, NewToken};

use super::Served;
use crate::program::{Stage, text};
use crate::sample::{Place, at};

const TOKENS: &str = "web: { listen: \"127.0.0.1:0\", tokens: true }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_until_it_expires_or_is_revoked() {
    let (place, clock) = (Place::new(), Arc::new(ManualClock::at(at(0))));
    let served = Served::start_in(place, TOKENS, clock.clone()).await;
    let store = served.store().await;
    let (holding, ending, unknown) = (new_token().unwrap(), new_token().unwrap(), new_token().unwrap());
    for (token, expires_at) in [(&holding, None), (&ending, Some(at(60)))] {
        let new = NewToken {
            hash: hash_of(token),
            name: "kim".into(),
            role: Role::Viewer,
            scope: LabelMatch::default(),
            expires_at,
        };
        store.add_token(&new, at(0)).await.unwrap();
    }
    let ask = async |token: &str| served.get("/metrics", &[("authorization", &format!("Bearer {token}"))]).await.status;
    assert_eq!((ask(&holding).await, ask(&ending).await, ask(&unknown).await), (200, 200, 401));
    assert_eq!(served.get("/metrics", &[]).await.status, 401);
    let hash = hash_of(&holding);
    for wrong in ["", "nb_", "nb_ ", &hash, "nb_\u{fffd}", &holding[..45], &format!("{holding}=")] {
        assert_eq!(ask(wrong).await, 401, "{wrong:?}");
    }
    let other = served.get("/metrics", &[("authorization", &format!("Basic {holding}"))]).await;
    assert_eq!((other.status, other.header("www-authenticate")), (401, Some("Bearer")));
    served.set(&clock, at(61)).await;
    assert_eq!((ask(&holding).await, ask(&ending).await), (200, 401));
    assert_eq!(store.revoke_tokens(&hash[..8], at(61)).await.unwrap().len(), 1);
    assert_eq!(ask(&holding).await, 401);
    assert_eq!(served.get("/-/healthy", &[]).await.status, 200, "health needs nobody's name");
    store.close().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_says_who_asks_once_and_from_its_own_place() {
    for (from, expected) in [("127.0.0.1", 200), ("127.0.0.0/8", 200), ("10.1.2.3", 403)] {
        let web =
            format!("web: {{ listen: \"127.0.0.1:0\", trusted_proxy: {{ from: [\"{from}\"], header: X-Person }} }}\n");
        let served = Served::start(&web).await;
        let said = |names: &'static [(&'static str, &'static str)]| served.get("/metrics", names);
        assert_eq!(said(&[("x-person", "kim")]).await.status, expected, "{from}");
        assert_eq!(said(&[("x-person", "kim"), ("X-Person", "root")]).await.status, 400, "{from}");
        assert_eq!(said(&[]).await.status, 401, "{from}");
        if expected == 200 {
            assert_eq!(said(&[("x-person", " ")]).await.status, 400);
        }
        served.stop().await;
    }
}

#[test]
fn an_address_that_others_reach_needs_something_that_people_show() {
    let load = |web: &str| {
        let text = format!("version: 1\n{web}{}", super::AROUND);
        Config::from_text(text, "rules.yaml", std::path::Path::new("."), &LoadOptions { offline: true })
    };
    for open in [
        "web: { listen: \"0.0.0.0:8910\" }\n",
        "web: { listen: \"[::]:8910\" }\n",
        "web: { listen: \"10.0.0.1:80\", tokens: no }\n",
    ] {
        let problem = load(open).unwrap_err().to_string();
        assert!(problem.contains("could silence alerts") && problem.contains("tokens: true"), "{problem}");
    }
    for sound in [
        "web: { listen: \"127.0.0.1:8910\" }\n",
        "web: { listen: \"0.0.0.0:8910\", tokens: true }\n",
        "web: { listen: \"0.0.0.0:8910\", trusted_proxy: { from: 10.0.0.0/8, role: responder } }\n",
    ] {
        load(sound).unwrap_or_else(|problem| panic!("{problem}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_listed_and_revoked_on_the_command_line_and_shown_once() {
    let stage =
        Stage::set(&format!("{TOKENS}rules:\n  failed: {{ when: {{ status: [fail] }}, notify: [hook] }}\n")).await;
    stage.once(0).await;
    let made = stage.output(&["token", "create", "--name", "kim", "--role", "responder", "--for", "30d"]).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let token = text(&made.stdout).trim().to_string();
    assert!(token.starts_with("nb_") && token.len() == 46, "{token}");
    let listed = stage.output(&["token", "list", "--json"]).await;
    let line: serde_json::Value = serde_json::from_str(text(&listed.stdout).trim()).unwrap();
    assert_eq!((&line["name"], &line["role"], &line["state"]), (&"kim".into(), &"responder".into(), &"active".into()));
    let bytes = stage.stored().await;
    assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "the store holds the token itself");
    let id = line["id"].as_str().unwrap();
    assert!(stage.output(&["token", "revoke", id]).await.status.success());
    assert_eq!(stage.output(&["token", "revoke", id]).await.status.code(), Some(1));
    assert_eq!(stage.output(&["token", "revoke", "zz"]).await.status.code(), Some(2));
    let listed = stage.output(&["token", "list"]).await;
    assert!(text(&listed.stdout).contains("revoked"), "{}", text(&listed.stdout));
    // One for some labels; a label that nothing bears is most likely misspelt.
    let labels = ["--label", "team=finance", "--label", "team=hr", "--label", "tier=1"];
    let made = stage.output(&[&["token", "create", "--name", "ana"], labels.as_slice()].concat()).await;
    let said = text(&made.stderr);
    assert!(made.status.success() && said.contains("no rule and no source has the label team=finance"), "{said}");
    assert!(said.contains("a viewer for ana, of team=finance | team=hr | tier=1 alone"), "{said}");
    let listed = stage.output(&["token", "list", "--json"]).await;
    let line: serde_json::Value = serde_json::from_str(text(&listed.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(line["labels"], serde_json::json!({ "team": ["finance", "hr"], "tier": ["1"] }));
    assert_eq!(stage.output(&["token", "create", "--name", "x", "--label", "team"]).await.status.code(), Some(2));
}
