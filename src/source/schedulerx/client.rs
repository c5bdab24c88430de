//! Calls of the SchedulerX API: built, signed, paced, tried once more, and answered or classed as an error.
//!
//! Reads the network and, for each call, the present value of the secrets it signs with; nothing it returns holds one of
//! them. It knows headers and the envelope of every answer, and nothing of what is inside.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};

use super::answer::Envelope;
use super::fault;
use super::pace::Pace;
use super::settings::Settings;
use crate::clock::Clock;
use crate::http::{BodyEnd, HttpClient, HttpSettings, Outgoing, Response, host_of};
use crate::limits::{SOURCE_BODY_BYTES_MAX, SOURCE_RETRY_PAUSE_MAX};
use crate::secret::{Secret, SecretRef};
use crate::sign::alibaba::{
    ACTION_HEADER, CONTENT_HEADER, DATE_HEADER, NONCE_HEADER, Signable, TOKEN_HEADER, VERSION_HEADER, content_hash,
    date_text, nonce_text,
};
use crate::sign::canonical_query;
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::foreign::{HELP_BAD_ANSWER, checked_text, complete, from_http};
use crate::source::kit::{Patience, Retry, once_more, retry_of};

/// The version of the API that is spoken.
const VERSION: &str = "2019-04-30";
/// How long everybody of the key waits after a refusal for too many calls, when the service names no time.
const THROTTLED_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Client {
    pub(super) settings: Settings,
    http: HttpClient,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Patience,
}

/// What one call is told, beside what all are.
pub(super) type Pairs = Vec<(&'static str, String)>;

impl Client {
    pub(super) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Client, SourceError> {
        let http = HttpClient::new(&HttpSettings { ca_file: settings.ca_file.clone(), client_cert: None })
            .map_err(|error| from_http(&error))?;
        Ok(Client { settings, http, clock, patience: Patience::default() })
    }

    /// The `Data` of the answer to a call that was a success: raw JSON, `null` when there is none.
    pub(super) async fn call(&self, action: &'static str, pairs: Pairs) -> Result<String, SourceError> {
        once_more(self.patience, || self.call_once(action, &pairs)).await
    }

    async fn call_once(&self, action: &'static str, pairs: &Pairs) -> Result<String, (SourceError, Retry)> {
        let keys = self.keys().map_err(|error| (error, Retry::No))?;
        let pace = Pace::shared(&keys.access_key, action);
        pace.wait(self.settings.calls_per_minute).await;
        let request = self.request(action, pairs, &keys).map_err(|error| (error, Retry::No))?;
        let outgoing = Outgoing::new(request, keys.all().collect());
        let answer = self.http.send(outgoing, self.patience.timeout, SOURCE_BODY_BYTES_MAX).await;
        let answer = answer.and_then(complete).map_err(|error| (from_http(&error), retry_of(&error)))?;
        self.read(&answer).map_err(|error| {
            if error.kind == SourceErrorKind::Throttled {
                // A retry of its own would only be refused again: the count starts anew for all callers.
                let pause = error.retry_after.unwrap_or(THROTTLED_PAUSE).min(SOURCE_RETRY_PAUSE_MAX);
                pace.hold(pause, self.settings.calls_per_minute);
            }
            let is_passing = matches!(error.kind, SourceErrorKind::Throttled | SourceErrorKind::Transient);
            (error, if is_passing { Retry::Once } else { Retry::No })
        })
    }

    /// The data of an answer, or the error that it is.
    fn read(&self, answer: &Response) -> Result<String, SourceError> {
        if !answer.is_success() {
            return Err(fault::from_answer(answer, self.clock.now()));
        }
        let bad = |message: String| SourceError::new(SourceErrorKind::BadAnswer, message).help(HELP_BAD_ANSWER);
        if answer.end == BodyEnd::TooLong {
            return Err(bad(format!("the answer is larger than {} MiB", SOURCE_BODY_BYTES_MAX >> 20)));
        }
        let text = checked_text(answer.body()).map_err(bad)?;
        let envelope = Envelope::read(&text).map_err(|message| bad(message.to_string()))?;
        if envelope.success != Some(true) {
            return Err(fault::from_refusal(&envelope));
        }
        Ok(envelope.data.map_or_else(|| "null".to_string(), |data| data.get().to_string()))
    }

    /// The request, signed for this moment with a nonce of its own.
    fn request(&self, action: &str, pairs: &Pairs, keys: &Keys) -> Result<Request, SourceError> {
        let mut query: Vec<(String, String)> =
            pairs.iter().map(|(key, value)| ((*key).to_string(), value.clone())).collect();
        query.extend(self.settings.region.iter().map(|region| ("RegionId".to_string(), region.clone())));
        query.push(("Namespace".to_string(), self.settings.namespace.clone()));
        let url = Url::parse(&format!("{}/?{}", self.settings.endpoint, canonical_query(&query)))
            .map_err(|_| configuration("the address of the API cannot be understood").help("check \"endpoint\""))?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| {
            SourceError::new(SourceErrorKind::Transient, "the system gives no random bytes for a signature")
        })?;
        let mut headers = vec![
            (HOST.to_string(), host_of(&url)),
            (ACTION_HEADER.to_string(), action.to_string()),
            (VERSION_HEADER.to_string(), VERSION.to_string()),
            (DATE_HEADER.to_string(), date_text(self.clock.now())),
            (NONCE_HEADER.to_string(), nonce_text(random)),
            (CONTENT_HEADER.to_string(), content_hash(b"")),
        ];
        headers.extend(keys.security_token.iter().map(|token| (TOKEN_HEADER.to_string(), token.expose().to_string())));
        let signable = Signable { method: "GET", query: &query, headers: &headers, body: b"" };
        let authorization = signable.authorization(keys.access_key.expose(), keys.secret_key.expose());
        headers.push((AUTHORIZATION.to_string(), authorization));
        headers.push(("accept".to_string(), "application/json".to_string()));
        let mut request = Request::new(Method::GET, url);
        for (name, text) in headers {
            let wrong = || {
                configuration(format!("the value for the header {name} cannot be sent"))
                    .help("it holds a line break or a control character")
            };
            let header = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(text).map_err(|_| wrong())?;
            value.set_sensitive(header == AUTHORIZATION || name == TOKEN_HEADER);
            request.headers_mut().insert(header, value);
        }
        Ok(request)
    }

    fn keys(&self) -> Result<Keys, SourceError> {
        let resolve = |key: &str, secret: &SecretRef| {
            secret.resolve().map_err(|error| {
                configuration(format!("{key}: {error}")).help("give it a value; it is read at each use")
            })
        };
        let token = self.settings.security_token.as_ref();
        Ok(Keys {
            access_key: resolve("auth.access_key", &self.settings.access_key)?,
            secret_key: resolve("auth.secret_key", &self.settings.secret_key)?,
            security_token: token.map(|token| resolve("auth.security_token", token)).transpose()?,
        })
    }
}

/// The keys as they are now.
struct Keys {
    access_key: Secret,
    secret_key: Secret,
    security_token: Option<Secret>,
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = &Secret> {
        [&self.secret_key, &self.access_key].into_iter().chain(&self.security_token)
    }
}

fn configuration(message: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::Configuration, message)
}
