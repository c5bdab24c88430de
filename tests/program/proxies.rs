//! Proxies out of the environment: a SOCKS proxy and one that speaks HTTP, each with a password, before hosts that only they
//! know.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Stage, failed, text};

const USER: &str = "bell";
const PASSWORD: &str = "proxy-canary";

/// What a proxy speaks.
#[derive(Debug, Clone, Copy)]
enum Speech {
    Socks,
    Http,
}

/// A proxy that lets through to loopback whoever has the password, whatever host is named; with its port, and a count of the
/// connections that it has made.
async fn proxy(speech: Speech) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let wanted = match speech {
                    Speech::Socks => by_socks(&mut client).await?,
                    Speech::Http => by_connect(&mut client).await?,
                };
                counted.fetch_add(1, Ordering::SeqCst);
                let mut server = TcpStream::connect(("127.0.0.1", wanted)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (port, made)
}

fn refused() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::PermissionDenied)
}

/// The port that a client of SOCKS 5 wants, by name (RFC 1928), with its user and password (RFC 1929).
async fn by_socks(client: &mut TcpStream) -> std::io::Result<u16> {
    let mut methods = vec![0; usize::from(client.read_u16().await? & 0xff)];
    client.read_exact(&mut methods).await?;
    if !methods.contains(&2) {
        client.write_all(&[5, 0xff]).await?;
        return Err(refused());
    }
    client.write_all(&[5, 2]).await?;
    let _version = client.read_u8().await?;
    let mut said = Vec::new();
    for _ in 0..2 {
        let mut part = vec![0; usize::from(client.read_u8().await?)];
        client.read_exact(&mut part).await?;
        said.push(String::from_utf8_lossy(&part).into_owned());
    }
    let is_known = said == [USER, PASSWORD];
    client.write_all(&[1, u8::from(!is_known)]).await?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    // The name goes to the proxy, which alone knows the host.
    if !is_known || head != [5, 1, 0, 3] {
        return Err(refused());
    }
    let mut name = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut name).await?;
    let port = client.read_u16().await?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    Ok(port)
}

/// The port that a client of an HTTP proxy wants to be connected to.
async fn by_connect(client: &mut TcpStream) -> std::io::Result<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let proof = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let wanted = head.strip_prefix("CONNECT ").and_then(|rest| rest.split([' ', ':']).nth(1)?.parse().ok());
    match wanted.filter(|_| head.contains(&proof)) {
        Some(port) => {
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            Ok(port)
        }
        None => {
            client.write_all(b"HTTP/1.1 407 Who asks?\r\ncontent-length: 0\r\n\r\n").await?;
            Err(refused())
        }
    }
}

/// A server of HTTPS for `name` that takes everything; its port, and the requests that it got. Its certificate goes to a file.
async fn hook(name: &str, certificate: &std::path::Path) -> (u16, Arc<AtomicUsize>) {
    nightbell::http::install_crypto();
    let mut params = rcgen::CertificateParams::new(vec![name.to_string()]).unwrap();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    let key = rcgen::KeyPair::generate().unwrap();
    let signed = params.self_signed(&key).unwrap();
    std::fs::write(certificate, signed.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![signed.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let mut tls = acceptor.accept(tcp).await?;
                let mut request = vec![0; 64 << 10];
                let length = tls.read(&mut request).await?;
                counted.fetch_add(usize::from(request[..length].starts_with(b"POST ")), Ordering::SeqCst);
                tls.write_all(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n").await?;
                tls.shutdown().await
            });
        }
    });
    (port, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_read_through_socks_and_a_receiver_told_through_connect() {
    let stage = Stage::set("").await;
    let (socks, read) = proxy(Speech::Socks).await;
    let (http, connected) = proxy(Speech::Http).await;
    let (port, told) = hook("hook.invalid", &stage.path("hook.pem")).await;
    let source = stage.source("warehouse").replace("http://127.0.0.1:", "http://scheduler.invalid:");
    let config = format!(
        "version: 1\nstore: {store}\nsources:\n{source}receivers:\n  hook: {{ type: webhook, \
         url: 'https://hook.invalid:{port}/bell', ca_file: hook.pem }}\n{rules}",
        store = stage.store(),
        rules = super::TELL_FAILURES,
    );
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    stage.workspace.put(failed("etl", 1));
    let run = |password: &str| {
        let mut command = stage.command(&["run", "--once"]);
        command
            .env("http_proxy", format!("socks5h://{USER}:{password}@127.0.0.1:{socks}"))
            .env("https_proxy", format!("http://{USER}:{password}@127.0.0.1:{http}"));
        for name in ["no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    // With a wrong password nothing goes past the proxies, and the password is not told.
    let output = run("wrong-canary").await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("wrong-canary"), "{}", text(&output.stderr));
    assert_eq!((read.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (0, 0));
    let output = run(PASSWORD).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains(PASSWORD), "{}", text(&output.stderr));
    assert!(read.load(Ordering::SeqCst) > 0 && connected.load(Ordering::SeqCst) > 0);
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

/// Mail knows no proxy, which somebody behind one has to be told when the server cannot be reached.
#[tokio::test(flavor = "multi_thread")]
async fn mail_says_that_it_goes_through_no_proxy() {
    let stage = Stage::set("").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "version: 1\nsources:\n{}receivers:\n  mail: {{ type: email, smtp_url: \"smtp+plain://{closed}\", \
         from: bell@example.com, to: [team@example.com] }}\nrules: {{}}\n",
        stage.source("warehouse")
    );
    std::fs::write(stage.path("rules.yaml"), config).unwrap();
    for (name, says_it) in [("all_proxy", true), ("HTTPS_PROXY", true), ("http_proxy", false)] {
        let mut command = stage.command(&["send-test", "mail"]);
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command.env(name, format!("http://{closed}"));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(!output.status.success() && said.to_lowercase().contains("refused"), "{name}: {said}");
        assert_eq!(said.contains("mail goes through no proxy"), says_it, "{name}: {said}");
    }
}

/// What `no_proxy` names goes past a proxy that nobody listens at.
#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_leads_past_the_proxy() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 1));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (direct, code) in [("10.0.0.0/8", 1), ("localhost,127.0.0.0/8", 0)] {
        let mut command = stage.command(&["run", "--once"]);
        command.env("http_proxy", format!("http://{closed}")).env("no_proxy", direct);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{direct}: {}", text(&output.stderr));
    }
}
