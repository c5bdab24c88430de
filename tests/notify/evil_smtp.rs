//! Mail against a server that does what good ones do not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nightbell::model::AttemptOutcome::{Delivered, Rejected, Retry, Unauthorized, Uncertain};
use nightbell::model::{Attempt, AttemptOutcome};
use nightbell::notify::Notifier as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::smtp::{Ca, PASSWORD};
use super::{delivery, firing, now, open, settings};

/// What the server says to each thing it is told. An empty answer closes the connection; `HANG` never comes.
#[derive(Clone, Copy)]
struct Script {
    banner: &'static str,
    ehlo: &'static str,
    starttls: &'static str,
    auth: &'static str,
    mail: &'static str,
    rcpt: fn(&str) -> &'static str,
    data: &'static str,
    end: &'static str,
    /// To RSET and NOOP.
    rset: &'static str,
    /// How many mails, and recipients of one mail, a connection takes before 421.
    mails_max: usize,
    recipients_max: usize,
    /// Holds the receipt of the mail back until it is told to go on.
    gate: Option<&'static tokio::sync::Semaphore>,
}

const HANG: &str = "hang";

const GOOD: Script = Script {
    banner: "220 hello\r\n",
    ehlo: "250-me\r\n250 8BITMIME\r\n",
    starttls: "502 no\r\n",
    auth: "235 welcome\r\n",
    mail: "250 ok\r\n",
    rcpt: |_| "250 ok\r\n",
    data: "354 go on\r\n",
    end: "250 taken\r\n",
    rset: "250 ok\r\n",
    mails_max: usize::MAX,
    recipients_max: usize::MAX,
    gate: None,
};

type Log = Arc<Mutex<Vec<String>>>;

struct Server {
    port: u16,
    log: Log,
}

impl Server {
    async fn start(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Log::default();
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.lock().unwrap().push("CONNECTED".to_string());
                tokio::spawn(converse(stream, script, Arc::clone(&kept)));
            }
        });
        Server { port, log }
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn count(&self, word: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(word)).count()
    }

    fn yaml(&self, scheme: &str, rest: &str) -> String {
        format!(
            "{{ type: email, smtp_url: '{scheme}127.0.0.1:{}', from: bell@example.com, \
             to: [a@x.org, b@x.org, c@x.org]{rest} }}",
            self.port
        )
    }
}

async fn converse(stream: TcpStream, script: Script, log: Log) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    say(&mut write, script.banner).await?;
    let (mut mails, mut recipients) = (0, 0);
    loop {
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_string();
        log.lock().unwrap().push(line.clone());
        let verb = line.split(' ').next().unwrap_or_default();
        let reply = match verb {
            "EHLO" => script.ehlo,
            "STARTTLS" => script.starttls,
            "AUTH" => script.auth,
            "MAIL" => script.mail,
            "RCPT" => (script.rcpt)(&line),
            "DATA" => script.data,
            "RSET" | "NOOP" => script.rset,
            "QUIT" => "221 bye\r\n",
            _ => "500 what\r\n",
        };
        if verb == "MAIL" && mails == script.mails_max || verb == "RCPT" && recipients == script.recipients_max {
            say(&mut write, "421 enough for one connection\r\n").await?;
            return None;
        }
        recipients = match verb {
            "MAIL" => 0,
            "RCPT" => recipients + 1,
            _ => recipients,
        };
        say(&mut write, reply).await?;
        if verb == "DATA" && reply.starts_with("354") {
            let mut mail = Vec::new();
            while !mail.ends_with(b"\r\n.\r\n") {
                lines.read_until(b'\n', &mut mail).await.ok().filter(|read| *read > 0)?;
            }
            log.lock().unwrap().push(format!("MAILTEXT {}", String::from_utf8_lossy(&mail)));
            mails += 1;
            if let Some(gate) = script.gate {
                gate.acquire().await.unwrap().forget();
            }
            say(&mut write, script.end).await?;
        }
    }
}

/// Says it; `None` ends the conversation.
async fn say(write: &mut tokio::net::tcp::OwnedWriteHalf, reply: &str) -> Option<()> {
    match reply {
        "" => None,
        HANG => std::future::pending().await,
        // One byte at a time, each within any patience; all of them beyond it.
        drip if drip.starts_with("drip ") => loop {
            write.write_all(b"2").await.ok()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        },
        endless if endless.starts_with("endless ") => {
            let piece = endless.trim_start_matches("endless ").repeat(1000);
            loop {
                write.write_all(piece.as_bytes()).await.ok()?;
            }
        }
        text => write.write_all(text.as_bytes()).await.ok(),
    }
}

async fn attempt(server: &Server) -> Attempt {
    let yaml = server.yaml("smtp+plain://", "");
    open(&yaml).with_deadline(Duration::from_millis(1500)).send(&delivery(&settings(&yaml), &firing()), now()).await
}

/// F-15 to F-19, F-21: what each misdeed becomes, and who has the mail by then.
#[tokio::test]
async fn every_misdeed_has_its_outcome() {
    let all: &[&str] = &["a@x.org", "b@x.org", "c@x.org"];
    let a_and_c: &[&str] = &["a@x.org", "c@x.org"];
    let one: &[&str] = &["a@x.org"];
    type Row = (Script, AttemptOutcome, &'static str, &'static [&'static str], &'static str);
    let rcpt = |rcpt| Script { rcpt, ..GOOD };
    let rows: Vec<Row> = vec![
        (GOOD, Delivered, "250", &[], ""),
        (
            rcpt(|to| if to.contains("<b@") { "550 5.1.1 gone\r\n" } else { "250 ok\r\n" }),
            Rejected,
            "550",
            a_and_c,
            "b@x.org was refused: 550 5.1.1 gone",
        ),
        (
            rcpt(|to| if to.contains("<b@") { "450 busy\r\n" } else { "250 ok\r\n" }),
            Retry,
            "450",
            a_and_c,
            "b@x.org was refused: 450 busy",
        ),
        (
            rcpt(|to| if to.contains("<b@") { "451-one\r\n451 two\r\n" } else { "250 ok\r\n" }),
            Retry,
            "451",
            a_and_c,
            "two",
        ),
        (
            rcpt(|to| if to.contains("<b@") { "421 closing\r\n" } else { "250 ok\r\n" }),
            Retry,
            "421",
            one,
            "b@x.org was refused: 421 closing",
        ),
        (
            rcpt(|to| if to.contains("<a@") { "550 gone\r\n" } else { "452 full\r\n" }),
            Retry,
            "452",
            &[],
            "a@x.org was refused: 550 gone",
        ),
        (rcpt(|_| "550 gone\r\n"), Rejected, "550", &[], "c@x.org was refused"),
        (rcpt(|to| if to.contains("<b@") { "" } else { "250 ok\r\n" }), Retry, "connect", &[], ""),
        (
            rcpt(|to| if to.contains("<b@") { HANG } else { "250 ok\r\n" }),
            Retry,
            "timeout",
            &[],
            "while naming sender and recipient",
        ),
        (Script { mail: "530 log in first\r\n", ..GOOD }, Unauthorized, "530", &[], "530 log in first"),
        (Script { mail: "451 greylisted\r\n", ..GOOD }, Retry, "451", &[], "greylisted"),
        (Script { data: "554 no\r\n", ..GOOD }, Rejected, "554", &[], "554 no"),
        (Script { end: "554 spam\r\n", ..GOOD }, Rejected, "554", &[], "554 spam"),
        (Script { end: "451 later\r\n", ..GOOD }, Retry, "451", &[], "451 later"),
        (Script { end: "", ..GOOD }, Uncertain, "no reply", &[], ""),
        (Script { end: HANG, ..GOOD }, Uncertain, "no reply", &[], "after the mail was sent"),
        (Script { end: "endless 250-x\r\n", ..GOOD }, Uncertain, "no reply", &[], ""),
        (Script { banner: HANG, ..GOOD }, Retry, "timeout", &[], "while connecting"),
        (Script { banner: "", ..GOOD }, Retry, "connect", &[], ""),
        (Script { banner: "drip ", ..GOOD }, Retry, "timeout", &[], "while connecting"),
        (Script { data: "drip ", ..GOOD }, Retry, "timeout", &[], ""),
        (Script { end: "drip ", ..GOOD }, Uncertain, "no reply", &[], "after the mail was sent"),
        (Script { banner: "554 go away\r\n", ..GOOD }, Retry, "554", &[], "go away"),
        (Script { banner: "\u{ff}junk\r\n", ..GOOD }, Retry, "connect", &[], ""),
        (Script { banner: "HTTP/1.1 400 Bad Request\r\n", ..GOOD }, Retry, "connect", &[], ""),
        (
            Script { banner: "endless 220-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", ..GOOD },
            Retry,
            "connect",
            &[],
            "",
        ),
        (Script { banner: "endless x", ..GOOD }, Retry, "connect", &[], "longer than 16 KiB"),
        (Script { ehlo: HANG, ..GOOD }, Retry, "timeout", &[], "while connecting"),
    ];
    for (number, (script, outcome, status, done, said)) in rows.into_iter().enumerate() {
        let server = Server::start(script).await;
        let attempt = attempt(&server).await;
        let row = format!("row {number}: {attempt:?}");
        assert_eq!((attempt.outcome, attempt.status.as_deref()), (outcome, Some(status)), "{row}");
        let done = if outcome == Delivered { all } else { done };
        assert_eq!(attempt.done, done, "{row}");
        assert!(attempt.error.unwrap_or_default().contains(said), "{row}");
        assert!(server.count("CONNECTED") <= 3, "{row}");
    }
}

/// F-16: who has the mail is not sent it again, and when all the others have it the delivery is done.
#[tokio::test]
async fn a_retry_goes_to_those_who_do_not_have_it() {
    let server = Server::start(GOOD).await;
    let yaml = server.yaml("smtp+plain://", "");
    let mut delivery = delivery(&settings(&yaml), &firing());
    delivery.done = vec!["a@x.org".into(), "c@x.org".into()];
    let attempt = open(&yaml).send(&delivery, now()).await;
    assert_eq!((attempt.outcome, attempt.done), (Delivered, vec!["b@x.org".to_string()]));
    assert_eq!((server.count("RCPT"), server.count("MAILTEXT")), (1, 1));
}

/// F-18: the reply is lost, the mail is sent again, and it is the same mail.
#[tokio::test]
async fn a_repeat_has_the_same_bytes() {
    let server = Server::start(Script { end: "", ..GOOD }).await;
    let yaml = server.yaml("smtp+plain://", "");
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    for seconds in [0, 3600] {
        let attempt = notifier.send(&delivery, now() + Duration::from_secs(seconds)).await;
        assert_eq!(attempt.outcome, Uncertain);
    }
    let log = server.log();
    let mails: Vec<&String> = log.iter().filter(|line| line.starts_with("MAILTEXT")).collect();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0], mails[1]);
    assert!(mails[0].contains("Message-ID: <d-0123456789abcdef@example.com>"), "{}", mails[0]);
}

/// The connection is kept for the next mail, and a kept one that has died costs nothing.
#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    let server = Server::start(GOOD).await;
    let yaml = server.yaml("smtp+plain://", "");
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    assert_eq!(notifier.send(&delivery, now()).await.outcome, Delivered);
    assert_eq!(notifier.send(&delivery, now()).await.outcome, Delivered);
    assert_eq!((server.count("CONNECTED"), server.count("MAILTEXT")), (1, 2));
    // A server that closes when it is asked whether it is still there: the kept connection is of no use.
    let dying = Server::start(Script { rset: "", ..GOOD }).await;
    let yaml = dying.yaml("smtp+plain://", "");
    let notifier = open(&yaml);
    for mails in [1, 2] {
        assert_eq!(notifier.send(&delivery, now()).await.outcome, Delivered);
        assert_eq!((dying.count("MAILTEXT"), dying.count("CONNECTED")), (mails, mails));
    }
}

/// A server that takes five mails a connection, or two recipients: the rest goes over a new one at once.
#[tokio::test]
async fn what_one_connection_does_not_take_goes_over_the_next() {
    let server = Server::start(Script { mails_max: 5, ..GOOD }).await;
    let yaml = server.yaml("smtp+plain://", "");
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    for number in 0..12 {
        let attempt = notifier.send(&delivery, now()).await;
        assert_eq!(attempt.outcome, Delivered, "mail {number}: {:?}", attempt.error);
    }
    assert_eq!((server.count("CONNECTED"), server.count("MAILTEXT")), (3, 12));
    let server = Server::start(Script { recipients_max: 2, ..GOOD }).await;
    let attempt = attempt(&server).await;
    assert_eq!(attempt.outcome, Delivered, "{:?}", attempt.error);
    assert_eq!(attempt.done, ["a@x.org", "b@x.org", "c@x.org"]);
    assert_eq!((server.count("CONNECTED"), server.count("MAILTEXT")), (2, 2));
}

/// One envelope for all recipients; those that are too many for one go into the next.
#[tokio::test]
async fn one_envelope_carries_all_recipients() {
    let server = Server::start(GOOD).await;
    assert_eq!(attempt(&server).await.outcome, Delivered);
    assert_eq!((server.count("MAIL FROM"), server.count("RCPT"), server.count("MAILTEXT")), (1, 3, 1));
    static SECOND: AtomicUsize = AtomicUsize::new(0);
    let too_many = |_: &str| match SECOND.fetch_add(1, Ordering::Relaxed) {
        2 => "452 too many recipients\r\n",
        _ => "250 ok\r\n",
    };
    let server = Server::start(Script { rcpt: too_many, ..GOOD }).await;
    let attempt = attempt(&server).await;
    assert_eq!((attempt.outcome, attempt.done.len()), (Delivered, 3), "{:?}", attempt.error);
    assert_eq!((server.count("CONNECTED"), server.count("MAILTEXT")), (1, 2));
}

/// RFC 5321, 4.5.3.2.6: a server may think for ten minutes over a mail that it has got; giving up earlier makes copies.
#[tokio::test]
async fn a_server_that_thinks_for_seventy_seconds_gets_one_copy() {
    static GATE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);
    let server = Server::start(Script { gate: Some(&GATE), ..GOOD }).await;
    let yaml = server.yaml("smtp+plain://", "");
    let (notifier, delivery) = (open(&yaml), delivery(&settings(&yaml), &firing()));
    let sending = tokio::spawn(async move { notifier.send(&delivery, now()).await });
    while server.count("MAILTEXT") == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(70)).await;
    tokio::time::resume();
    GATE.add_permits(1);
    let attempt = sending.await.unwrap();
    assert_eq!((attempt.outcome, server.count("MAILTEXT")), (Delivered, 1), "{:?}", attempt.error);
}

/// Who wants a full name gets one, or the address that the connection comes from; `hello` says another one.
#[tokio::test]
async fn the_greeting_has_a_full_name_or_an_address() {
    let server = Server::start(GOOD).await;
    assert_eq!(attempt(&server).await.outcome, Delivered);
    let greeting = server.log().into_iter().find(|line| line.starts_with("EHLO ")).unwrap();
    assert!(greeting.contains('.') || greeting == "EHLO [127.0.0.1]", "{greeting}");
    let server = Server::start(GOOD).await;
    let yaml = server.yaml("smtp+plain://", ", hello: bell.example.com");
    open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
    assert_eq!(server.count("EHLO bell.example.com"), 1, "{:?}", server.log());
}

/// A connection that is of no use any more ends with QUIT.
#[tokio::test]
async fn quit_is_said() {
    let server = Server::start(GOOD).await;
    let yaml = server.yaml("smtp+plain://", "");
    let notifier = open(&yaml);
    assert_eq!(notifier.send(&delivery(&settings(&yaml), &firing()), now()).await.outcome, Delivered);
    assert_eq!(server.count("QUIT"), 0, "it is kept for the next mail");
    notifier.close().await;
    assert_eq!(server.count("QUIT"), 1);
}

/// What a server says that takes no password is told as what it is, and people must mend it.
#[tokio::test]
async fn a_server_without_passwords_is_told_as_such() {
    let ca = Ca::new();
    let table = [
        ("250-me\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n", "takes no password, only OAuth (XOAUTH2, OAUTHBEARER)"),
        ("250-me\r\n250 AUTH CRAM-MD5\r\n", "offers CRAM-MD5 and neither PLAIN nor LOGIN"),
        ("250 me\r\n", "offers no login"),
    ];
    for (ehlo, said) in table {
        let server = Server::start(Script { ehlo, ..GOOD }).await;
        let yaml = with_login(&server, "smtp+plain://", &ca);
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_eq!(attempt.outcome, Unauthorized, "{attempt:?}");
        assert!(attempt.error.unwrap().contains(said), "{said}");
    }
}

/// Keywords in any case, and a line with nothing in it: neither stops a mail, and nothing panics.
#[tokio::test]
async fn odd_greetings_do_no_harm() {
    let ca = Ca::new();
    for ehlo in ["250-me\r\n250-\r\n250 auth plain\r\n", "250-me\r\n \r\n250-   \r\n250 Auth=Plain login\r\n"] {
        let server = Server::start(Script { ehlo, ..GOOD }).await;
        let yaml = with_login(&server, "smtp+plain://", &ca);
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_eq!(attempt.outcome, Delivered, "{ehlo:?}: {attempt:?}");
        assert_eq!(server.count("AUTH PLAIN"), 1);
    }
}

fn with_login(server: &Server, scheme: &str, ca: &Ca) -> String {
    std::fs::write(ca.path("password"), PASSWORD).unwrap();
    let files = (ca.path("password"), ca.path("ca.pem"));
    let rest = format!(", username: bell, password: {{ file: {} }}, ca_file: {}", files.0.display(), files.1.display());
    server.yaml(scheme, &rest)
}

/// F-20: without TLS nothing is said but EHLO, neither who logs in nor to whom the mail goes.
#[tokio::test]
async fn a_stripped_starttls_gets_no_credentials_and_no_mail() {
    let ca = Ca::new();
    let offers = "250-me\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n";
    let with_starttls = "250-me\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    let table = [
        (Script { ehlo: offers, ..GOOD }, "offers no STARTTLS"),
        (Script { ehlo: with_starttls, starttls: "454 not now\r\n", ..GOOD }, "while starting TLS: 454 not now"),
        (Script { ehlo: with_starttls, starttls: "220 go\r\n220 not TLS\r\n", ..GOOD }, ""),
        (Script { ehlo: with_starttls, starttls: HANG, ..GOOD }, "while starting TLS"),
    ];
    for (script, said) in table {
        let server = Server::start(script).await;
        let yaml = with_login(&server, "smtp://", &ca);
        let notifier = open(&yaml).with_deadline(Duration::from_millis(800));
        let attempt = notifier.send(&delivery(&settings(&yaml), &firing()), now()).await;
        assert_eq!(attempt.outcome, Retry, "{attempt:?}");
        let error = attempt.error.unwrap();
        assert!(error.contains(said) && !error.contains("canary"), "{error}");
        for word in ["AUTH", "MAIL", "RCPT"] {
            assert_eq!(server.count(word), 0, "{:?}", server.log());
        }
    }
}

/// A server that repeats the credentials in its refusal does not get them into the delivery's error.
#[tokio::test]
async fn credentials_that_the_server_repeats_are_cut() {
    let ca = Ca::new();
    let token = "AGJlbGwAY2FuYXJ5LXMzY3JldA==";
    let auth = "535 no AGJlbGwAY2FuYXJ5LXMzY3JldA== canary-s3cret\r\n";
    let server = Server::start(Script { ehlo: "250-me\r\n250 AUTH PLAIN\r\n", auth, ..GOOD }).await;
    let yaml = with_login(&server, "smtp+plain://", &ca);
    let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), now()).await;
    assert_eq!(server.count(&format!("AUTH PLAIN {token}")), 1, "{:?}", server.log());
    assert_eq!(attempt.outcome, Unauthorized);
    let error = attempt.error.unwrap();
    assert!(error.contains("535 no <secret> <secret>"), "{error}");
}

/// What is slipped in behind the reply to STARTTLS, before TLS, must not pass for a reply after it.
#[tokio::test]
async fn a_reply_slipped_in_before_tls_is_not_believed() {
    let ca = Ca::new();
    let (cert, key) = ca.certificate("127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(&cert, &key);
    let seen = Log::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 512];
        tcp.write_all(b"220 hello\r\n").await.unwrap();
        let _ = tcp.read(&mut buffer).await;
        tcp.write_all(b"250-me\r\n250 STARTTLS\r\n").await.unwrap();
        let _ = tcp.read(&mut buffer).await;
        tcp.write_all(b"220 go\r\n250-slipped in\r\n250 AUTH PLAIN\r\n").await.unwrap();
        let mut tls = acceptor.accept(tcp).await?;
        while let Ok(read @ 1..) = tls.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            kept.lock().unwrap().extend(text.lines().map(str::to_string));
        }
        std::io::Result::Ok(())
    });
    let server = Server { port, log: seen };
    let yaml = with_login(&server, "smtp://", &ca);
    let notifier = open(&yaml).with_deadline(Duration::from_millis(1500));
    let attempt = notifier.send(&delivery(&settings(&yaml), &firing()), now()).await;
    assert_eq!(attempt.outcome, Retry, "{attempt:?}");
    assert_eq!(server.count("AUTH"), 0, "{:?}", server.log());
}

pub(super) fn acceptor(cert: &std::path::Path, key: &std::path::Path) -> tokio_rustls::TlsAcceptor {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificates = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}
