//! Mail through a real SMTP server (aiosmtpd), read back and parsed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use base64::Engine as _;
use mail_parser::{MessageParser, MimeHeaders as _};
use nightbell::model::AttemptOutcome::{Delivered, Rejected, Retry, Unauthorized};
use nightbell::model::{Delivery, DeliveryId, Message, MessageKind, Notification};
use nightbell::notify::{Notifier as _, Renderer};
use nightbell::template::{digest_samples, group_samples, sample_message, samples};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use super::{delivery, firing, now, open, settings};

/// Longer than any answer here takes, so that a fault is a failure and not a hang.
const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const PASSWORD: &str = "canary-s3cret";

/// When a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub(super) enum Life {
    Present,
    Over,
    ToCome,
}

/// A certificate authority of the test's own, and certificates it signed.
pub(super) struct Ca {
    pub(super) directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(super) fn new() -> Ca {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Ca { directory, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key for `name`, as PEM files.
    pub(super) fn certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        self.certificate_of(name, Life::Present)
    }

    /// The same with another time of validity.
    pub(super) fn certificate_of(&self, name: &str, life: Life) -> (PathBuf, PathBuf) {
        self.certificate_for(name, rcgen::ExtendedKeyUsagePurpose::ServerAuth, life)
    }

    /// The same for a client.
    pub(super) fn client_certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        self.certificate_for(name, rcgen::ExtendedKeyUsagePurpose::ClientAuth, Life::Present)
    }

    fn certificate_for(&self, name: &str, usage: rcgen::ExtendedKeyUsagePurpose, life: Life) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        match life {
            Life::Present => {}
            Life::Over => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Life::ToCome => params.not_before = rcgen::date_time_ymd(4000, 1, 1),
        }
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_file, key_file) = (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The server process; it ends with the test.
struct Server {
    child: Child,
    /// What it prints, read by a thread of its own: a full pipe would make the server wait for the test.
    lines: Receiver<String>,
    port: u16,
    ca: Ca,
}

/// One mail as the server took it.
struct Mail {
    to: Vec<String>,
    tls: bool,
    user: Option<String>,
    peer: u64,
    bytes: Vec<u8>,
}

impl Server {
    fn start(mode: &str) -> Server {
        let ca = Ca::new();
        let (cert, key) = ca.certificate("localhost");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/smtp/server.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(mode)
            .args([&cert, &key])
            .args(["nightbell", PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 with aiosmtpd: run tests/setup.sh");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (print, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| print.send(line)));
        let port = lines.recv_timeout(PATIENCE).expect("the server tells its port: run tests/setup.sh");
        Server { child, lines, port: port.parse().unwrap(), ca }
    }

    /// The settings of a receiver at this server.
    fn yaml(&self, scheme: &str, to: &str, password: &str) -> String {
        let file = self.ca.path("password");
        std::fs::write(&file, password).unwrap();
        format!(
            "{{ type: email, smtp_url: '{scheme}://nightbell@localhost:{}', password: {{ file: {} }}, ca_file: {}, \
             from: '夜铃 Nightbell <bell@example.com>', to: {to}, reply_to: ops@example.com }}",
            self.port,
            file.display(),
            self.ca.path("ca.pem").display(),
        )
    }

    /// The next mail that the server took.
    fn mail(&self) -> Mail {
        let line = self.lines.recv_timeout(PATIENCE).expect("the server took a mail");
        let mail: Value = serde_json::from_str(&line).unwrap();
        let data = mail["data"].as_str().unwrap();
        Mail {
            to: mail["to"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_string()).collect(),
            tls: mail["tls"].as_bool().unwrap(),
            user: mail["user"].as_str().map(str::to_string),
            peer: mail["peer"].as_u64().unwrap(),
            bytes: base64::engine::general_purpose::STANDARD.decode(data).unwrap(),
        }
    }

    /// Every mail that the server took and that was not asked for yet; ends the server.
    fn rest(mut self) -> usize {
        drop(self.child.stdin.take());
        // Ends when the process has closed its output.
        std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Over STARTTLS, with the test's own CA, logged in: every header and both bodies as they should be.
#[tokio::test]
async fn a_mail_arrives_as_it_was_meant() {
    let server = Server::start("starttls");
    let yaml = server.yaml("smtp", "['Data Team <team@example.com>']", PASSWORD);
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    let attempt = notifier.send(&delivery, now()).await;
    assert_eq!(
        (attempt.outcome, attempt.done),
        (Delivered, vec!["team@example.com".to_string()]),
        "{:?}",
        attempt.error
    );
    let mail = server.mail();
    assert!(mail.tls);
    assert_eq!((mail.user.as_deref(), mail.to), (Some("nightbell"), vec!["team@example.com".to_string()]));
    let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
    assert_eq!(parsed.subject(), Some("[CRITICAL] etl_orders failed after 1m, since 08:05"));
    let from = parsed.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("夜铃 Nightbell"), Some("bell@example.com")));
    assert_eq!(parsed.to().unwrap().first().unwrap().name(), Some("Data Team"));
    assert_eq!(parsed.reply_to().unwrap().first().unwrap().address(), Some("ops@example.com"));
    assert_eq!(parsed.message_id(), Some("d-0123456789abcdef@example.com"));
    assert_eq!(parsed.date().unwrap().to_timestamp(), now().as_second());
    assert_eq!(parsed.header("Auto-Submitted").and_then(|it| it.as_text()), Some("auto-generated"));
    assert_eq!(parsed.header("X-Auto-Response-Suppress").and_then(|it| it.as_text()), Some("OOF, AutoReply"));
    assert!(parsed.header("In-Reply-To").is_none());
    assert!(parsed.is_content_type("multipart", "alternative"));
    let normal = |text: &str| text.replace("\r\n", "\n").trim_end().to_string();
    assert_eq!(normal(&parsed.body_text(0).unwrap()), normal(delivery.content.part("text")));
    assert_eq!(normal(&parsed.body_html(0).unwrap()), normal(delivery.content.part("html")));
    assert!(parsed.body_text(0).unwrap().contains("obs://dlf-log/etl_orders/2026-11-21 08_00_00.000/load_orders"));
    assert_eq!(server.rest(), 0);
}

/// A resolution answers the mail that told of the failure, so that mail programs show them together.
#[tokio::test]
async fn a_resolution_answers_the_firing_mail() {
    let server = Server::start("tls");
    let yaml = server.yaml("smtps", "team@example.com", PASSWORD);
    let of = |message: &Message| delivery(&settings(&yaml), message).notification;
    let resolved = Delivery::pending(Notification {
        id: DeliveryId::new("resolved-1"),
        follows: Some(DeliveryId::new("firing 1, with odd characters>")),
        ..of(&sample_message(MessageKind::AlertResolved, now()))
    });
    let fired = Delivery::pending(Notification { id: resolved.follows.clone().unwrap(), ..of(&firing()) });
    let notifier = open(&yaml);
    assert_eq!(notifier.send(&fired, now()).await.outcome, Delivered);
    assert_eq!(notifier.send(&resolved, now()).await.outcome, Delivered);
    let (first, second) = (server.mail(), server.mail());
    assert_eq!(first.peer, second.peer, "both mails went over one connection");
    let parse = |mail: &Mail| MessageParser::default().parse(&mail.bytes).unwrap().into_owned();
    let (first, second) = (parse(&first), parse(&second));
    let answered = second.in_reply_to().as_text();
    assert_eq!(answered, first.message_id());
    assert_eq!(second.references().as_text(), first.message_id());
    assert!(second.subject().unwrap().starts_with("[RESOLVED]"));
}

/// Recipients succeed or fail alone, and a retry goes to those who do not have it.
#[tokio::test]
async fn recipients_succeed_or_fail_alone() {
    let server = Server::start("starttls");
    let yaml = server.yaml("smtp", "[a@example.com, busy@example.com, b@example.com]", PASSWORD);
    let (notifier, mut delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    let attempt = notifier.send(&delivery, now()).await;
    assert_eq!((attempt.outcome, attempt.status.as_deref()), (Retry, Some("450")));
    assert_eq!(attempt.done, ["a@example.com", "b@example.com"]);
    let error = attempt.error.unwrap();
    assert!(error.contains("busy@example.com was refused: 450 4.2.1 mailbox busy"), "{error}");
    delivery.done = attempt.done;
    let again = notifier.send(&delivery, now()).await;
    assert_eq!((again.outcome, again.done), (Retry, Vec::new()));
    assert_eq!(server.mail().to, ["a@example.com", "b@example.com"]);
    assert_eq!(server.rest(), 0, "nobody gets it twice");
}

#[tokio::test]
async fn a_recipient_that_does_not_exist_is_named() {
    let server = Server::start("starttls");
    let yaml = server.yaml("smtp", "[a@example.com, gone@example.com, b@example.com]", PASSWORD);
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    let attempt = notifier.send(&delivery, now()).await;
    assert_eq!((attempt.outcome, attempt.status.as_deref()), (Rejected, Some("550")));
    assert_eq!(attempt.done, ["a@example.com", "b@example.com"]);
    let error = attempt.error.unwrap();
    assert!(error.contains("gone@example.com was refused: 550 5.1.1 no such user"), "{error}");
    assert!(error.contains("delivered to a@example.com, b@example.com"), "{error}");
    assert_eq!(server.mail().to, ["a@example.com", "b@example.com"]);
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized_and_not_told() {
    let server = Server::start("starttls");
    let yaml = server.yaml("smtp", "a@example.com", "canary-wrong");
    let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
    assert_eq!((attempt.outcome, attempt.status.as_deref()), (Unauthorized, Some("535")), "{:?}", attempt.error);
    let error = attempt.error.unwrap();
    assert!(error.starts_with("while logging in: 535") && !error.contains("canary"), "{error}");
    assert_eq!(server.rest(), 0);
}

/// F-20: a certificate for another name, and one that nobody vouches for.
#[tokio::test]
async fn certificates_are_verified() {
    let server = Server::start("starttls");
    let right = server.yaml("smtp", "a@example.com", PASSWORD);
    let other_name = right.replace("@localhost", "@127.0.0.1");
    let nobody = right.replace(&format!("ca_file: {}, ", server.ca.path("ca.pem").display()), "");
    for yaml in [other_name, nobody] {
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_eq!(attempt.outcome, Retry, "{attempt:?}");
        let error = attempt.error.unwrap();
        assert!(error.contains("certificate"), "{error}");
    }
    assert_eq!(server.rest(), 0);
}

/// What looks like an encoded word in a name is shown as it is written, not as what it would decode to.
#[tokio::test]
async fn encoded_words_in_names_are_text() {
    let server = Server::start("tls");
    let yaml = server.yaml("smtps", "a@example.com", PASSWORD);
    for name in ["etl =?utf-8?q?all_is_well?= x", "=?UTF-8?B?eA==?=", "订单 =?utf-8?q?ok?="] {
        let mut message = firing();
        let nightbell::model::MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
        facts.job.name = name.to_string();
        let delivery = delivery(&settings(&yaml), &message);
        assert_eq!(open(&yaml).send(&delivery, now()).await.outcome, Delivered, "{name}");
        let mail = server.mail();
        let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
        assert!(parsed.subject().unwrap().contains(name), "{name}: {:?}", parsed.subject());
    }
    assert_eq!(server.rest(), 0);
}

/// S-19: whatever the data says, one mail with the same headers arrives, and its text is what was rendered.
#[tokio::test]
async fn data_adds_no_header_and_no_mail() {
    let server = Server::start("tls");
    let yaml = server.yaml("smtps", "a@example.com", PASSWORD);
    let receiver = settings(&yaml);
    let notifier = open(&yaml);
    // By kind of message: a digest's pictures make it another mail than an alert.
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let all: Vec<(String, Message)> = samples().into_iter().chain(group_samples()).chain(digest_samples()).collect();
    let renderer = Renderer::open(&receiver).unwrap();
    for (name, message) in &all {
        let content = renderer.render(message).content;
        let id = DeliveryId::new("d-0123456789abcdef");
        let delivery = Delivery::pending(Notification::new(id, receiver.id.clone(), message.kind, content, now()));
        assert_eq!(notifier.send(&delivery, now()).await.outcome, Delivered, "{name}");
        let mail = server.mail();
        let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
        let names: Vec<String> = parsed.headers().iter().map(|header| header.name().to_string()).collect();
        let expected = headers.entry(message.kind.as_str()).or_insert_with(|| names.clone());
        assert_eq!(*expected, names, "{name}");
        let subject = delivery.content.part("subject");
        assert_eq!(parsed.subject(), Some(subject), "{name}");
        let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
        assert_eq!(text.trim_end(), delivery.content.part("text").trim_end(), "{name}");
        let bare = mail.bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
        assert!(!bare, "{name}: a bare line feed");
    }
    assert_eq!(server.rest(), 0);
}
