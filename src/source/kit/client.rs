//! Asking one API: paced, tried once more where that is worth it, and answered or classed as an error.
//!
//! Reads the network. What differs from one API to another is an [`Api`]: how a request proves who asks, and what an answer
//! means that is no success. Nothing that comes out holds a secret of the request.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use reqwest::Request;

use super::fault::{bad_answer, from_http};
use super::json::Json;
use super::pace::Pace;
use super::retry::{Patience, Retry, once_more, retry_of};
use crate::clock::Clock;
use crate::http::{BodyEnd, HttpClient, HttpSettings, Outgoing, Response};
use crate::limits::{ANSWER_BYTES_MAX, SOURCE_BODY_BYTES_MAX, SOURCE_RETRY_PAUSE_MAX};
use crate::lock::locked;
use crate::secret::{Secret, Secrets};
use crate::source::contract::{SourceError, SourceErrorKind};

/// What one API is, beside what all are.
pub(in crate::source) trait Api: Send + Sync {
    /// One thing that is asked for.
    type Call: Sync;

    /// The request of one attempt, with the proof of who asks at this moment and every secret in it.
    ///
    /// # Errors
    /// When a secret has no value, nobody can be signed in, or the call cannot be a request.
    fn attempt(
        &self,
        call: &Self::Call,
        moment: Moment<'_>,
    ) -> impl Future<Output = Result<Attempt, SourceError>> + Send;

    /// The pace that a call keeps to.
    ///
    /// # Errors
    /// When it depends on a secret that has no value.
    fn pace(&self, call: &Self::Call) -> Result<Arc<Pace>, SourceError>;

    /// Whether the answer to a call is a success.
    ///
    /// # Errors
    /// What it is otherwise. `now` is this machine's clock.
    fn judge(&self, call: &Self::Call, answer: &Response, now: Timestamp) -> Result<(), SourceError>;

    /// Throws away a token that the service calls stale, unless another one has taken its place already. It is asked for
    /// after a 401 to an attempt that had one, which is then made once more, at once.
    fn renew(&self, _stale: &Secret) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Whether an answer, which is no success, calls the token stale that its request had.
    fn is_stale(&self, _call: &Self::Call, answer: &Response) -> bool {
        answer.status == 401
    }
}

/// When, and with what, an attempt is made.
#[derive(Clone, Copy)]
pub(in crate::source) struct Moment<'a> {
    /// For signing in, where that is needed first.
    pub(in crate::source) http: &'a HttpClient,
    /// How long signing in is waited for.
    pub(in crate::source) patience: Patience,
    /// This machine's clock.
    pub(in crate::source) now: Timestamp,
}

impl Moment<'_> {
    /// The answer to the request of a sign-in, which is made once more when its connection breaks.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub(in crate::source) async fn sign_in(&self, request: Request, secrets: Secrets) -> Result<Response, SourceError> {
        let cannot = || bad_answer("the request of the sign-in cannot be made twice");
        let once = async || {
            let request = request.try_clone().ok_or_else(|| (cannot(), Retry::No))?;
            let outgoing = Outgoing::new(request, secrets.clone());
            let answer = self.http.send(outgoing, self.patience.timeout, ANSWER_BYTES_MAX).await;
            answer.and_then(Response::complete).map_err(|error| (from_http(&error), retry_of(&error)))
        };
        once_more(self.patience, once).await
    }
}

/// One attempt.
pub(in crate::source) struct Attempt {
    /// The request with its secrets.
    pub(in crate::source) outgoing: Outgoing,
    /// The token in it, where another one can be got.
    pub(in crate::source) token: Option<Secret>,
}

/// A connection to an API.
pub(in crate::source) struct Client<A> {
    /// The API.
    pub(in crate::source) api: A,
    /// The clock of signatures and tokens.
    pub(in crate::source) clock: Arc<dyn Clock>,
    /// How long it is waited for.
    pub(in crate::source) patience: Patience,
    http: HttpClient,
    /// Attempts that were made, and those that were refused for being too many.
    made: AtomicUsize,
    throttled: AtomicUsize,
    /// What the service's clock said last.
    server_time: Mutex<Option<Timestamp>>,
}

impl<A: Api> Client<A> {
    /// A connection to the API; nothing is sent yet.
    ///
    /// # Errors
    /// [`SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub(in crate::source) fn new(
        api: A,
        ca_file: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<Client<A>, SourceError> {
        let http = HttpClient::new(&HttpSettings { ca_file, client_cert: None }).map_err(|error| from_http(&error))?;
        let (made, throttled) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let server_time = Mutex::default();
        Ok(Client { api, clock, patience: Patience::default(), http, made, throttled, server_time })
    }

    /// The answer to a call, which is a success and whole.
    ///
    /// # Errors
    /// When there was none, after a second attempt where one was worth it.
    pub(in crate::source) async fn answer(&self, call: &A::Call) -> Result<Response, SourceError> {
        once_more(self.patience, || self.attempt(call)).await
    }

    /// The body of it.
    ///
    /// # Errors
    /// As for [`Client::answer`].
    pub(in crate::source) async fn body(&self, call: &A::Call) -> Result<Vec<u8>, SourceError> {
        self.answer(call).await.map(Response::into_body)
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// Also when it is none.
    pub(in crate::source) async fn json(&self, call: &A::Call) -> Result<Json, SourceError> {
        Json::read(&self.body(call).await?).map_err(bad_answer)
    }

    /// About the last `bytes` of the answer to a call, which is a success: of a long text whose end matters. There is no second
    /// attempt.
    ///
    /// # Errors
    /// When there was no such answer.
    pub(in crate::source) async fn end_of(&self, call: &A::Call, bytes: usize) -> Result<Vec<u8>, SourceError> {
        self.api.pace(call)?.wait().await;
        let moment = Moment { http: &self.http, patience: self.patience, now: self.clock.now() };
        let Attempt { outgoing, .. } = self.api.attempt(call, moment).await?;
        self.made.fetch_add(1, Ordering::Relaxed);
        let answer = self.http.send_for_end(outgoing, self.patience.timeout, bytes).await;
        let answer = answer.and_then(Response::complete).map_err(|error| from_http(&error))?;
        self.api.judge(call, &answer, self.clock.now())?;
        Ok(answer.into_body())
    }

    /// What the service's clock said in its latest answer that said it.
    pub(in crate::source) fn server_time(&self) -> Option<Timestamp> {
        *locked(&self.server_time)
    }

    /// How many attempts were made so far, and how many of them were refused for being too many.
    pub(in crate::source) fn counts(&self) -> (usize, usize) {
        (self.made.load(Ordering::Relaxed), self.throttled.load(Ordering::Relaxed))
    }

    async fn attempt(&self, call: &A::Call) -> Result<Response, (SourceError, Retry)> {
        let last = |error| (error, Retry::No);
        let pace = self.api.pace(call).map_err(last)?;
        pace.wait().await;
        let moment = Moment { http: &self.http, patience: self.patience, now: self.clock.now() };
        let Attempt { outgoing, token } = self.api.attempt(call, moment).await.map_err(last)?;
        self.made.fetch_add(1, Ordering::Relaxed);
        let answer = self.http.send(outgoing, self.patience.timeout, SOURCE_BODY_BYTES_MAX).await;
        let answer = answer.and_then(Response::complete).map_err(|error| (from_http(&error), retry_of(&error)))?;
        if let Some(time) = answer.date() {
            *locked(&self.server_time) = Some(time);
        }
        if answer.is_success() && answer.end == BodyEnd::TooLong {
            let message = format!("the answer is larger than {} MiB", SOURCE_BODY_BYTES_MAX >> 20);
            return Err(last(bad_answer(message)));
        }
        let Err(error) = self.api.judge(call, &answer, self.clock.now()) else { return Ok(answer) };
        if let Some(stale) = token.filter(|_| self.api.is_stale(call, &answer)) {
            self.api.renew(&stale).await;
            return Err((error, Retry::AtOnce));
        }
        if error.kind == SourceErrorKind::Throttled {
            // A retry of its own would only be refused again: the count starts anew for all callers.
            self.throttled.fetch_add(1, Ordering::Relaxed);
            let pause = error.retry_after.unwrap_or(self.patience.throttled_pause);
            if !pause.is_zero() {
                pace.hold(pause.min(SOURCE_RETRY_PAUSE_MAX));
            }
        }
        let retry = if error.is_passing() { Retry::Once } else { Retry::No };
        Err((error, retry))
    }
}
