//! One SMTP connection: connected, encrypted and logged in as the settings say, then used one transaction at a time.
//!
//! Knows at every moment what it is doing, because a connection that breaks after the final dot has another meaning
//! than one that breaks before. Credentials are sent after TLS only, unless the settings say otherwise.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::cause;
use super::settings::{EmailSettings, Security};
use crate::http::install_crypto;
use crate::limits::{CONNECT_TIMEOUT, SMTP_REPLY_BYTES_MAX, SMTP_TLS_REPLY_BYTES_MAX};
use crate::secret::{Secret, Secrets};

/// What the connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Step {
    /// Waiting for the one connection to be free.
    #[default]
    Queue,
    Connect,
    Encrypt,
    Login,
    Envelope,
    /// The mail is going out; from here on it may have arrived.
    Body,
}

impl Step {
    /// In words.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Step::Queue => "while waiting for the connection",
            Step::Connect => "while connecting",
            Step::Encrypt => "while starting TLS",
            Step::Login => "while logging in",
            Step::Envelope => "while naming sender and recipient",
            Step::Body => "after the mail was sent",
        }
    }
}

/// Why a step failed: the server's code and text, or what became of the connection.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) code: Option<u16>,
    pub(super) text: String,
    pub(super) timeout: bool,
}

impl Failure {
    fn of(error: &Error) -> Failure {
        Failure { code: error.status().map(u16::from), text: cause(error), timeout: error.is_timeout() }
    }

    fn because(text: impl Into<String>) -> Failure {
        Failure { code: None, text: text.into(), timeout: false }
    }
}

/// Makes connections for one receiver.
pub(super) struct Connector {
    host: String,
    port: u16,
    security: Security,
    username: Option<String>,
    tls: TlsParameters,
    hello: ClientId,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn open(settings: &EmailSettings) -> Result<Connector, String> {
        install_crypto();
        let ca = match &settings.ca_file {
            None => None,
            Some(path) => {
                let name = path.display();
                let pem = std::fs::read(path).map_err(|error| format!("ca_file {name}: {error}"))?;
                let holds_one = pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----");
                let ca = Certificate::from_pem(&pem).ok().filter(|_| holds_one);
                Some(ca.ok_or_else(|| format!("ca_file {name}: no certificate in it"))?)
            }
        };
        let build = |store| {
            let mut builder = TlsParametersBuilder::new(settings.host.clone()).certificate_store(store);
            if let Some(ca) = &ca {
                builder = builder.add_root_certificate(ca.clone());
            }
            builder.build_rustls()
        };
        // Images without a CA bundle: the bundled Mozilla roots stand in.
        let tls = build(CertificateStore::Default)
            .or_else(|_| build(CertificateStore::WebpkiRoots))
            .map_err(|error| format!("TLS cannot be set up: {}", cause(&error)))?;
        Ok(Connector {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.security,
            username: settings.username.clone(),
            tls,
            hello: ClientId::default(),
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
        let place = (self.host.as_str(), self.port);
        let mut smtp = if self.security == Security::Tls {
            let tls = Some(self.tls.clone());
            AsyncSmtpConnection::connect_tokio1(place, Some(CONNECT_TIMEOUT), &self.hello, tls, None)
                .await
                .map_err(|error| Failure::of(&error))?
        } else {
            let tcp = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(place))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(|error| Failure::because(error.to_string()))?;
            AsyncSmtpConnection::connect_with_transport(Box::new(Guarded::new(tcp)), &self.hello)
                .await
                .map_err(|error| Failure::of(&error))?
        };
        if self.security == Security::StartTls {
            *step = Step::Encrypt;
            if !smtp.can_starttls() {
                let text = "the server offers no STARTTLS; nothing was sent (smtp:// requires it)";
                return Err(Failure::because(text));
            }
            smtp.starttls(self.tls.clone(), &self.hello).await.map_err(|error| Failure::of(&error))?;
        }
        if let (Some(user), Some(password)) = (&self.username, password) {
            *step = Step::Login;
            let credentials = Credentials::new(user.clone(), password.expose().to_string());
            smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await
                .map_err(|error| Failure::of(&error))?;
        }
        Ok(Connection { smtp })
    }
}

/// A connection that is ready for mail.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// The connection, if the server still answers on it.
    pub(super) async fn alive(mut self) -> Option<Connection> {
        self.smtp.test_connected().await.then_some(self)
    }

    /// The connection as it was before the transaction that failed, if it can be had.
    pub(super) async fn reset(mut self) -> Option<Connection> {
        self.smtp.command(Rset).await.is_ok().then_some(self)
    }

    /// Sends the mail to one recipient.
    pub(super) async fn transaction(
        &mut self,
        from: &Address,
        to: &Address,
        mail: &[u8],
        step: &mut Step,
    ) -> Result<(), Failure> {
        *step = Step::Envelope;
        let refused = |error: Error| Failure::of(&error);
        let mut parameters = Vec::new();
        if !mail.is_ascii() && self.smtp.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.smtp.command(Mail::new(Some(from.clone()), parameters)).await.map_err(refused)?;
        self.smtp.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(refused)?;
        self.smtp.command(Data).await.map_err(refused)?;
        *step = Step::Body;
        self.smtp.message(mail).await.map_err(refused)?;
        Ok(())
    }
}

/// A TCP stream that trusts the other side with little: one reply has a size limit, and until TLS begins no byte is
/// read beyond the end of a line, so that nothing that was slipped in before TLS can pass for a reply after it.
#[derive(Debug)]
struct Guarded {
    tcp: TcpStream,
    plain: bool,
    since_last_write: usize,
}

impl Guarded {
    fn new(tcp: TcpStream) -> Guarded {
        Guarded { tcp, plain: true, since_last_write: 0 }
    }
}

/// The first byte of a TLS handshake record; no SMTP command begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let max = if self.plain { SMTP_REPLY_BYTES_MAX } else { SMTP_TLS_REPLY_BYTES_MAX };
        if self.since_last_write > max {
            let text = format!("the server's reply is longer than {} KiB", max >> 10);
            return Poll::Ready(Err(io::Error::other(text)));
        }
        let before = buf.filled().len();
        let polled = if self.plain && buf.remaining() > 0 {
            // A byte at a time: the few short lines before TLS are not worth a cleverer way to stop at their end.
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            let polled = Pin::new(&mut self.tcp).poll_read(context, &mut one);
            buf.put_slice(one.filled());
            polled
        } else {
            Pin::new(&mut self.tcp).poll_read(context, buf)
        };
        self.since_last_write += buf.filled().len() - before;
        polled
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.first() == Some(&TLS_HANDSHAKE) {
            self.plain = false;
        }
        self.since_last_write = 0;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Guarded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}
