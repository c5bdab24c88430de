//! F-20: a server that cannot prove who it is hears nothing, neither over HTTP nor over SMTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nightbell::model::AttemptOutcome::{Delivered, Retry};
use nightbell::notify::Notifier as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::evil_smtp::acceptor;
use super::smtp::{Ca, Life};
use super::{delivery, firing, open, settings};

/// How a server comes to speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    /// At once.
    None,
    /// After the words of SMTP.
    Starttls,
}

/// A server with a certificate; what it hears inside TLS is counted in bytes, and a request over HTTP is answered.
async fn server(acceptor: TlsAcceptor, greeting: Greeting) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(converse(tcp, acceptor.clone(), greeting, Arc::clone(&counted)));
        }
    });
    (port, heard)
}

async fn converse(
    mut tcp: TcpStream,
    acceptor: TlsAcceptor,
    greeting: Greeting,
    heard: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    if greeting == Greeting::Starttls {
        for words in ["220 hello\r\n", "250-me\r\n250 STARTTLS\r\n"] {
            tcp.write_all(words.as_bytes()).await?;
            let _ = tcp.read(&mut buffer).await?;
        }
        tcp.write_all(b"220 go\r\n").await?;
    }
    let mut tls = acceptor.accept(tcp).await?;
    heard.fetch_add(tls.read(&mut buffer).await?, Ordering::SeqCst);
    tls.write_all(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n").await?;
    tls.shutdown().await
}

#[tokio::test]
async fn a_server_without_a_right_certificate_hears_nothing() {
    nightbell::http::install_crypto();
    let (ca, stranger) = (Ca::new(), Ca::new());
    let wrong = [
        ("another name", ca.certificate("other.example.com")),
        ("expired", ca.certificate_of("localhost", Life::Over)),
        ("not valid yet", ca.certificate_of("localhost", Life::ToCome)),
        ("of a stranger", stranger.certificate("localhost")),
    ];
    let ca_file = ca.path("ca.pem").display().to_string();
    std::fs::write(ca.path("password"), "canary-s3cret").unwrap();
    let password = ca.path("password").display().to_string();
    for (what, (cert, key)) in wrong {
        for (scheme, greeting) in [("https", Greeting::None), ("smtps", Greeting::None), ("smtp", Greeting::Starttls)] {
            let (port, heard) = server(acceptor(&cert, &key), greeting).await;
            let yaml = if scheme == "https" {
                format!(
                    "{{ type: webhook, url: 'https://localhost:{port}/canary', ca_file: {ca_file}, \
                     headers: {{ Authorization: {{ file: {password} }} }} }}"
                )
            } else {
                format!(
                    "{{ type: email, smtp_url: '{scheme}://bell@localhost:{port}', password: {{ file: {password} }}, \
                     from: bell@example.com, to: a@example.com, ca_file: {ca_file} }}"
                )
            };
            let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), super::now()).await;
            assert_eq!(attempt.outcome, Retry, "{scheme}, {what}: {attempt:?}");
            let error = attempt.error.unwrap();
            assert!(error.contains("certificate") && !error.contains("canary"), "{scheme}, {what}: {error}");
            assert_eq!(heard.load(Ordering::SeqCst), 0, "{scheme}, {what}");
        }
    }
    // The same server with a right one is told.
    let (cert, key) = ca.certificate("localhost");
    let (port, heard) = server(acceptor(&cert, &key), Greeting::None).await;
    let yaml = format!("{{ type: webhook, url: 'https://localhost:{port}/canary', ca_file: {ca_file} }}");
    let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), super::now()).await;
    assert!(attempt.outcome == Delivered && heard.load(Ordering::SeqCst) > 0, "{attempt:?}");
}

/// A certificate that signed itself: as that of an authority it is refused, and the words say how to make a right one, which
/// is then taken.
#[tokio::test]
async fn a_self_signed_certificate_is_taken_or_told_in_words() {
    nightbell::http::install_crypto();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for (name, is_ca, outcome) in [("plain", rcgen::IsCa::ExplicitNoCa, Delivered), ("authority", authority, Retry)] {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_string()]).unwrap();
        params.is_ca = is_ca;
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(path("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let (port, _) = server(acceptor(&path("cert.pem"), &path("key.pem")), Greeting::None).await;
        let ca_file = path("cert.pem").display().to_string();
        let yaml = format!("{{ type: webhook, url: 'https://localhost:{port}/', ca_file: {ca_file} }}");
        let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), super::now()).await;
        assert_eq!(attempt.outcome, outcome, "{name}: {attempt:?}");
        let is_told = attempt.error.unwrap_or_default().contains("openssl req -x509");
        assert_eq!(is_told, outcome == Retry, "{name}");
        if outcome == Retry {
            // A mail server's is told in the same words.
            let yaml = format!(
                "{{ type: email, smtp_url: 'smtps://localhost:{port}', from: bell@example.com, to: a@example.com, \
                 ca_file: {ca_file} }}"
            );
            let attempt = open(&yaml).send(&delivery(&settings(&yaml), &firing()), super::now()).await;
            assert!(attempt.error.as_deref().unwrap_or_default().contains("openssl req -x509"), "{attempt:?}");
        }
    }
}

/// What is wrong with a certificate file is said by its name before anything is sent.
#[test]
fn certificate_files_are_checked() {
    use nightbell::http::{check_ca_file, check_client_cert};
    let ca = Ca::new();
    let (cert, key) = ca.client_certificate("nightbell");
    let (_, other) = ca.client_certificate("another");
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(ca.path(name), bytes).unwrap();
        ca.path(name)
    };
    assert_eq!(check_ca_file(&ca.path("ca.pem")), Ok(()));
    assert_eq!(check_client_cert(&file("pair.pem", (text(&cert) + &text(&key)).as_bytes())), Ok(()));
    // A receiver of mail reads its file as the others do.
    let yaml = |name: &str| {
        let path = ca.path(name).display().to_string();
        format!(
            "{{ type: email, smtp_url: smtp://localhost, from: a@example.com, to: b@example.com, ca_file: {path} }}"
        )
    };
    for (name, bytes, words) in
        [("mail-empty.pem", b"".as_slice(), "it is empty"), ("mail.crt", &[0x30, 0x82, 1, 2, 3], "-inform der")]
    {
        file(name, bytes);
        let said = nightbell::notify::AnyNotifier::open(&settings(&yaml(name))).unwrap_err();
        assert!(said.contains(words) && said.contains(name), "{said}");
    }
    for (checked, words) in [
        (check_ca_file(&file("empty.pem", b"")), "empty.pem: it is empty"),
        (check_ca_file(&file("der.crt", &[0x30, 0x82, 1, 2, 3])), "openssl x509 -inform der"),
        (check_ca_file(&file("words.pem", b"no certificate")), "no certificate in it"),
        (check_ca_file(&ca.path("absent.pem")), "absent.pem"),
        (check_client_cert(&file("alone.pem", text(&cert).as_bytes())), "alone.pem"),
        (check_client_cert(&file("odd.pem", (text(&cert) + &text(&other)).as_bytes())), "does not fit"),
    ] {
        let said = checked.unwrap_err();
        assert!(said.contains(words), "{words}: {said}");
    }
}
