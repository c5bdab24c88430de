//! The one way to send to channels that speak HTTP.
//!
//! [`HttpChannel`] is implemented by a kind's settings, in the kind's own file: the request of one attempt, and what the
//! channel's answer means. Nothing here reads the configuration, and nothing but [`HttpNotifier`] opens a connection.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};

use super::answer;
use super::channel::{Attempting, Sender};
use crate::http::{HttpClient, HttpSettings, Outgoing, Response};
use crate::limits::ANSWER_BYTES_MAX;
use crate::model::{Attempt, Delivery};

/// How one kind of receiver is sent to over HTTP.
pub(super) trait HttpChannel: Debug + Send + Sync {
    /// Certificates beside the system's.
    fn http(&self) -> HttpSettings {
        HttpSettings::default()
    }

    /// A call that goes before the message and does no harm when it is repeated: it brings what was told before up to
    /// date. Whatever may be done but once goes last, so that a retry repeats nothing that has arrived.
    ///
    /// # Errors
    /// When a secret has no usable value just now.
    fn overture(&self, delivery: &Delivery, now: Timestamp) -> Result<Option<Outgoing>, String> {
        let _ = (delivery, now);
        Ok(None)
    }

    /// What follows from the overture; `attempt` is what its answer's status and headers alone say.
    fn after_overture(&self, delivery: &Delivery, answer: Option<&Response>, attempt: Attempt) -> Overture {
        let _ = (delivery, answer, attempt);
        Overture::Heard
    }

    /// Whether the answer refuses a message only because of what it replies to: then it is sent by itself.
    fn has_lost_the_thread(&self, answer: &Response) -> bool {
        let _ = answer;
        false
    }

    /// The request of one attempt, made anew for each: secrets are resolved and signatures made for `now`.
    ///
    /// # Errors
    /// When a secret has no usable value just now.
    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Outgoing, String>;

    /// What the answer means; `attempt` is what its status and headers alone say.
    fn judged(&self, answer: &Response, attempt: Attempt) -> Attempt {
        let _ = answer;
        attempt
    }

    /// How many attempts may be under way at once. Chats take about one message a second.
    fn concurrency(&self) -> usize {
        1
    }
}

/// How an overture was taken.
pub(super) enum Overture {
    /// The message follows.
    Heard,
    /// There is nothing to reply to any more: the message goes by itself.
    Alone,
    /// The message must wait: the attempt ends here.
    Ended(Attempt),
}

/// Sends to one channel over HTTP.
#[derive(Debug)]
pub(super) struct HttpNotifier {
    channel: Box<dyn HttpChannel>,
    client: HttpClient,
}

impl HttpNotifier {
    pub(super) fn open(channel: impl HttpChannel + 'static) -> Result<Box<dyn Sender>, String> {
        let client = HttpClient::new(&channel.http()).map_err(|error| error.to_string())?;
        Ok(Box::new(HttpNotifier { channel: Box::new(channel), client }))
    }

    /// Makes one call. Without an answer the attempt says why there is none.
    async fn call(&self, outgoing: Outgoing, now: Timestamp, within: Duration) -> (Option<Response>, Attempt) {
        let result = self.client.send(outgoing, within, ANSWER_BYTES_MAX).await;
        let attempt = answer::attempt(&result, now);
        (result.ok(), attempt)
    }

    /// Whether the message may go, and whether by itself.
    async fn overture(&self, delivery: &Delivery, now: Timestamp, within: Duration) -> Overture {
        match self.channel.overture(delivery, now) {
            Ok(None) => Overture::Heard,
            Ok(Some(ready)) => {
                let (answer, attempt) = self.call(ready, now, within).await;
                self.channel.after_overture(delivery, answer.as_ref(), attempt)
            }
            Err(reason) => Overture::Ended(answer::no_secret(reason)),
        }
    }

    /// Sends the message, and says whether it was refused for what it replies to.
    async fn tell(&self, delivery: &Delivery, now: Timestamp, within: Duration) -> (Attempt, bool) {
        let ready = match self.channel.request(delivery, now) {
            Ok(ready) => ready,
            Err(reason) => return (answer::no_secret(reason), false),
        };
        let (answer, attempt) = self.call(ready, now, within).await;
        match &answer {
            Some(answer) => (self.channel.judged(answer, attempt), self.channel.has_lost_the_thread(answer)),
            None => (attempt, false),
        }
    }
}

impl Sender for HttpNotifier {
    fn send<'a>(&'a self, delivery: &'a Delivery, now: Timestamp, within: Duration) -> Attempting<'a> {
        Box::pin(async move {
            if delivery.in_reply_to.is_none() {
                return self.tell(delivery, now, within).await.0;
            }
            let alone = Delivery { in_reply_to: None, ..delivery.clone() };
            match self.overture(delivery, now, within).await {
                Overture::Ended(attempt) => attempt,
                Overture::Alone => self.tell(&alone, now, within).await.0,
                Overture::Heard => match self.tell(delivery, now, within).await {
                    (_, true) => self.tell(&alone, now, within).await.0,
                    (attempt, false) => attempt,
                },
            }
        })
    }

    fn concurrency(&self) -> usize {
        self.channel.concurrency()
    }
}

/// A POST of JSON.
pub(super) fn post_json(url: Url, body: impl Into<reqwest::Body>) -> Request {
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    *request.body_mut() = Some(body.into());
    request
}
