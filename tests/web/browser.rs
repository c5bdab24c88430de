//! A real browser on the pages of the real binary over the simulated night of the demo. `tests/setup.sh` installs what it
//! needs; without that nothing of this holds.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nightbell::sign::{ACK, Link, LinkKey};
use nightbell::store::Access as _;

use super::night::{HOSTILE, Night, night};
use crate::program::{Running, nightbell};

/// Where `tests/setup.sh` has put the browser's driver.
fn modules() -> PathBuf {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser/node_modules");
    assert!(modules.join("playwright-core").is_dir(), "tests/setup.sh installs the browser's driver");
    modules
}

fn browser() -> String {
    let named = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let found = Command::new("sh").args(["-c", &format!("command -v {named}")]).output().unwrap();
    let path = String::from_utf8_lossy(&found.stdout).trim().to_string();
    assert!(found.status.success() && !path.is_empty(), "tests/setup.sh installs a browser");
    path
}

/// Names, errors, owners and paths that a browser would run, in a browser: signed in with a token, on every page. Nothing of
/// it runs; and what is done there is done. The page goes by a name that is not this machine's, over plain HTTP: from there
/// browsers say less of where a form comes from.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_run_nothing_in_a_browser() {
    let (modules, chromium) = (modules(), browser());
    let Night { served, responder, .. } = night().await;
    let store = served.store().await;
    let key = LinkKey::new(store.link_key("never taken: there is one").await.unwrap());
    store.close().await;
    let until = super::night::now() + jiff::SignedDuration::from_hours(1);
    let sign = key.signature(&Link { alert: "a1", episode: 1, action: ACK, until });
    let link = format!("/ack/a1?until={}&sign={sign}", until.as_second());
    let mut command = Command::new("node");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/hostile.mjs"))
        .arg(modules)
        .args([format!("http://bell.test:{}", served.address.port()), HOSTILE.to_string(), link])
        .env("TOKEN", responder.trim_start_matches("Bearer "))
        .env("CHROMIUM", chromium);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (wrong, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && wrong.trim().is_empty(), "{wrong}\n{error}");
    served.stop().await;
}

#[test]
fn people_click_through_the_night() {
    let (modules, chromium) = (modules(), browser());
    let mut child =
        nightbell(&["demo", "--for", "1800s"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = Running(child);
    let address =
        lines.find_map(|line| Some(line.unwrap().split_once("The page of the night: ")?.1.trim().to_string()));
    let address = address.expect("the demo tells where its page is");
    // The last thing of the night: then everything there is to see has happened.
    let last = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("settlement_daily ends")));
    assert!(last.is_some(), "the demo ended early");
    // Nobody reads on: the demo must not stop for that.
    std::thread::spawn(move || lines.for_each(drop));
    std::thread::sleep(std::time::Duration::from_secs(4));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command
        .arg(root.join("tests/web/browser.mjs"))
        .args([modules.as_os_str(), address.as_ref(), root.join("target/pictures/web").as_os_str()])
        .env("CHROMIUM", chromium);
    if std::env::var_os("UPDATE").is_some() {
        command.arg(root.join("tests/data/pictures"));
    }
    let output = command.output().unwrap();
    let (wrong, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && wrong.trim().is_empty(), "{wrong}\n{error}");
    drop(running);
}
