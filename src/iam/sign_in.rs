//! Signing in as an IAM user: a name and a password for a token that is good for a day.
//!
//! Talks to the sign-in service only, and keeps tokens in memory only: they are renewed ahead of their end, and thrown
//! away when a service calls them stale. Whoever signs in as the same user shares tokens and pauses ([`SignIn::shared`]):
//! a refused password is not tried again for a while by anybody, because the service locks a user after a handful of
//! wrong ones. That pause can be taken along over a restart. It knows nothing of what a token is used for.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex as SyncMutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::complaint::Complaint;
use super::error::{IamError, IamErrorKind};
use crate::coding::hex;
use crate::http::{HttpClient, Outgoing, Response, snippet};
use crate::limits::{SIGN_IN_REFUSED_PAUSE, SOURCE_ERROR_BODY_BYTES_MAX, TOKEN_LIFE_UNTOLD, TOKEN_RENEWED_AHEAD};
use crate::lock::locked;
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

/// A user: the address of the sign-in service, the domain and the name.
type User = (String, String, String);

static USERS: LazyLock<SyncMutex<HashMap<User, Arc<SignIn>>>> = LazyLock::new(SyncMutex::default);

/// What is held of one user, whoever signs in as it.
#[derive(Debug, Default)]
pub(super) struct SignIn {
    /// The tokens, by project.
    tokens: Mutex<HashMap<String, Token>>,
    /// The refusals that are waited out: of the user under an empty name, and of a project.
    refusals: SyncMutex<HashMap<String, Refusal>>,
}

#[derive(Debug)]
struct Token {
    token: Secret,
    renew_at: Timestamp,
}

/// That a password was refused.
#[derive(Debug, Clone)]
struct Refusal {
    /// Tells whether the password is still the same, and no more than that.
    mark: String,
    at: Timestamp,
    error: IamError,
}

impl SignIn {
    /// What everybody shares who signs in as this user.
    pub(super) fn shared(person: &Person) -> Arc<SignIn> {
        let user = (person.endpoint.clone(), person.domain.clone(), person.user.clone());
        Arc::clone(locked(&USERS).entry(user).or_default())
    }

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
        let mut tokens = self.tokens.lock().await;
        if let Some(Token { token, renew_at }) = tokens.get(&person.project_id)
            && now < *renew_at
        {
            return Ok(token.clone());
        }
        let mark = person.mark();
        let is_held = |refusal: &&Refusal| {
            refusal.mark == mark && now.duration_since(refusal.at).unsigned_abs() < SIGN_IN_REFUSED_PAUSE
        };
        let held =
            ["", &person.project_id].iter().find_map(|of| locked(&self.refusals).get(*of).filter(is_held).cloned());
        if let Some(refusal) = held {
            return Err(refusal.error);
        }
        match ask(http, timeout, person, now).await {
            Ok((token, renew_at)) => {
                tokens.insert(person.project_id.clone(), Token { token: token.clone(), renew_at });
                locked(&self.refusals).retain(|of, _| !of.is_empty() && *of != person.project_id);
                Ok(token)
            }
            Err((status, mut error)) => {
                error.message = format!("cannot sign in: {}", error.message);
                tokens.remove(&person.project_id);
                if error.kind == IamErrorKind::Refused {
                    // 401 is about the user, 403 about what the user may do here.
                    let of = if status == Some(403) { person.project_id.clone() } else { String::new() };
                    locked(&self.refusals).insert(of, Refusal { mark, at: now, error: error.clone() });
                }
                Err(error)
            }
        }
    }

    /// Throws `stale` away, unless another one has taken its place already.
    pub(super) async fn discard(&self, stale: &Secret) {
        self.tokens.lock().await.retain(|_, held| held.token.expose() != stale.expose());
    }

    /// The refusal of the user that is waited out, as a text to be taken along. It holds no secret.
    pub(super) fn refusal(&self) -> Option<String> {
        locked(&self.refusals).get("").map(|refusal| format!("{} {}", refusal.at, refusal.mark))
    }

    /// Takes over a refusal of an earlier run.
    pub(super) fn recall(&self, refusal: &str) {
        let Some((at, mark)) = refusal.split_once(' ') else { return };
        let Ok(at) = at.parse::<Timestamp>() else { return };
        let message = format!("cannot sign in: the password was refused at {at} and is not tried again for a while");
        let error = IamError::new(IamErrorKind::Refused, message, HELP_PASSWORD);
        locked(&self.refusals).entry(String::new()).or_insert(Refusal { mark: mark.to_string(), at, error });
    }
}

impl Person {
    /// Two bytes of a digest: enough to see that a password was changed, and too little to find it out.
    fn mark(&self) -> String {
        let digest = Sha256::digest([&self.domain, &self.user, self.password.expose()].join("\0"));
        hex(&digest[..2])
    }
}

/// Asks for a token; with it comes the time to ask for the next. An error comes with the status that was answered.
async fn ask(
    http: &HttpClient,
    timeout: Duration,
    person: &Person,
    now: Timestamp,
) -> Result<(Secret, Timestamp), (Option<u16>, IamError)> {
    let request = request(person).map_err(|error| (None, error))?;
    let outgoing = Outgoing::new(request, Secrets::from(&person.password));
    let sent = http.send(outgoing, timeout, SOURCE_ERROR_BODY_BYTES_MAX).await;
    let answer = sent.map_err(|error| {
        let message = error.to_string();
        (None, IamError { message, help: None, kind: IamErrorKind::Unreachable(error) })
    })?;
    if answer.status != 201 {
        return Err((Some(answer.status), refusal(&answer)));
    }
    match answer.secret_header("x-subject-token") {
        Some(token) => Ok((token, renew_at(&answer, now))),
        None => Err((Some(answer.status), no_service("the answer holds no token"))),
    }
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
