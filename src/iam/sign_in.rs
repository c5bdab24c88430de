//! Signing in as an IAM user: a name and a password for a token that is good for a day.
//!
//! Talks to the sign-in service only, and keeps what it gets in memory only: the token is renewed ahead of its end, and
//! thrown away when the API calls it stale. A refused password is not tried again for a while, because the service
//! locks a user after a handful of wrong ones. It knows nothing of what the token is used for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::{Complaint, IamError, IamErrorKind};
use crate::http::{HttpClient, Outgoing, Response, snippet};
use crate::limits::{SIGN_IN_REFUSED_PAUSE, SOURCE_ERROR_BODY_BYTES_MAX, TOKEN_LIFE_UNTOLD, TOKEN_RENEWED_AHEAD};
use crate::secret::{Secret, Secrets};

const HELP_PASSWORD: &str = "check \"auth.user\", \"auth.password\" and \"auth.domain\" (the account's name); after a few wrong \
                             passwords the user is locked for a while";
const HELP_ACCESS: &str = "the user must have programmatic access, and belong to this project";
const HELP_LATER: &str = "the sign-in service has trouble of its own; the next poll or attempt tries again";

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

/// The token of one caller.
#[derive(Debug, Default)]
pub(super) struct SignIn {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
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
        error: IamError,
    },
}

impl SignIn {
    /// A token that is good at `now`: the one that is held, or a new one.
    ///
    /// # Errors
    /// When the service refuses, or cannot be reached.
    pub(super) async fn token(
        &self,
        http: &HttpClient,
        timeout: Duration,
        now: Timestamp,
        person: &Person,
    ) -> Result<Secret, IamError> {
        // Held over the call: whoever else needs a token waits for this one instead of asking for a second.
        let mut held = self.held.lock().await;
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
            Err(mut error) => {
                error.message = format!("cannot sign in: {}", error.message);
                *held = match error.kind {
                    IamErrorKind::Refused => {
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
) -> Result<(Secret, Timestamp), IamError> {
    let outgoing = Outgoing::new(request(person)?, Secrets::from(&person.password));
    let answer = http.send(outgoing, timeout, SOURCE_ERROR_BODY_BYTES_MAX).await.map_err(|error| IamError {
        message: error.to_string(),
        help: None,
        kind: IamErrorKind::Unreachable(error),
    })?;
    if answer.status != 201 {
        return Err(refusal(&answer));
    }
    let Some(token) = answer.secret_header("x-subject-token") else {
        return Err(no_service("the answer holds no token"));
    };
    Ok((token, renew_at(&answer, now)))
}

/// What an answer without a token means. Its codes are those of HTTP.
fn refusal(answer: &Response) -> IamError {
    let complaint = Complaint::read(answer.body());
    let said = complaint.words.as_deref().map_or_else(|| answer.excerpt(), snippet);
    let mut message = format!("HTTP {}", answer.status);
    if let Some(code) = complaint.code.as_deref().filter(|code| *code != answer.status.to_string()) {
        message.push_str(&format!(" {}", snippet(code)));
    }
    if !said.is_empty() {
        message.push_str(&format!(": {said}"));
    }
    let (kind, help) = match answer.status {
        401 => (IamErrorKind::Refused, HELP_PASSWORD),
        403 => (IamErrorKind::Refused, HELP_ACCESS),
        400 => (IamErrorKind::Configuration, "check \"auth.domain\" and \"project_id\""),
        404 | 405 => (IamErrorKind::Configuration, "check \"auth.iam_endpoint\": this host does not sign anybody in"),
        300..=399 => (IamErrorKind::Configuration, "check \"auth.iam_endpoint\": redirects are never followed"),
        408 | 425 | 429 | 500..=599 => (IamErrorKind::Transient, HELP_LATER),
        _ => return no_service(message),
    };
    IamError::new(kind, message, help)
}

fn no_service(message: impl Into<String>) -> IamError {
    let help = "check \"auth.iam_endpoint\"; a proxy or a login page may answer in the service's place";
    IamError::new(IamErrorKind::BadAnswer, message, help)
}

fn request(person: &Person) -> Result<Request, IamError> {
    let url = Url::parse(&format!("{}/v3/auth/tokens?nocatalog=1", person.endpoint)).map_err(|_| {
        let message = "the address of the sign-in service cannot be understood";
        IamError::new(IamErrorKind::Configuration, message, "check \"auth.iam_endpoint\"")
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
fn renew_at(answer: &Response, now: Timestamp) -> Timestamp {
    #[derive(Deserialize)]
    struct Whole {
        token: Token,
    }
    #[derive(Deserialize)]
    struct Token {
        expires_at: Timestamp,
    }
    let told = serde_json::from_slice::<Whole>(answer.body()).ok().map(|whole| whole.token.expires_at);
    let life = told.map_or_else(
        || SignedDuration::try_from(TOKEN_LIFE_UNTOLD).unwrap_or(SignedDuration::ZERO),
        |end| end.duration_since(now),
    );
    let ahead = SignedDuration::try_from(TOKEN_RENEWED_AHEAD).unwrap_or(SignedDuration::ZERO).min(life / 10);
    now.checked_add(life - ahead).unwrap_or(now)
}
