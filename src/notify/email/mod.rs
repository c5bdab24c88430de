//! Mail, by SMTP: HTML and text alternatives, each recipient told and confirmed by itself.
//!
//! All recipients share one transaction; one refused address costs the others nothing, and a retry goes to those who do
//! not have it yet. The bytes of a mail are the same at every attempt.

mod compose;
mod connection;
mod picture;
mod session;
mod settings;

use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lettre::Address;
use tokio::sync::Mutex;
use tokio::time::Instant;

use settings::EmailSettings;

use super::answer;
use super::channel::{Attempting, Channel, Kind, Parts, Sender, boxed};
use super::fit::check_size;
use super::plain::Plain;
use crate::http::snippet;
use crate::limits::{NOTIFY_SMTP_TIMEOUT, SMTP_IDLE_MAX};
use crate::model::{Attempt, AttemptOutcome, Delivery, Message};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::template::truncated;
use crate::words::Language;
use compose::PICTURE;
use connection::{Connection, Connector, Refusal, Told};
use session::{Failure, Step, Why};

/// Largest HTML of a mail about several alerts: mail programs cut at 100 kB.
const GROUP_BYTES_MAX: usize = 90_000;

/// Most recipients of one transaction: every server takes as many (RFC 5321, 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;

/// Mail, as the registry lists it.
pub(in crate::notify) const KIND: Kind = Kind {
    word: "email",
    also: &["mail", "smtp"],
    keys: &settings::KEYS,
    read: |section| boxed(EmailSettings::read(section)),
    // The parts of a mail.
    alert: &[
        template!("subject", Header, "email/subject.txt.hbs"),
        template!("html", Html, "email/message.html.hbs"),
        template!("text", Plain, "email/message.txt.hbs"),
    ],
    group: &[
        template!("subject", Header, "email/group-subject.txt.hbs"),
        template!("html", Html, "email/group.html.hbs"),
        template!("text", Plain, "email/group.txt.hbs"),
    ],
    digest: &[
        template!("subject", Header, "email/digest.subject.txt.hbs"),
        template!("html", Html, "email/digest.html.hbs"),
        template!("text", Plain, "email/digest.txt.hbs"),
    ],
    sends_resolved: false,
    is_mail: true,
    ..Kind::USUAL
};

impl Channel for EmailSettings {
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
            check_size(parts.get("html").map_or("", String::as_str), GROUP_BYTES_MAX)?;
        }
        Ok(with_pictures(parts, message))
    }

    fn sender(&self) -> Result<Box<dyn Sender>, String> {
        EmailNotifier::open(self).map(|it| Box::new(it) as Box<dyn Sender>)
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
struct EmailNotifier {
    settings: EmailSettings,
    connector: Connector,
    /// The connection of the last mail, kept for the next one.
    idle: Arc<Mutex<Option<(Connection, Instant)>>>,
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

impl EmailNotifier {
    fn open(settings: &EmailSettings) -> Result<EmailNotifier, String> {
        let connector = Connector::open(settings)?;
        Ok(EmailNotifier { settings: settings.clone(), connector, idle: Arc::default() })
    }

    /// Sends to everybody who is still to be told: at once, as far as the server takes them at once. A server that says 421
    /// after some mails or recipients gets the rest over a new connection.
    async fn exchange(&self, mail: &[u8], mut left: Vec<Address>, password: Option<&Secret>, progress: &mut Progress) {
        let mut idle = self.idle.lock().await;
        let mut connection = match idle.take() {
            Some((kept, since)) if since.elapsed() < SMTP_IDLE_MAX => kept.alive().await,
            _ => None,
        };
        let mut at_once = RECIPIENTS_MAX;
        while !left.is_empty() {
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
            let batch = &left[..at_once.min(left.len())];
            match current.transaction(&self.settings.from.email, batch, mail, &mut progress.step).await {
                Ok(told) => {
                    let is_of_use = !told.reached.is_empty();
                    settle(told, &mut left, progress);
                    connection = if is_of_use { Some(current) } else { current.reset().await };
                }
                Err((Failure { why: Why::Said(421), text }, taken)) => {
                    if taken == 0 && current.carried() == 0 {
                        progress.refused.push(Refusal { recipient: left.remove(0), code: 421, text });
                        return;
                    }
                    at_once = if taken == 0 { at_once } else { taken };
                }
                Err((failure, _)) => {
                    progress.broken = Some(failure);
                    return;
                }
            }
        }
        *idle = connection.map(|connection| (connection, Instant::now()));
        tokio::spawn(take_leave(Arc::downgrade(&self.idle)));
    }

    async fn attempt(&self, delivery: &Delivery, within: Duration) -> Attempt {
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
        let (mut progress, wanted) = (Progress::default(), to.len());
        let exchange = self.exchange(&mail, to, password.as_ref(), &mut progress);
        let in_time = tokio::time::timeout(within, exchange).await.is_ok();
        if !in_time {
            let text = format!("no answer within {} s, {}", within.as_secs(), progress.step.doing());
            progress.broken = Some(Failure::new(Why::Timeout, text));
        }
        let secrets = self.connector.secrets(password.as_ref());
        judged(progress, wanted, &delivery.done, &secrets)
    }
}

/// Notes who has the mail and who was refused. Who was one too many for one transaction (452) is left for the next.
fn settle(told: Told, left: &mut Vec<Address>, progress: &mut Progress) {
    let is_too_many = |code: u16| code == 452 && !told.reached.is_empty();
    let (_, refused): (Vec<_>, Vec<_>) = told.refused.into_iter().partition(|refusal| is_too_many(refusal.code));
    left.retain(|it| !told.reached.contains(it) && refused.iter().all(|refusal| refusal.recipient != *it));
    progress.reached.extend(told.reached.iter().map(ToString::to_string));
    progress.refused.extend(refused);
}

/// Ends the kept connection when it was not used for a while.
async fn take_leave(idle: Weak<Mutex<Option<(Connection, Instant)>>>) {
    tokio::time::sleep(SMTP_IDLE_MAX).await;
    let Some(idle) = idle.upgrade() else { return };
    let unused = idle.lock().await.take_if(|(_, since)| since.elapsed() >= SMTP_IDLE_MAX);
    if let Some((connection, _)) = unused {
        connection.quit().await;
    }
}

/// One connection: most servers count connections, and mails are few.
impl Sender for EmailNotifier {
    fn send<'a>(&'a self, delivery: &'a Delivery, _now: Timestamp, within: Duration) -> Attempting<'a> {
        Box::pin(self.attempt(delivery, within))
    }

    fn patience(&self) -> Duration {
        NOTIFY_SMTP_TIMEOUT
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let kept = self.idle.lock().await.take();
            if let Some((connection, _)) = kept {
                connection.quit().await;
            }
        })
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
        (Some(Failure { why: Why::Said(code), .. }), _) if step == Step::Login && *code >= 500 => {
            (AttemptOutcome::Unauthorized, code.to_string())
        }
        (Some(Failure { why: Why::Said(code), .. }), _) => (AttemptOutcome::Retry, code.to_string()),
        (Some(_), _) if matches!(step, Step::Body | Step::Receipt) => {
            (AttemptOutcome::Uncertain, "no reply".to_string())
        }
        (Some(Failure { why: Why::NoLogin, .. }), _) => (AttemptOutcome::Unauthorized, "login".to_string()),
        (Some(Failure { why: Why::Timeout, .. }), _) => (AttemptOutcome::Retry, "timeout".to_string()),
        (Some(_), _) => (AttemptOutcome::Retry, "connect".to_string()),
        (None, Some(worst)) if unauthorized(worst.code) => (AttemptOutcome::Unauthorized, worst.code.to_string()),
        (None, Some(worst)) if worst.code >= 500 => (AttemptOutcome::Rejected, worst.code.to_string()),
        (None, Some(worst)) => (AttemptOutcome::Retry, worst.code.to_string()),
        (None, None) => (AttemptOutcome::Retry, "incomplete".to_string()),
    };
    let mut said: Vec<String> = refused
        .iter()
        .map(|refusal| format!("{} was refused: {} {}", refusal.recipient, refusal.code, refusal.text))
        .collect();
    said.extend(broken.map(|failure| match failure.why {
        Why::Said(code) => format!("{}: {code} {}", step.doing(), failure.text),
        Why::NoLogin => format!("{}: {}", step.doing(), failure.text),
        Why::Timeout | Why::Broken => failure.text,
    }));
    let have_it: Vec<&str> = done_before.iter().chain(&reached).map(String::as_str).collect();
    if !have_it.is_empty() {
        said.push(format!("delivered to {}", have_it.join(", ")));
    }
    let error = snippet(&secrets.redact(&said.join("; ")));
    Attempt { done: reached, ..Attempt::failed(outcome, Some(status), error) }
}
