//! Requests to a described scheduler: built, proven, paced, counted, tried once more, and answered or classed as an error.
//!
//! Reads the network and, for each request, the present value of the secrets in it; nothing it returns holds one of them.
//! It knows what says that an answer is a success, and nothing of its rows.

use reqwest::Url;
use std::sync::{Arc, Mutex, MutexGuard};

use super::auth::{AuthSettings, Moment};
use super::budget::Spent;
use super::fill::Values;
use super::request::{RequestSettings, Success};
use super::settings::Settings;
use crate::clock::Clock;
use crate::http::{BodyEnd, HttpClient, HttpSettings, Outgoing, Response, snippet};
use crate::limits::SOURCE_BODY_BYTES_MAX;
use crate::secret::Secret;
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{configuration, from_http};
use crate::source::kit::json::Json;
use crate::source::kit::session::Session;
use crate::source::kit::{self, Pace, Patience, Retry, locked, once_more, retry_of};
use crate::yaml::duration_text;

const HELP_BAD_ANSWER: &str = "check \"url\"; a proxy or a login page may answer in the scheduler's place";
const HELP_AUTH: &str = "check \"auth\": the account must be allowed to read runs";
const HELP_LATER: &str = "the scheduler has trouble of its own; the next poll tries again";
const HELP_URL: &str = "check \"url\" and what the request asks for";

/// What is asked for: a list, which must be there, or one thing, which may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    List,
    One,
}

/// An answer that was a success.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// The address in a header `Link` that calls itself the next.
    pub(super) link: Option<String>,
}

impl Answer {
    /// The answer as JSON.
    pub(super) fn json(&self) -> Result<Json, SourceError> {
        Json::read(&self.body).map_err(bad)
    }
}

pub(super) struct Client {
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Patience,
    base: Url,
    http: HttpClient,
    session: Session,
    pace: Pace,
    spent: Mutex<Spent>,
}

impl Client {
    pub(super) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Client, SourceError> {
        let http = HttpClient::new(&HttpSettings { ca_file: settings.ca_file.clone(), client_cert: None })
            .map_err(|error| from_http(&error))?;
        let base = settings
            .base()
            .ok_or_else(|| configuration("the address of the scheduler cannot be understood").help("check \"url\""))?;
        let pace = Pace::per_second(settings.requests_per_second);
        Ok(Client {
            settings,
            clock,
            patience: Patience::default(),
            base,
            http,
            session: Session::default(),
            pace,
            spent: Mutex::default(),
        })
    }

    /// The answer to a request that was a success, checked to be text that begins like JSON.
    pub(super) async fn ask(
        &self,
        request: &RequestSettings,
        values: &Values,
        link: Option<&str>,
        purpose: Purpose,
    ) -> Result<Answer, SourceError> {
        let answer = once_more(self.patience, || self.ask_once(request, values, link, purpose)).await?;
        if answer.end == BodyEnd::TooLong {
            return Err(bad(format!("the answer is larger than {} MiB", SOURCE_BODY_BYTES_MAX >> 20)));
        }
        let link = answer.whole_header("link").and_then(next_link);
        Ok(Answer { body: answer.into_body(), link })
    }

    async fn ask_once(
        &self,
        request: &RequestSettings,
        values: &Values,
        link: Option<&str>,
        purpose: Purpose,
    ) -> Result<Response, (SourceError, Retry)> {
        let no = |error: SourceError| (error, Retry::No);
        self.pace.wait().await;
        let success = request.success.as_ref().or(self.settings.list.request.success.as_ref());
        let (mut request, mut secrets, query) = request.build(&self.base, values, link).map_err(no)?;
        let kit = kit::Moment { http: &self.http, patience: self.patience, now: self.clock.now() };
        let moment = Moment { kit, base: &self.base };
        let auth = &self.settings.auth;
        let token = auth.prove(&self.session, &moment, &mut request, &query, &mut secrets).await.map_err(no)?;
        self.count().map_err(no)?;
        let outgoing = Outgoing::new(request, secrets);
        let answer = self.http.send(outgoing, self.patience.timeout, SOURCE_BODY_BYTES_MAX).await;
        let answer = answer.and_then(Response::complete).map_err(|error| (from_http(&error), retry_of(&error)))?;
        match self.judge(&answer, success, purpose) {
            Ok(()) => Ok(answer),
            Err(refusal) => Err(self.retry(refusal, token.as_ref()).await),
        }
    }

    /// Whether an error is worth another try: a sign-in that has ended is renewed, once and at once.
    async fn retry(&self, refusal: Refusal, token: Option<&Secret>) -> (SourceError, Retry) {
        if let (true, Some(stale)) = (refusal.has_ended_sign_in, token) {
            self.session.discard(stale).await;
            return (refusal.error, Retry::AtOnce);
        }
        let is_passing = matches!(refusal.error.kind, SourceErrorKind::Throttled | SourceErrorKind::Transient);
        (refusal.error, if is_passing { Retry::Once } else { Retry::No })
    }

    fn judge(&self, answer: &Response, success: Option<&Success>, purpose: Purpose) -> Result<(), Refusal> {
        let is_login = matches!(self.settings.auth, AuthSettings::Login(_));
        if !answer.is_success() {
            // A page of a scheduler with cookies leads to its sign-in instead of refusing.
            let has_ended_sign_in =
                matches!(answer.status, 401 | 403) || is_login && (300..400).contains(&answer.status);
            return Err(Refusal { error: self.by_status(answer, purpose), has_ended_sign_in });
        }
        let Some(success) = success else { return Ok(()) };
        let refuse = |error: SourceError, has_ended_sign_in| Err(Refusal { error, has_ended_sign_in });
        let json = match Json::read(answer.body()) {
            Ok(json) => json,
            // A page with a form stands where the answer should be.
            Err(reason) => return refuse(bad(reason), is_login),
        };
        let root = json.root();
        let words = success.message.as_ref().and_then(|pointer| pointer.word(&root));
        let value = success.pointer.word(&root);
        let Some(value) = value else {
            return refuse(
                bad(format!("the answer does not say at {} whether it is a success", success.pointer)),
                false,
            );
        };
        if success.values.iter().any(|good| *good == value) {
            return Ok(());
        }
        let words = words.map(|words| format!(": {}", snippet(&words))).unwrap_or_default();
        let message = format!("the scheduler refused the request with {} {}{words}", success.pointer, snippet(&value));
        let is = |values: &[String]| values.iter().any(|one| *one == value);
        let (kind, help) = if is(&success.renew) {
            (SourceErrorKind::Credentials, HELP_AUTH)
        } else if is(&success.gone) && purpose == Purpose::One {
            (SourceErrorKind::NotFound, "it was removed")
        } else {
            (SourceErrorKind::Configuration, HELP_URL)
        };
        refuse(SourceError::new(kind, message).help(help), is(&success.renew))
    }

    fn by_status(&self, answer: &Response, purpose: Purpose) -> SourceError {
        use SourceErrorKind::{BadAnswer, Configuration, Credentials, NotFound, Throttled, Transient};
        let (kind, help) = match answer.status {
            401 | 403 => (Credentials, HELP_AUTH),
            404 | 410 if purpose == Purpose::One => (NotFound, "it was removed"),
            404 | 410 => (Configuration, "check \"url\": the scheduler has no such path"),
            429 => (Throttled, "poll less often, or lower \"requests_per_second\""),
            408 | 500..600 => (Transient, HELP_LATER),
            300..400 => (Configuration, "set \"url\" to the address of the API itself: redirects are never followed"),
            400..500 => (Configuration, HELP_URL),
            _ => (BadAnswer, HELP_BAD_ANSWER),
        };
        let said = answer.excerpt();
        let words = if said.is_empty() { String::new() } else { format!(": {said}") };
        let mut error = SourceError::new(kind, format!("HTTP {}{words}", answer.status)).help(help);
        error.retry_after = answer.retry_after(self.clock.now());
        error
    }

    /// Counts one call of the day's.
    fn count(&self) -> Result<(), SourceError> {
        let Some(calls) = self.settings.calls_per_day else { return Ok(()) };
        self.spent().take(self.clock.now(), calls).map_err(|wait| {
            let words = format!(
                "the {calls} calls of a day are used up; there are more in {}",
                duration_text(wait.unsigned_abs())
            );
            SourceError::new(SourceErrorKind::Throttled, words).help("poll less often, or raise \"calls_per_day\"")
        })
    }

    pub(super) fn spent(&self) -> MutexGuard<'_, Spent> {
        locked(&self.spent)
    }
}

/// An answer that is no success.
struct Refusal {
    error: SourceError,
    /// Whether another token may help.
    has_ended_sign_in: bool,
}

/// The error of an answer that is none.
pub(super) fn bad(message: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::BadAnswer, message).help(HELP_BAD_ANSWER)
}

/// The address of the next page in a header `Link` (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.split_once('>')?;
        let is_next = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|word| word.eq_ignore_ascii_case("next"))
        });
        is_next.then(|| address.trim().trim_start_matches('<').to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_a_link_header() {
        let table = [
            ("<https://x/y?page=2>; rel=\"next\", <https://x/y?page=9>; rel=\"last\"", Some("https://x/y?page=2")),
            ("<https://x/y?page=1>; rel=\"prev\", </y?page=3>; rel=next", Some("/y?page=3")),
            ("<https://x/y?page=9>; rel=\"last\"", None),
            ("nonsense", None),
        ];
        for (header, expected) in table {
            assert_eq!(next_link(header).as_deref(), expected, "{header}");
        }
    }
}
