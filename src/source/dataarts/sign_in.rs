//! Signing in as an IAM user: a name and a password for a token that is good for a day.
//!
//! Talks to the sign-in service only, and keeps what it gets in memory only: the token is renewed ahead of its end, and
//! thrown away when the API calls it stale. A refused password is not tried again for a while, because the service
//! locks a user after a handful of wrong ones. It knows nothing of what the token is used for.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::fault;
use crate::clock::Clock;
use crate::http::{Answer, HttpClient};
use crate::limits::{SIGN_IN_REFUSED_PAUSE, SOURCE_ERROR_BODY_BYTES_MAX, TOKEN_LIFE_UNTOLD, TOKEN_RENEWED_AHEAD};
use crate::secret::Secret;
use crate::source::foreign;
use crate::source::{SourceError, SourceErrorKind};

/// Who signs in, and where; the values of this moment.
pub(super) struct Person {
    /// Address of the sign-in service, without a slash at the end.
    pub(super) endpoint: String,
    pub(super) user: String,
    pub(super) password: Secret,
    pub(super) domain: String,
    /// The project that the token is for.
    pub(super) project_id: String,
}

/// The token of one source.
pub(super) struct SignIn {
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Token {
        token: Secret,
        renew_at: Timestamp,
    },
    /// The password was refused, and when that was.
    Refused {
        password: Secret,
        at: Timestamp,
        error: SourceError,
    },
}

impl SignIn {
    pub(super) fn new(clock: Arc<dyn Clock>) -> SignIn {
        SignIn { clock, held: Mutex::default() }
    }

    /// A token that is good now: the one that is held, or a new one.
    ///
    /// # Errors
    /// When the service refuses, or cannot be reached.
    pub(super) async fn token(
        &self,
        http: &HttpClient,
        timeout: Duration,
        person: &Person,
    ) -> Result<Secret, SourceError> {
        // Held over the call: whoever else needs a token waits for this one instead of asking for a second.
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        match &*held {
            Held::Token { token, renew_at } if now < *renew_at => return Ok(token.clone()),
            Held::Refused { password, at, error }
                if password.expose() == person.password.expose()
                    && now.duration_since(*at).unsigned_abs() < SIGN_IN_REFUSED_PAUSE =>
            {
                return Err(error.clone());
            }
            _ => {}
        }
        match ask(http, timeout, person, now).await {
            Ok((token, renew_at)) => {
                *held = Held::Token { token: token.clone(), renew_at };
                Ok(token)
            }
            Err(error) => {
                *held = match error.kind {
                    SourceErrorKind::Credentials => {
                        Held::Refused { password: person.password.clone(), at: now, error: error.clone() }
                    }
                    _ => Held::Nothing,
                };
                Err(error)
            }
        }
    }

    /// Throws `stale` away, unless another one has taken its place already.
    pub(super) async fn discard(&self, stale: &Secret) {
        let mut held = self.held.lock().await;
        if matches!(&*held, Held::Token { token, .. } if token.expose() == stale.expose()) {
            *held = Held::Nothing;
        }
    }
}

/// Asks for a token; with it comes the time to ask for the next.
async fn ask(
    http: &HttpClient,
    timeout: Duration,
    person: &Person,
    now: Timestamp,
) -> Result<(Secret, Timestamp), SourceError> {
    let answer = http
        .send(request(person)?, timeout, SOURCE_ERROR_BODY_BYTES_MAX)
        .await
        .map_err(|error| sign_in_failed(foreign::from_http(&error)))?;
    if answer.status != 201 {
        let mut error = sign_in_failed(fault::from_sign_in(&answer, now));
        error.message = person.password.cut_from(&error.message);
        return Err(error);
    }
    let Some(token) = answer.header("x-subject-token").filter(|token| !token.is_empty()) else {
        let error = SourceError::new(SourceErrorKind::BadAnswer, "the answer holds no token");
        return Err(sign_in_failed(error.help("check \"auth.iam_endpoint\"")));
    };
    Ok((Secret::new(token), renew_at(&answer, now)))
}

fn request(person: &Person) -> Result<Request, SourceError> {
    let url = Url::parse(&format!("{}/v3/auth/tokens?nocatalog=1", person.endpoint)).map_err(|_| {
        SourceError::new(SourceErrorKind::Configuration, "the address of the sign-in service cannot be understood")
            .help("check \"auth.iam_endpoint\"")
    })?;
    let user = json!({
        "name": person.user,
        "password": person.password.expose(),
        "domain": { "name": person.domain },
    });
    let body = json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": user } },
        "scope": { "project": { "id": person.project_id } },
    } });
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf8"));
    *request.body_mut() = Some(body.to_string().into());
    Ok(request)
}

/// An hour before its end, or a tenth of its life before, if that is less.
fn renew_at(answer: &Answer, now: Timestamp) -> Timestamp {
    #[derive(Deserialize)]
    struct Whole {
        token: Token,
    }
    #[derive(Deserialize)]
    struct Token {
        expires_at: Timestamp,
    }
    let told = serde_json::from_slice::<Whole>(&answer.body).ok().map(|whole| whole.token.expires_at);
    let life = told.map_or_else(
        || SignedDuration::try_from(TOKEN_LIFE_UNTOLD).unwrap_or(SignedDuration::ZERO),
        |end| end.duration_since(now),
    );
    let ahead = SignedDuration::try_from(TOKEN_RENEWED_AHEAD).unwrap_or(SignedDuration::ZERO).min(life / 10);
    now.checked_add(life - ahead).unwrap_or(now)
}

fn sign_in_failed(mut error: SourceError) -> SourceError {
    error.message = format!("cannot sign in: {}", error.message);
    error
}
