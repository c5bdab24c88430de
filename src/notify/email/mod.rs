//! Mail, by SMTP: HTML and text alternatives, each recipient told and confirmed by itself.
//!
//! Every recipient gets a transaction of its own over one connection, so that one refused address costs the others
//! nothing, and a retry goes to those who do not have it yet. The bytes of a mail are the same at every attempt.

mod compose;
mod connection;
mod picture;
mod settings;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lettre::Address;
use lettre::transport::smtp::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use settings::{EmailSettings, Security};

use super::channel::{Channel, Parts};
use super::fit::check_size;
use super::plain::Plain;
use super::{AnyNotifier, Notifier, answer};
use crate::http::snippet;
use crate::limits::{EMAIL_GROUP_BYTES_MAX, NOTIFY_SMTP_TIMEOUT, SMTP_IDLE_MAX};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::template::{BuiltIn, OutputKind, truncated};
use crate::words::Language;
use connection::{Connection, Connector, Failure, Step};

/// What the names of the parts begin with that hold a picture, in base64. The HTML calls `image/NAME.png` by the content
/// id `NAME@nightbell`.
pub(crate) const PICTURE: &str = "image/";

/// The parts of a mail.
const TEMPLATES: [BuiltIn; 3] = [
    BuiltIn {
        part: "subject",
        file: "subject.txt.hbs",
        kind: OutputKind::Header,
        text: include_str!("../../../templates/email/subject.txt.hbs"),
    },
    BuiltIn {
        part: "html",
        file: "message.html.hbs",
        kind: OutputKind::Html,
        text: include_str!("../../../templates/email/message.html.hbs"),
    },
    BuiltIn {
        part: "text",
        file: "message.txt.hbs",
        kind: OutputKind::Plain,
        text: include_str!("../../../templates/email/message.txt.hbs"),
    },
];

/// The same for several alerts at once.
const GROUP_TEMPLATES: [BuiltIn; 3] = [
    BuiltIn {
        part: "subject",
        file: "group-subject.txt.hbs",
        kind: OutputKind::Header,
        text: include_str!("../../../templates/email/group-subject.txt.hbs"),
    },
    BuiltIn {
        part: "html",
        file: "group.html.hbs",
        kind: OutputKind::Html,
        text: include_str!("../../../templates/email/group.html.hbs"),
    },
    BuiltIn {
        part: "text",
        file: "group.txt.hbs",
        kind: OutputKind::Plain,
        text: include_str!("../../../templates/email/group.txt.hbs"),
    },
];

impl Channel for EmailSettings {
    fn kind(&self) -> &'static str {
        "email"
    }

    /// A mailbox is not.
    fn sends_resolved_by_default(&self) -> bool {
        false
    }

    fn templates(&self) -> &'static [BuiltIn] {
        &TEMPLATES
    }

    fn group_templates(&self) -> &'static [BuiltIn] {
        &GROUP_TEMPLATES
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.password.iter().map(|password| ("password".to_string(), password)).collect()
    }

    fn plain(&self, plain: &Plain<'_>) -> Parts {
        let text = format!("{}\n", plain.text());
        let html = format!("<pre style=\"white-space:pre-wrap\">{}</pre>", handlebars::html_escape(&text));
        let subject = truncated(&plain.headline(), 200);
        [("subject", subject), ("html", html), ("text", text)].map(|(part, text)| (part.to_string(), text)).into()
    }

    fn address(&self) -> String {
        let to: Vec<String> = self.to.iter().chain(&self.cc).map(|mailbox| mailbox.email.to_string()).collect();
        format!("{}:{} {}", self.host, self.port, to.join(","))
    }

    /// A digest's pictures become parts of the content: drawn once, like everything that is told.
    fn finished(&self, parts: Parts, message: &Message, _language: Language) -> Result<Parts, String> {
        if message.data.alerts().len() > 2 {
            check_size(parts.get("html").map_or("", String::as_str), EMAIL_GROUP_BYTES_MAX)?;
        }
        Ok(with_pictures(parts, message))
    }

    fn notifier(&self) -> Result<AnyNotifier, String> {
        EmailNotifier::open(self).map(|it| AnyNotifier::Email(Box::new(it)))
    }
}

/// The parts of a mail with the pictures that its HTML calls.
pub(super) fn with_pictures(mut parts: Parts, message: &Message) -> Parts {
    if let Some(facts) = message.digest() {
        let pictures = picture::pictures(facts).into_iter();
        parts.extend(pictures.map(|(name, file)| (format!("{PICTURE}{name}.png"), STANDARD.encode(file))));
    }
    parts
}

/// Sends to the recipients of one receiver.
#[derive(Debug)]
pub struct EmailNotifier {
    settings: EmailSettings,
    connector: Connector,
    /// The connection of the last mail, kept for the next one.
    idle: Mutex<Option<(Connection, Instant)>>,
    deadline: Duration,
}

/// What has happened so far in one attempt; it outlives the exchange when the deadline cuts that short.
#[derive(Default)]
struct Progress {
    reached: Vec<String>,
    refused: Vec<Refusal>,
    /// What the connection was doing, for the moment when it breaks.
    step: Step,
    broken: Option<Failure>,
}

/// One recipient that the server would not take.
struct Refusal {
    recipient: String,
    code: u16,
    text: String,
}

impl EmailNotifier {
    pub(super) fn open(settings: &EmailSettings) -> Result<EmailNotifier, String> {
        let connector = Connector::open(settings)?;
        Ok(EmailNotifier {
            settings: settings.clone(),
            connector,
            idle: Mutex::new(None),
            deadline: NOTIFY_SMTP_TIMEOUT,
        })
    }

    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        EmailNotifier { deadline, ..self }
    }

    /// Sends to everybody who is still to be told, one transaction each.
    async fn exchange(&self, mail: &[u8], to: &[Address], password: Option<&Secret>, progress: &mut Progress) {
        let mut idle = self.idle.lock().await;
        let mut connection = match idle.take() {
            Some((kept, since)) if since.elapsed() < SMTP_IDLE_MAX => kept.alive().await,
            _ => None,
        };
        for recipient in to {
            let mut current = match connection.take() {
                Some(current) => current,
                None => match self.connector.connect(password, &mut progress.step).await {
                    Ok(fresh) => fresh,
                    Err(failure) => {
                        progress.broken = Some(failure);
                        return;
                    }
                },
            };
            match current.transaction(&self.settings.from.email, recipient, mail, &mut progress.step).await {
                Ok(()) => progress.reached.push(recipient.to_string()),
                Err(Failure { code: Some(code), text, .. }) => {
                    progress.refused.push(Refusal { recipient: recipient.to_string(), code, text });
                    // 421 closes the connection, and 530 holds for every recipient alike.
                    if code == 421 || code == 530 {
                        return;
                    }
                    connection = current.reset().await;
                    continue;
                }
                Err(failure) => {
                    progress.broken = Some(failure);
                    return;
                }
            }
            connection = Some(current);
        }
        *idle = connection.map(|connection| (connection, Instant::now()));
    }
}

impl Notifier for EmailNotifier {
    async fn send(&self, delivery: &Delivery, _now: Timestamp) -> Attempt {
        let password = match self.settings.password.as_ref().map(|secret| secret.resolve()).transpose() {
            Ok(password) => password,
            Err(error) => return answer::no_secret(error),
        };
        let mail = match compose::compose(&self.settings, delivery) {
            Ok(mail) => mail,
            Err(reason) => return Attempt::failed(AttemptOutcome::Rejected, None, reason),
        };
        let mut to = self.settings.recipients();
        to.retain(|address| !delivery.done.iter().any(|done| *done == address.to_string()));
        let mut progress = Progress::default();
        let exchange = self.exchange(&mail, &to, password.as_ref(), &mut progress);
        let in_time = tokio::time::timeout(self.deadline, exchange).await.is_ok();
        if !in_time {
            let text = format!("no answer within {} s, {}", self.deadline.as_secs(), progress.step.doing());
            progress.broken = Some(Failure { code: None, text, timeout: true });
        }
        let secrets = self.connector.secrets(password.as_ref());
        judged(progress, to.len(), &delivery.done, &secrets)
    }

    /// One connection: most servers count connections, and mails are few.
    fn concurrency(&self) -> usize {
        1
    }
}

/// How the attempt ended, out of how each recipient's part of it did.
fn judged(progress: Progress, wanted: usize, done_before: &[String], secrets: &Secrets) -> Attempt {
    let Progress { reached, refused, step, broken } = progress;
    if reached.len() == wanted {
        return Attempt { done: reached, ..Attempt::delivered("250") };
    }
    let unauthorized = |code: u16| matches!(code, 530 | 534 | 535 | 538);
    let worst = refused.iter().max_by_key(|refusal| refusal.code < 500);
    let (outcome, status) = match (&broken, worst) {
        (Some(_), _) if step == Step::Body => (AttemptOutcome::Uncertain, "no reply".to_string()),
        (Some(Failure { code: Some(code), .. }), _) if step == Step::Login && *code >= 500 => {
            (AttemptOutcome::Unauthorized, code.to_string())
        }
        (Some(Failure { code: Some(code), .. }), _) => (AttemptOutcome::Retry, code.to_string()),
        (Some(failure), _) => (AttemptOutcome::Retry, if failure.timeout { "timeout" } else { "connect" }.to_string()),
        (None, Some(worst)) if unauthorized(worst.code) => (AttemptOutcome::Unauthorized, worst.code.to_string()),
        (None, Some(worst)) if worst.code >= 500 => (AttemptOutcome::Rejected, worst.code.to_string()),
        (None, Some(worst)) => (AttemptOutcome::Retry, worst.code.to_string()),
        (None, None) => (AttemptOutcome::Retry, "incomplete".to_string()),
    };
    let mut said: Vec<String> = refused
        .iter()
        .map(|refusal| format!("{} was refused: {} {}", refusal.recipient, refusal.code, refusal.text))
        .collect();
    said.extend(broken.map(|failure| match failure.code {
        Some(code) => format!("{}: {code} {}", step.doing(), failure.text),
        None => failure.text,
    }));
    let have_it: Vec<&str> = done_before.iter().chain(&reached).map(String::as_str).collect();
    if !have_it.is_empty() {
        said.push(format!("delivered to {}", have_it.join(", ")));
    }
    let error = snippet(&secrets.redact(&said.join("; ")));
    Attempt { done: reached, ..Attempt::failed(outcome, Some(status), error) }
}

/// The last cause of an error: lettre's own words say only what kind it is.
fn cause(error: &Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
