//! What people see of one alert of the real binary, by mail and in Slack, and of digests by mail: pages that show
//! everything and load nothing.
//! `tests/pictures` has a browser draw them; those are for looking at, so nothing here says whether they are good.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::tz::TimeZone;
use nightbell::sim::{Inbox, Received, SimInstance, SimNode};
use nightbell::template::digest_samples;
use nightbell::words::Language;
use serde_json::Value;

use super::{Stage, ago, text};

/// The pictures in the README, and how large they may be.
const SHOWN: &str = "tests/data/pictures/alert.png";
const SHOWN_DIGEST: &str = "tests/data/pictures/digest.png";
const SHOWN_BYTES_MAX: u64 = 150 * 1024;
const SHOWN_DIGEST_BYTES_MAX: u64 = 200 * 1024;

#[tokio::test]
async fn an_alert_as_people_see_it_is_whole_and_loads_nothing() {
    let messages = messages().await;
    for (name, html) in &messages {
        for part in ["etl_orders", "load_orders", "obs://dlf-log/etl_orders/", "does not exist", "+08:00"] {
            assert!(html.contains(part), "{name}: {part:?} is not in\n{html}");
        }
        for remote in ["src=", "url(", "<link", "<script", "@import"] {
            assert!(!html.contains(remote), "{name}: {remote:?} is in\n{html}");
        }
    }
    if std::env::var_os("CHROMIUM").is_some() {
        draw_all(&messages, "mail-en-light.png", SHOWN, SHOWN_BYTES_MAX);
    }
}

/// Has the browser draw every message in each way that it is looked at. One of the pictures is in the README, as `shown`.
fn draw_all(messages: &[(String, String)], picked: &str, shown: &str, bytes_max: u64) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target/pictures");
    std::fs::create_dir_all(&directory).unwrap();
    for (name, html) in messages {
        for (look, width, dark) in
            [("light", 600, false), ("dark", 600, true), ("phone", 360, false), ("night", 360, true)]
        {
            let picture = directory.join(format!("{name}-{look}.png"));
            draw(html, width, dark, 2, &picture);
            assert!(std::fs::metadata(&picture).unwrap().len() > 5_000, "{} is empty", picture.display());
        }
    }
    let picked = directory.join(picked);
    let size = std::fs::metadata(&picked).unwrap().len();
    assert!(size <= bytes_max, "the picture for the README has {size} bytes");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(root.join(shown).parent().unwrap()).unwrap();
        std::fs::copy(picked, root.join(shown)).unwrap();
    }
}

/// Sample digests as mail, for a night tells too little of itself: ordinary, well, unknown, and with names in three
/// scripts.
#[test]
fn a_digest_as_people_see_it_is_whole_and_loads_nothing() {
    let wanted = ["digest ordinary", "digest well", "digest unknown", "digest late", "digest cjk", "digest huge"];
    let samples: Vec<_> = digest_samples().into_iter().filter(|(name, _)| wanted.contains(&name.as_str())).collect();
    assert_eq!(samples.len(), wanted.len());
    let mut pages = Vec::new();
    for (name, message) in samples {
        for language in Language::ALL {
            let html = crate::digest::page(&message, language);
            assert!(html.contains(&message.digest().unwrap().digest.name), "{name}: its name is not in\n{html}");
            for remote in ["src=\"http", "src=\"cid:", "url(", "<link", "<script", "@import"] {
                assert!(!html.contains(remote), "{name}: {remote:?} is in\n{html}");
            }
            pages.push((format!("{}-{}", name.replace(' ', "-"), language.as_str()), html));
        }
    }
    if std::env::var_os("CHROMIUM").is_some() {
        // A digest is long: for the README it is drawn once more, coarser.
        let shown = "digest-ordinary-en-shown.png";
        let html = &pages.iter().find(|(name, _)| name == "digest-ordinary-en").unwrap().1;
        std::fs::create_dir_all(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures")).unwrap();
        draw(html, 600, false, 1, &Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures").join(shown));
        draw_all(&pages, shown, SHOWN_DIGEST, SHOWN_DIGEST_BYTES_MAX);
    }
}

/// What the binary tells of a failure, by name: a whole page of HTML each.
async fn messages() -> Vec<(String, String)> {
    let mut inbox = Inbox::open().await.unwrap();
    let stage = Stage::set(super::TELL_FAILURES).await;
    let mut receivers = String::new();
    for language in ["en", "zh"] {
        let _ = writeln!(
            receivers,
            "  mail-{language}: {{ type: email, smtp_url: 'smtp+plain://{}', from: nightbell@example.com, \
             to: {language}@example.com, language: {language} }}\n  \
             slack-{language}: {{ type: slack, webhook_url: 'http://{}/slack', language: {language} }}",
            inbox.smtp, inbox.http
        );
    }
    let rules = format!(
        "version: 1\ntimezone: Asia/Shanghai\nstore: {}\nsources:\n{}receivers:\n{receivers}rules:\n  \
         etl-failed: {{ when: {{ status: [fail] }}, severity: critical, \
         notify: [mail-en, mail-zh, slack-en, slack-zh] }}\n",
        stage.store(),
        stage.source("warehouse")
    );
    std::fs::write(stage.path("rules.yaml"), rules).unwrap();
    stage.workspace.put(failure());
    stage.once(0).await;
    let mut pages = Vec::new();
    for _ in 0..4 {
        pages.push(match inbox.received.recv().await.unwrap() {
            Received::Mail(mail) => {
                let parsed = mail_parser::MessageParser::default().parse(mail.message.as_bytes()).unwrap();
                let language = mail.recipients[0].split('@').next().unwrap();
                (format!("mail-{language}"), parsed.body_html(0).unwrap().into_owned())
            }
            Received::Slack(body) => {
                let language = if body.contains("紧急") { "zh" } else { "en" };
                (format!("slack-{language}"), slack_page(&serde_json::from_str(&body).unwrap()))
            }
            Received::Webhook { body, .. } => panic!("nobody tells the webhook: {body}"),
        });
    }
    pages
}

/// A run that failed a minute ago, as the workspace tells of it.
fn failure() -> SimInstance {
    let planned = ago(183).to_zoned(TimeZone::get("Asia/Shanghai").unwrap()).strftime("%Y-%m-%d %H_%M_%S.000");
    let log = format!("obs://dlf-log/etl_orders/{planned}/load_orders/load_orders.job");
    let mut node = SimNode::ended("load_orders", "DWS SQL", "fail", ago(103), ago(63)).log_path(&log);
    node.retries = 2;
    let mut run = SimInstance::waiting("etl_orders", 34765, ago(183)).running().ended("fail", ago(63)).node(node);
    run.start_time = Some(ago(123));
    run.error_message = Some("ERROR: relation \"ods.orders\" does not exist\n  at line 12 of load_orders.sql".into());
    run
}

/// A Slack message as Slack lays it out, near enough to see what stands where.
fn slack_page(body: &Value) -> String {
    let mut inside = String::new();
    let of_attachment = &body["attachments"][0];
    for (blocks, bar) in
        [(&body["blocks"], "transparent"), (&of_attachment["blocks"], of_attachment["color"].as_str().unwrap())]
    {
        let _ = write!(inside, "<div class=part style=\"border-color:{bar}\">");
        for block in blocks.as_array().unwrap() {
            let text = if block["type"] == "context" { &block["elements"][0] } else { &block["text"] };
            let shown = match text["type"].as_str() {
                Some("mrkdwn") => mrkdwn(text["text"].as_str().unwrap()),
                _ => escaped(text["text"].as_str().unwrap()),
            };
            let _ = write!(inside, "<div class={}>{shown}</div>", block["type"].as_str().unwrap());
        }
        inside.push_str("</div>");
    }
    format!(
        "<!DOCTYPE html><meta charset=utf-8><style>:root{{color-scheme:light dark}}body{{margin:0;padding:16px;\
         font:15px/22px Lato,'Noto Sans CJK SC',sans-serif;overflow-wrap:anywhere}}.part{{border-left:4px solid;\
         padding-left:12px;margin-bottom:8px}}.header{{font-weight:700;font-size:18px}}.section{{white-space:pre-wrap;\
         padding:4px 0}}.context{{font-size:13px;opacity:.7}}code,pre{{font:12px/18px monospace;border:1px solid #8884;\
         background:#8881;border-radius:3px;padding:2px 3px;margin:0}}pre{{padding:8px;white-space:pre-wrap}}</style>{inside}"
    )
}

/// Slack's mrkdwn, which is escaped already, as HTML: bold, code, and code of several lines.
fn mrkdwn(text: &str) -> String {
    let blocks = text.split("```").enumerate().map(|(at, block)| match at % 2 {
        1 => format!("<pre>{block}</pre>"),
        _ => {
            let spans = block.split('`').enumerate().map(|(at, span)| match at % 2 {
                1 => format!("<code>{span}</code>"),
                _ => span
                    .split('*')
                    .enumerate()
                    .map(|(at, piece)| if at % 2 == 1 { format!("<b>{piece}</b>") } else { piece.to_string() })
                    .collect(),
            });
            spans.collect::<String>()
        }
    });
    blocks.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Draws a page as wide as asked for and as high as it is, so many points to a pixel.
fn draw(html: &str, width: u32, dark: bool, scale: u32, picture: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html");
    // A frame can be narrower than the browser's smallest window, and tells how high its content is.
    let frame = format!(
        "<!DOCTYPE html><meta charset=utf-8><style>:root{{color-scheme:light dark}}body{{margin:0}}iframe{{border:0;\
         display:block;width:{width}px;height:2000px}}</style><iframe srcdoc=\"{}\" onload=\"this.style.height=\
         (document.body.dataset.height=this.contentDocument.body.scrollHeight)+'px'\"></iframe>",
        escaped(html)
    );
    std::fs::write(&page, frame).unwrap();
    let dom = text(&browser(dark, &["--dump-dom".into()], &page));
    let height =
        dom.split("data-height=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{dom}"));
    let size = format!("--window-size={width},{height}");
    browser(
        dark,
        &[size, format!("--force-device-scale-factor={scale}"), format!("--screenshot={}", picture.display())],
        &page,
    );
}

fn browser(dark: bool, arguments: &[String], page: &Path) -> Vec<u8> {
    let program = PathBuf::from(std::env::var_os("CHROMIUM").expect("set by tests/pictures"));
    let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
    // The pages are the program's own; in a container the browser's sandbox often cannot be had.
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", &scheme])
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("CHROMIUM names no browser");
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}
