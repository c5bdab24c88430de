//! The REST API of Airflow 3 (version 2): who asks, and what an answer means that is no success.
//!
//! Reads, for each request, the present value of secrets, and signs in where a password must get a token. It knows paths and
//! statuses, and nothing of runs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;

use super::settings::{Auth, Settings};
use crate::http::{Outgoing, Response};
use crate::secret::{Secret, Secrets};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{Helps, resolved, told};
use crate::source::kit::json::Json;
use crate::source::kit::session::{Granted, Session};
use crate::source::kit::{Api, Attempt, Call, Moment, Pace, with_headers};

const HELPS: Helps = Helps {
    credentials: "check \"auth\": the user, the password or the token",
    permission: "let the user read DAGs, DAG runs, task instances and task logs (the role Viewer can)",
    endpoint: "check \"url\": it is the address of the api-server of an Airflow 3; earlier versions have another API",
    parameters: "this version of Airflow understands the request otherwise; please report it",
    slower: "poll less often, or lower \"requests_per_second\"",
};
const HELP_SIGN_IN: &str =
    "check the user and the password in \"auth\"; they are tried again in 15 minutes, or at once when they change";

/// What all calls begin with.
const ROOT: [&str; 2] = ["api", "v2"];

/// Rows of a page: the most that the server gives.
pub(super) const PAGE_ROWS: usize = 100;
/// The operation that is answered with lines of JSON.
pub(super) const LOG: &str = "log";

/// A GET of the API.
pub(super) fn get(path: &[&str]) -> Call {
    Call::get(&[&ROOT, path].concat())
}

pub(super) struct AirflowApi {
    pub(super) settings: Settings,
    session: Session,
    pace: Arc<Pace>,
}

impl AirflowApi {
    pub(super) fn new(settings: Settings) -> AirflowApi {
        let pace = Arc::new(Pace::per_second(settings.requests_per_second));
        AirflowApi { settings, session: Session::default(), pace }
    }

    async fn sign_in(&self, moment: &Moment<'_>, user: &Secret, password: &Secret) -> Result<Granted, SourceError> {
        let body = json!({ "username": user.expose(), "password": password.expose() });
        let (headers, mut secrets) = self.further_headers()?;
        secrets.push(password);
        let request = with_headers(Call::post(&["auth", "token"], body).request(&self.settings.url)?, &headers)?;
        let answer = moment.sign_in(request, secrets).await?;
        if !answer.is_success() {
            let mut error = refused(&answer, moment.now);
            error.message = format!("the sign-in was refused: {}", error.message);
            if error.kind == SourceErrorKind::Credentials {
                error.help = Some(HELP_SIGN_IN.to_string());
            }
            return Err(error);
        }
        let text = answer.secret_text();
        let json = Json::read(text.expose().as_bytes());
        let token = json.ok().and_then(|json| Some(json.root().find("/access_token")?.text()?.into_owned()));
        let none = || {
            let words = "the sign-in gave no token; something else than Airflow's api-server may have answered";
            SourceError::new(SourceErrorKind::BadAnswer, words).help(HELPS.endpoint)
        };
        let token = token.filter(|token| !token.is_empty()).ok_or_else(none)?;
        Ok(Granted { life: life_of(&token), token: Secret::new(token) })
    }

    fn further_headers(&self) -> Result<(Vec<(String, String)>, Secrets), SourceError> {
        let (mut headers, mut secrets) = (Vec::new(), Secrets::new());
        for (name, value) in &self.settings.headers {
            let value = resolved(&format!("headers.{name}"), value)?;
            headers.push((name.clone(), value.expose().to_string()));
            secrets.push(&value);
        }
        Ok((headers, secrets))
    }
}

impl Api for AirflowApi {
    type Call = Call;

    async fn attempt(&self, call: &Call, moment: Moment<'_>) -> Result<Attempt, SourceError> {
        let (mut headers, mut secrets) = self.further_headers()?;
        let (token, can_be_renewed) = match &self.settings.auth {
            Auth::None => (None, false),
            Auth::Token(token) => (Some(resolved("auth.token", token)?), false),
            Auth::Password { user, password } => {
                let (user, password) = (resolved("auth.user", user)?, resolved("auth.password", password)?);
                let credentials = Secret::new(format!("{}\n{}", user.expose(), password.expose()));
                let sign_in = async || self.sign_in(&moment, &user, &password).await;
                (Some(self.session.token(moment.now, &credentials, sign_in).await?), true)
            }
        };
        if let Some(token) = &token {
            headers.push(("authorization".to_string(), format!("Bearer {}", token.expose())));
            secrets.push(token);
        }
        if call.operation == LOG {
            headers.push(("accept".to_string(), "application/x-ndjson".to_string()));
        }
        let request = with_headers(call.request(&self.settings.url)?, &headers)?;
        Ok(Attempt { outgoing: Outgoing::new(request, secrets), token: token.filter(|_| can_be_renewed) })
    }

    fn judge(&self, _call: &Call, answer: &Response, now: Timestamp) -> Result<(), SourceError> {
        if answer.is_success() { Ok(()) } else { Err(refused(answer, now)) }
    }

    fn pace(&self, _call: &Call) -> Result<Arc<Pace>, SourceError> {
        Ok(Arc::clone(&self.pace))
    }

    /// A token of another key is refused with 403, one that has ended with 401.
    fn is_stale(&self, _call: &Call, answer: &Response) -> bool {
        answer.status == 401 || answer.status == 403 && answer.text().contains("JWT")
    }

    async fn renew(&self, stale: &Secret) {
        self.session.discard(stale).await;
    }
}

/// The error that an answer is: its `detail` is a sentence, or a list of what is wrong with the request.
fn refused(answer: &Response, now: Timestamp) -> SourceError {
    let text = answer.text();
    let detail = Json::read(text.as_bytes()).ok().and_then(|json| {
        let detail = json.root().find("/detail")?;
        let first = || Some(detail.find("/0/msg")?.text()?.into_owned());
        detail.text().map(std::borrow::Cow::into_owned).or_else(first)
    });
    let words = detail.map_or_else(|| answer.excerpt(), |detail| crate::http::snippet(&detail));
    let (mut kind, help) = HELPS.by_status(answer.status);
    // The path is right, and what it names is not there: "The DagRun with dag_id: `x` and run_id: `y` was not found".
    if answer.status == 404 && words.to_ascii_lowercase().contains("was not found") {
        kind = SourceErrorKind::NotFound;
    }
    let mut error = SourceError::new(kind, told(format!("HTTP {}", answer.status), &words, None)).help(help);
    error.retry_after = answer.retry_after(now);
    error
}

/// How long a token is good, by its own claims (RFC 7519); nothing where it has none.
fn life_of(token: &str) -> Option<Duration> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let (ends, began) = (claims.get("exp")?.as_i64()?, claims.get("iat")?.as_i64()?);
    u64::try_from(ends.checked_sub(began)?).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::BodyEnd;

    fn error(status: u16, body: &str) -> SourceError {
        let answer =
            Response::new(status, Default::default(), body.as_bytes().to_vec(), BodyEnd::Complete, Secrets::new());
        refused(&answer, Timestamp::UNIX_EPOCH)
    }

    /// The answers are recorded from Airflow 3.3.2.
    #[test]
    fn refusals_are_classed_and_told_in_airflows_words() {
        use SourceErrorKind::{Configuration, Credentials, NotFound, Throttled, Transient};
        let table = [
            (401, r#"{"detail":"Invalid credentials"}"#, Credentials, "HTTP 401: Invalid credentials"),
            (401, r#"{"detail":"Not authenticated"}"#, Credentials, "HTTP 401: Not authenticated"),
            (403, r#"{"detail":"Forbidden"}"#, Credentials, "HTTP 403: Forbidden"),
            (
                404,
                r#"{"detail":"The DagRun with dag_id: `a` and run_id: `b` was not found"}"#,
                NotFound,
                "HTTP 404: The DagRun with dag_id: `a` and run_id: `b` was not found",
            ),
            (404, r#"{"detail":"Not Found"}"#, Configuration, "HTTP 404: Not Found"),
            (
                422,
                r#"{"detail":[{"type":"datetime_from_date_parsing","loc":["query","updated_at_gte"],"msg":"Input should be a valid datetime"}]}"#,
                Configuration,
                "HTTP 422: Input should be a valid datetime",
            ),
            (429, "slow down", Throttled, "HTTP 429: slow down"),
            (502, "<html>Bad Gateway</html>", Transient, "HTTP 502"),
        ];
        for (status, body, kind, message) in table {
            let error = error(status, body);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_token_tells_how_long_it_is_good() {
        let token = |claims: &str| format!("eyJhbGciOiJIUzUxMiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(life_of(&token(r#"{"iat":1795219500,"exp":1795305900}"#)), Some(Duration::from_secs(86_400)));
        for odd in [token(r#"{"exp":1795305900}"#), token("[]"), token(r#"{"iat":2,"exp":1}"#), "opaque".to_string()] {
            assert_eq!(life_of(&odd), None, "{odd}");
        }
    }
}
