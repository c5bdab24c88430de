//! One SMTP connection: connected, encrypted and logged in as the settings say, then used one transaction at a time.
//!
//! Credentials are sent after TLS only, unless the settings say otherwise.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::session::{Failure, Session, Step, Stream, Why};
use super::settings::{EmailSettings, Security, is_full_name};
use crate::http::{Lookup, check_environment, dial, install_crypto, names_proxy, trusted};
use crate::limits::CONNECT_TIMEOUT;
use crate::secret::{Secret, Secrets};

/// How long a server may take for what only saves work, or is polite.
const COURTESY: Duration = Duration::from_secs(5);

/// Makes connections for one receiver.
pub(super) struct Connector {
    host: String,
    port: u16,
    security: Security,
    username: Option<String>,
    name: ServerName<'static>,
    tls: TlsConnector,
    hello: Option<String>,
    lookup: Lookup,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn open(settings: &EmailSettings) -> Result<Connector, String> {
        let name = ServerName::try_from(settings.host.clone())
            .map_err(|_| format!("{:?} is not a valid host name", settings.host))?;
        Ok(Connector {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.security,
            username: settings.username.clone(),
            name,
            tls: TlsConnector::from(Arc::new(tls(settings.ca_file.as_deref())?)),
            hello: settings.hello.clone(),
            lookup: Lookup::default(),
        })
    }

    /// The forms in which the server could repeat the credentials.
    pub(super) fn secrets(&self, password: Option<&Secret>) -> Secrets {
        let Some(password) = password else { return Secrets::new() };
        let plain = format!("\0{}\0{}", self.username.as_deref().unwrap_or_default(), password.expose());
        [&Secret::new(plain), password].into_iter().collect()
    }

    /// A connection that is ready for mail.
    pub(super) async fn connect(&self, password: Option<&Secret>, step: &mut Step) -> Result<Connection, Failure> {
        *step = Step::Connect;
        let tcp = within(CONNECT_TIMEOUT, "cannot connect", dial(&self.lookup, &self.host, self.port));
        let tcp = tcp.await.map_err(past_proxies)?;
        let hello = self.hello.clone().unwrap_or_else(|| own_name(&tcp));
        let stream: Box<dyn Stream> = match self.security {
            Security::Tls => self.encrypted(Box::new(tcp)).await?,
            Security::StartTls | Security::None => Box::new(tcp),
        };
        let mut session = Session::begin(stream, *step).await?;
        session.greet(&hello, *step).await?;
        if self.security == Security::StartTls {
            *step = Step::Encrypt;
            if !session.can("STARTTLS") {
                let text = "the server offers no STARTTLS; nothing was sent (smtp:// requires it)";
                return Err(Failure::new(Why::Broken, text));
            }
            session.command("STARTTLS", *step).await?;
            let encrypted = self.encrypted(session.into_stream()?).await?;
            session = Session::resume(encrypted);
            session.greet(&hello, *step).await?;
        }
        if let (Some(user), Some(password)) = (&self.username, password) {
            *step = Step::Login;
            log_in(&mut session, user, password).await?;
        }
        Ok(Connection { session, carried: 0 })
    }

    async fn encrypted(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Failure> {
        let handshake = self.tls.connect(self.name.clone(), stream);
        Ok(Box::new(within(CONNECT_TIMEOUT, "no TLS", handshake).await?))
    }
}

/// The outcome of a step of connecting, if it comes in time.
async fn within<T>(limit: Duration, what: &str, step: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, step).await {
        Ok(done) => done.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::new(Why::Timeout, format!("{what} within {} s", limit.as_secs()))),
    }
}

/// Says of a host that cannot be reached what whoever has only a proxy to the outside must know.
fn past_proxies(mut failure: Failure) -> Failure {
    if names_proxy() {
        failure.text.push_str("; mail goes through no proxy, and the environment names one");
    }
    failure
}

/// What vouches for servers: the system's roots, or the bundled ones where there are none, and those of `ca_file`. Roots
/// that the environment names are not replaced by others.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    install_crypto();
    let has_own_roots = check_environment()?;
    let extra = ca_file.map(trusted).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .or_else(|error| {
            if has_own_roots {
                return Err(error);
            }
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
            Verifier::new_with_extra_roots(bundled, Arc::clone(&provider))
        })
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// What we call ourselves: the host's full name, or, where it has none, the address that the connection comes from, as
/// RFC 5321 (4.1.4) wants it.
fn own_name(tcp: &TcpStream) -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| is_full_name(name)).unwrap_or_else(|| tcp.local_addr().map_or("localhost".into(), literal))
}

fn literal(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

async fn log_in(session: &mut Session, user: &str, password: &Secret) -> Result<(), Failure> {
    let step = Step::Login;
    let offered = session.parameters("AUTH").unwrap_or_default();
    let offers = |mechanism: &str| offered.iter().any(|it| it == mechanism);
    if offers("PLAIN") {
        let token = STANDARD.encode(format!("\0{user}\0{}", password.expose()));
        return session.command(&format!("AUTH PLAIN {token}"), step).await.map(drop);
    }
    if offers("LOGIN") {
        for line in ["AUTH LOGIN", &STANDARD.encode(user), &STANDARD.encode(password.expose())] {
            session.command(line, step).await?;
        }
        return Ok(());
    }
    let text = match offered {
        [] => "the server offers no login on this connection".to_string(),
        _ if offers("XOAUTH2") || offers("OAUTHBEARER") => format!(
            "the server takes no password, only OAuth ({}), which Nightbell does not speak: make an app password, or \
             send by a relay",
            offered.join(", ")
        ),
        _ => format!("the server offers {} and neither PLAIN nor LOGIN", offered.join(", ")),
    };
    Err(Failure::new(Why::NoLogin, text))
}

/// A connection that is ready for mail.
pub(super) struct Connection {
    session: Session,
    /// How many mails it has carried: some servers close it after a few.
    carried: usize,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// One recipient that the server would not take.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) recipient: Address,
    pub(super) code: u16,
    pub(super) text: String,
}

/// How a transaction ended that the connection outlived.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Who has the mail.
    pub(super) reached: Vec<Address>,
    pub(super) refused: Vec<Refusal>,
}

impl Connection {
    /// The connection, if the server still answers on it.
    pub(super) async fn alive(mut self) -> Option<Connection> {
        self.asked("NOOP").await.then_some(self)
    }

    /// The connection as it was before the transaction that failed, if it can be had.
    pub(super) async fn reset(mut self) -> Option<Connection> {
        self.asked("RSET").await.then_some(self)
    }

    /// Takes leave, as RFC 5321 (4.1.1.10) wants it.
    pub(super) async fn quit(mut self) {
        self.asked("QUIT").await;
    }

    async fn asked(&mut self, line: &str) -> bool {
        let asked = self.session.command(line, Step::Envelope);
        tokio::time::timeout(COURTESY, asked).await.is_ok_and(|reply| reply.is_ok())
    }

    /// How many mails it has carried.
    pub(super) fn carried(&self) -> usize {
        self.carried
    }

    /// Sends the mail to these recipients at once. The server may refuse some of them, or all.
    ///
    /// # Errors
    /// When the connection is of no use any more, and how many recipients it had taken by then. Nobody has the mail for
    /// sure.
    pub(super) async fn transaction(
        &mut self,
        from: &Address,
        to: &[Address],
        mail: &[u8],
        step: &mut Step,
    ) -> Result<Told, (Failure, usize)> {
        *step = Step::Envelope;
        let mut told = Told::default();
        let refusal = |recipient: &Address, code, text: &str| Refusal {
            recipient: recipient.clone(),
            code,
            text: text.to_string(),
        };
        let all = |to: &[Address], code, text: &str| to.iter().map(|it| refusal(it, code, text)).collect::<Vec<_>>();
        let eight_bit = !mail.is_ascii() && self.session.can("8BITMIME");
        let parameters = if eight_bit { " BODY=8BITMIME" } else { "" };
        match self.session.command(&format!("MAIL FROM:<{from}>{parameters}"), *step).await {
            Ok(_) => {}
            Err(Failure { why: Why::Said(code), text }) if code != 421 => {
                told.refused = all(to, code, &text);
                return Ok(told);
            }
            Err(failure) => return Err((failure, 0)),
        }
        for recipient in to {
            match self.session.command(&format!("RCPT TO:<{recipient}>"), *step).await {
                Ok(_) => told.reached.push(recipient.clone()),
                Err(Failure { why: Why::Said(code), text }) if code != 421 => {
                    told.refused.push(refusal(recipient, code, &text));
                }
                Err(failure) => return Err((failure, told.reached.len())),
            }
        }
        if told.reached.is_empty() {
            return Ok(told);
        }
        match self.session.mail(mail, step).await {
            Ok(()) => self.carried += 1,
            Err(Failure { why: Why::Said(code), text }) if code != 421 => {
                let refused = all(&std::mem::take(&mut told.reached), code, &text);
                told.refused.extend(refused);
            }
            Err(failure) => return Err((failure, 0)),
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;
    use crate::http::HalfDeaf;

    /// Takes a mail as a server does that offers nothing.
    async fn take(stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.test\r\n").await?;
        let (mut line, mut is_in_mail) = (String::new(), false);
        while stream.read_line(&mut line).await? > 0 {
            let reply = match line.trim_end() {
                "." => "250 taken",
                _ if is_in_mail => "",
                "DATA" => "354 go on",
                _ => "250 well",
            };
            is_in_mail = reply == "354 go on" || reply.is_empty();
            if !reply.is_empty() {
                stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
            }
            line.clear();
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_mail_arrives_at_a_host_whose_first_address_drops_packets() {
        let (host, good) = HalfDeaf::open().await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = good.accept().await {
                tokio::spawn(take(stream));
            }
        });
        let connector = Connector {
            host: "two.test".to_string(),
            port: host.port,
            security: Security::None,
            username: None,
            name: ServerName::try_from("two.test").unwrap(),
            tls: TlsConnector::from(Arc::new(tls(None).unwrap())),
            hello: None,
            lookup: host.lookup.clone(),
        };
        let began = Instant::now();
        let mut step = Step::default();
        let mut connection = connector.connect(None, &mut step).await.map_err(|failure| failure.text).unwrap();
        let (from, to): (Address, Address) = ("a@example.com".parse().unwrap(), "b@example.com".parse().unwrap());
        let mail = b"Subject: x\r\n\r\nx\r\n";
        let told = connection.transaction(&from, std::slice::from_ref(&to), mail, &mut step).await;
        assert_eq!(told.map_err(|(failure, _)| failure.text).unwrap().reached, [to]);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }

    #[test]
    fn names_and_addresses_for_the_greeting() {
        for (name, full) in [
            ("mail.example.com", true),
            ("localhost", false),
            ("web-1", false),
            ("a..b", false),
            ("-a.b", false),
            ("a_b.example.com", false),
            ("x.y\r\nz", false),
        ] {
            assert_eq!(is_full_name(name), full, "{name}");
        }
        assert_eq!(literal("192.0.2.7:25".parse().unwrap()), "[192.0.2.7]");
        assert_eq!(literal("[2001:db8::1]:25".parse().unwrap()), "[IPv6:2001:db8::1]");
    }
}
