//! The API of a described scheduler: how a request proves who asks, and what an answer means that is no success.
//!
//! Reads, for each request, the present value of the secrets in it, and counts the calls of a day; the kit's client sends
//! it. It knows what says that an answer is a success, and nothing of rows.

use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use reqwest::Url;

use super::auth::AuthSettings;
use super::budget::Spent;
use super::fill::Values;
use super::proof::Moment;
use super::request::{RequestSettings, Success};
use super::settings::Settings;
use crate::http::{Outgoing, Response, snippet};
use crate::lock::locked;
use crate::secret::Secret;
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{configuration, told};
use crate::source::kit::json::Json;
use crate::source::kit::session::Session;
use crate::source::kit::{self, Api, Attempt, Pace};
use crate::yaml::duration_text;

const HELP_BAD_ANSWER: &str = "check \"url\"; a proxy or a login page may answer in the scheduler's place";
const HELP_AUTH: &str = "check \"auth\": the account must be allowed to read runs";
const HELP_LATER: &str = "the scheduler has trouble of its own; the next poll tries again";
const HELP_URL: &str = "check \"url\" and what the request asks for";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A list, which must be there.
    List,
    /// One thing, which may be gone.
    One,
    /// A text that is the answer itself. What says that the list's answers are successes says nothing of it.
    Text,
}

/// One described request with the values that are filled in.
pub(super) struct Question {
    pub(super) request: RequestSettings,
    pub(super) values: Values,
    /// The address that a page before told.
    pub(super) link: Option<String>,
    pub(super) purpose: Purpose,
}

pub(super) struct HttpApi {
    pub(super) settings: Settings,
    base: Url,
    session: Session,
    pace: Arc<Pace>,
    spent: Mutex<Spent>,
}

impl HttpApi {
    pub(super) fn new(settings: Settings) -> Result<HttpApi, SourceError> {
        let base = settings
            .base()
            .ok_or_else(|| configuration("the address of the scheduler cannot be understood").help("check \"url\""))?;
        let pace = Arc::new(Pace::per_second(settings.requests_per_second));
        Ok(HttpApi { settings, base, session: Session::default(), pace, spent: Mutex::default() })
    }

    /// Counts one call of the day's.
    fn count(&self, now: Timestamp) -> Result<(), SourceError> {
        let Some(calls) = self.settings.calls_per_day else { return Ok(()) };
        self.spent().take(now, calls).map_err(|wait| {
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

    /// What an answer is that is no success, and whether another sign-in may help.
    fn refusal(&self, call: &Question, answer: &Response, now: Timestamp) -> Option<(SourceError, bool)> {
        let is_login = matches!(self.settings.auth, AuthSettings::Login(_));
        if !answer.is_success() {
            // A page of a scheduler with cookies leads to its sign-in instead of refusing.
            let has_ended_sign_in =
                matches!(answer.status, 401 | 403) || is_login && (300..400).contains(&answer.status);
            return Some((by_status(answer, call.purpose, now), has_ended_sign_in));
        }
        let of_list = self.settings.list.request.success.as_ref().filter(|_| call.purpose != Purpose::Text);
        let success = call.request.success.as_ref().or(of_list)?;
        match Json::read(answer.body()) {
            Ok(json) => refused_in_words(success, &json, call.purpose),
            // A page with a form stands where the answer should be.
            Err(reason) => Some((bad(reason), is_login)),
        }
    }
}

impl Api for HttpApi {
    type Call = Question;

    async fn attempt(&self, call: &Question, moment: kit::Moment<'_>) -> Result<Attempt, SourceError> {
        let (mut request, mut secrets, query) = call.request.build(&self.base, &call.values, call.link.as_deref())?;
        let proving = Moment { kit: moment, base: &self.base };
        let auth = &self.settings.auth;
        let token = auth.prove(&self.session, &proving, &mut request, &query, &mut secrets).await?;
        self.count(moment.now)?;
        Ok(Attempt { outgoing: Outgoing::new(request, secrets), token })
    }

    fn pace(&self, _call: &Question) -> Result<Arc<Pace>, SourceError> {
        Ok(Arc::clone(&self.pace))
    }

    fn judge(&self, call: &Question, answer: &Response, now: Timestamp) -> Result<(), SourceError> {
        self.refusal(call, answer, now).map_or(Ok(()), |(error, _)| Err(error))
    }

    fn is_stale(&self, call: &Question, answer: &Response) -> bool {
        self.refusal(call, answer, Timestamp::UNIX_EPOCH).is_some_and(|(_, has_ended_sign_in)| has_ended_sign_in)
    }

    async fn renew(&self, stale: &Secret) {
        self.session.discard(stale).await;
    }
}

/// What an answer with 200 refuses in its own words, and whether it says that the sign-in has ended.
fn refused_in_words(success: &Success, json: &Json, purpose: Purpose) -> Option<(SourceError, bool)> {
    let root = json.root();
    let words = success.message.as_ref().and_then(|pointer| pointer.word(&root));
    let Some(value) = success.pointer.word(&root) else {
        return Some((bad(format!("the answer does not say at {} whether it is a success", success.pointer)), false));
    };
    if success.values.iter().any(|good| *good == value) {
        return None;
    }
    let is = |values: &[String]| values.iter().any(|one| *one == value);
    let (kind, help) = if is(&success.renew) {
        (SourceErrorKind::Credentials, HELP_AUTH)
    } else if is(&success.gone) && purpose == Purpose::One {
        (SourceErrorKind::NotFound, "it was removed")
    } else {
        (SourceErrorKind::Configuration, HELP_URL)
    };
    let head = format!("the scheduler refused the request with {} {}", success.pointer, snippet(&value));
    let message = told(head, &words.map(|words| snippet(&words)).unwrap_or_default(), None);
    Some((SourceError::new(kind, message).help(help), is(&success.renew)))
}

fn by_status(answer: &Response, purpose: Purpose, now: Timestamp) -> SourceError {
    use SourceErrorKind::{BadAnswer, Configuration, Credentials, NotFound, Throttled, Transient};
    let (kind, help) = match answer.status {
        401 | 403 => (Credentials, HELP_AUTH),
        404 | 410 if purpose != Purpose::List => (NotFound, "it was removed"),
        404 | 410 => (Configuration, "check \"url\": the scheduler has no such path"),
        429 => (Throttled, "poll less often, or lower \"requests_per_second\""),
        408 | 425 | 500..600 => (Transient, HELP_LATER),
        300..400 => (Configuration, "set \"url\" to the address of the API itself: redirects are never followed"),
        400..500 => (Configuration, HELP_URL),
        _ => (BadAnswer, HELP_BAD_ANSWER),
    };
    let message = told(format!("HTTP {}", answer.status), &answer.excerpt(), None);
    let mut error = SourceError::new(kind, message).help(help);
    error.retry_after = answer.retry_after(now);
    error
}

/// The error of an answer that is none.
pub(super) fn bad(message: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::BadAnswer, message).help(HELP_BAD_ANSWER)
}
