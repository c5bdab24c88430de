//! The keys of an `email` receiver.

use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use reqwest::Url;

use crate::coding::percent_decoded;
use crate::http::CA_FILE;
use crate::secret::SecretRef;
use crate::template::display_text;
use crate::yaml::{FromYaml, Key, Keys, Located, OneOrMany, Section, Shape};

/// The keys that belong to the kind.
pub(super) static KEYS: Keys = Keys::of(
    "receiver_email",
    "Mail over SMTP.",
    &[&[
        Key::new(
            "smtp_url",
            Shape::Other("an address", smtp_url),
            "The server: smtps:// (implicit TLS), smtp:// (STARTTLS, required) or smtp+plain:// (neither).",
        )
        .required()
        .example("smtps://nightbell@smtp.example.com:465"),
        Key::new("username", Shape::Text, "Who logs in, where the address does not say it."),
        Key::new("password", Shape::Secret, "The password.").example("{ env: SMTP_PASSWORD }"),
        Key::new("from", Shape::Text, "The sender.").required().example("\"Nightbell <nightbell@example.com>\""),
        Key::new("to", Shape::Texts, "The recipients.").required().example("[data-team@example.com]"),
        Key::new("cc", Shape::Texts, "Who gets a copy."),
        Key::new("reply_to", Shape::Text, "Where answers go."),
        CA_FILE,
        Key::new(
            "hello",
            Shape::Other("a host's full name, or an address in brackets", hello),
            "What Nightbell calls itself in EHLO. Without it, the host's full name, or its address.",
        )
        .example("bell.example.com"),
    ]],
);

fn smtp_url() -> serde_json::Value {
    serde_json::json!({ "type": "string", "pattern": r"^(smtps|smtp|smtp\+plain)://|\$\{" })
}

fn hello() -> serde_json::Value {
    serde_json::json!({ "type": "string", "pattern": r"^\[.+\]$|\.|\$\{" })
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte (`smtps://`).
    Tls,
    /// Plain at first, then TLS or nothing (`smtp://`).
    StartTls,
    /// None (`smtp+plain://`).
    None,
}

/// The settings of an `email` receiver, checked.
#[derive(Debug, Clone)]
pub(super) struct EmailSettings {
    /// How the connection is protected.
    pub(super) security: Security,
    /// The server's name or address; its certificate must be for it.
    pub(super) host: String,
    /// The server's port.
    pub(super) port: u16,
    /// Whom to log in as; nobody logs in without it.
    pub(super) username: Option<String>,
    /// The password for it.
    pub(super) password: Option<SecretRef>,
    /// The sender.
    pub(super) from: Mailbox,
    /// The recipients.
    pub(super) to: Vec<Mailbox>,
    /// Those who get a copy.
    pub(super) cc: Vec<Mailbox>,
    /// Where answers go.
    pub(super) reply_to: Option<Mailbox>,
    /// PEM certificates to trust beside the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// What we call ourselves; none for the host's own name, or its address.
    pub(super) hello: Option<String>,
}

/// A mailbox with a name or without: `team@example.com`, `Data Team <team@example.com>`.
struct OneMailbox(Mailbox);

impl FromYaml for OneMailbox {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        let help = || Some("write team@example.com or \"Data Team <team@example.com>\"".to_string());
        if text.chars().any(char::is_control) {
            return located.wrong("a mail address with a line break or control character", help());
        }
        match text.trim().parse::<Mailbox>() {
            Ok(mut mailbox) => {
                mailbox.name = mailbox.name.map(|name| display_text(&name)).filter(|name| !name.is_empty());
                if !mailbox.email.to_string().is_ascii() {
                    return located.wrong("a mail address with letters beyond ASCII, which few servers take", None);
                }
                Some(OneMailbox(mailbox))
            }
            Err(_) => {
                let comma =
                    text.contains(',').then_some("several addresses are a list: [a@example.com, b@example.com]");
                located.wrong(format!("{text:?} is not a valid mail address"), comma.map(str::to_string).or_else(help))
            }
        }
    }
}

/// Where the server is and who logs in.
struct Server {
    security: Security,
    host: String,
    port: u16,
    username: Option<String>,
}

impl EmailSettings {
    pub(super) fn read(section: &Section<'_>) -> Option<EmailSettings> {
        let url = section.required::<String>("smtp_url");
        let server = url.and_then(|url| match read_url(&url) {
            Ok(server) => Some(server),
            Err((message, help)) => {
                section.error("smtp_url", message, help.map(str::to_string));
                None
            }
        });
        let username: Option<String> = section.optional("username");
        let password: Option<SecretRef> = section.optional("password");
        let from = section.required::<OneMailbox>("from").map(|it| it.0);
        let to = section.required::<OneOrMany<OneMailbox>>("to").map(mailboxes);
        let cc = section.optional::<OneOrMany<OneMailbox>>("cc").map(mailboxes).unwrap_or_default();
        let reply_to = section.optional::<OneMailbox>("reply_to").map(|it| it.0);
        let ca_file = section.optional("ca_file");
        let hello = section.optional::<String>("hello");
        if let Some(wrong) = hello.as_ref().filter(|hello| !is_full_name(hello) && !is_literal(hello)) {
            let help = Some("for example mail.example.com, or [192.0.2.7]".to_string());
            section.error("hello", format!("{wrong:?} is not a full host name"), help);
            return None;
        }
        let server = server?;
        hint_at_port(section, &server);
        let username = username.or(server.username);
        // A user or password that could not be read has been reported; that nobody can log in follows from it.
        let is_reported =
            section.has("username") && username.is_none() || section.has("password") && password.is_none();
        let right =
            is_reported || check_login(section, server.security, &server.host, username.as_deref(), password.is_some());
        // Wrong addresses count as absent where they are read; the findings make the whole file unusable.
        let settings = EmailSettings {
            security: server.security,
            host: server.host,
            port: server.port,
            username,
            password,
            from: from?,
            to: to?,
            cc,
            reply_to,
            ca_file,
            hello,
        };
        right.then_some(settings)
    }

    /// Everybody who gets the mail, each once.
    pub(super) fn recipients(&self) -> Vec<Address> {
        let mut all: Vec<Address> = Vec::new();
        for mailbox in self.to.iter().chain(&self.cc) {
            if !all.contains(&mailbox.email) {
                all.push(mailbox.email.clone());
            }
        }
        all
    }
}

/// Whether a name can be that of a host on the network.
pub(super) fn is_full_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.contains('.') && name.len() <= 253 && name.split('.').all(is_label)
}

/// An address in brackets, as a greeting may have it instead of a name.
fn is_literal(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|ip| ip.strip_prefix("IPv6:").unwrap_or(ip).parse::<std::net::IpAddr>().is_ok())
}

/// Ports have their customs: the wrong scheme at one of them waits for a greeting that never comes.
fn hint_at_port(section: &Section<'_>, server: &Server) {
    let (says, better) = match (server.security, server.port) {
        (Security::Tls, 587 | 25) => ("smtps:// means TLS from the first byte", "smtp:// (STARTTLS)"),
        (Security::StartTls, 465) => ("smtp:// means STARTTLS", "smtps:// (TLS from the first byte)"),
        _ => return,
    };
    let message = format!("{says}, which servers at port {} rarely speak", server.port);
    let at = section.node("smtp_url").map(|node| node.at);
    if let Some(at) = at {
        section.findings().warning(at, section.path_of("smtp_url"), message, Some(format!("probably {better}")));
    }
}

fn mailboxes(list: OneOrMany<OneMailbox>) -> Vec<Mailbox> {
    list.0.into_iter().map(|it| it.0).collect()
}

fn check_login(section: &Section<'_>, security: Security, host: &str, user: Option<&str>, has_password: bool) -> bool {
    match (user, has_password) {
        (Some(_), false) => {
            section.error("", "a user to log in as, but no \"password\"", Some("add password: { env: NAME }".into()));
            false
        }
        (None, true) => {
            let help = "write smtps://USER@HOST or add username".to_string();
            section.error("password", "a password, but nobody to log in as", Some(help));
            false
        }
        (Some(_), true) if security == Security::None && !is_loopback(host) => {
            let help = "use smtps:// or smtp://".to_string();
            section.error("smtp_url", "smtp+plain:// would send the password unprotected over the network", Some(help));
            false
        }
        _ => true,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

type Wrong = (String, Option<&'static str>);

/// The server that a `smtp_url` names. Errors never repeat the URL: people do write passwords into it.
fn read_url(text: &str) -> Result<Server, Wrong> {
    let forms = Some("write smtps://user@host:465, smtp://user@host:587 or smtp+plain://host:25");
    let url = Url::parse(text.trim()).map_err(|error| (format!("it is not a valid URL: {error}"), forms))?;
    let (security, default_port) = match url.scheme() {
        "smtps" => (Security::Tls, 465),
        "smtp" => (Security::StartTls, 587),
        "smtp+plain" => (Security::None, 25),
        _ => return Err(("the URL must begin with smtps://, smtp:// or smtp+plain://".to_string(), forms)),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(("the URL names no host".to_string(), forms))?;
    if url.password().is_some() {
        return Err(("the URL holds a password".to_string(), Some("put it under password: { env: NAME }")));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(("the URL has more than a user, a host and a port".to_string(), forms));
    }
    let username = String::from_utf8(percent_decoded(url.username()));
    let username = username.map_err(|_| ("the user in the URL is not text".to_string(), None))?;
    Ok(Server {
        security,
        host: host.trim_start_matches('[').trim_end_matches(']').to_string(),
        port: url.port().unwrap_or(default_port),
        username: Some(username).filter(|user| !user.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let server = |text| read_url(text).map(|it| (it.security, it.host, it.port, it.username)).map_err(|it| it.0);
        let ok =
            |security, host: &str, port, user: Option<&str>| Ok((security, host.into(), port, user.map(Into::into)));
        let table = [
            ("smtps://nightbell@smtp.example.com:465", ok(Security::Tls, "smtp.example.com", 465, Some("nightbell"))),
            ("smtps://smtp.example.com", ok(Security::Tls, "smtp.example.com", 465, None)),
            ("smtp://a%40b.com@mx.example.com", ok(Security::StartTls, "mx.example.com", 587, Some("a@b.com"))),
            ("smtp+plain://127.0.0.1:2525", ok(Security::None, "127.0.0.1", 2525, None)),
            ("smtp://[::1]:2525", ok(Security::StartTls, "::1", 2525, None)),
        ];
        for (text, expected) in table {
            assert_eq!(server(text), expected, "{text}");
        }
        for (text, expected) in [
            ("smtps://u:canary@h", "holds a password"),
            ("https://canary.example.com", "must begin with"),
            ("smtps://h/canary", "more than"),
            ("smtps://h?tls=canary", "more than"),
            ("canary", "not a valid URL"),
        ] {
            let error = server(text).expect_err(text);
            assert!(error.contains(expected) && !error.contains("canary"), "{text}: {error}");
        }
    }
}
