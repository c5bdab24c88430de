//! How a request proves who asks, at the moment when it is sent.
//!
//! Reads, for each request, the present value of secrets; makes the sign-in's own request when a token or a cookie must be
//! got. It must never know what the requests are for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Request;
use reqwest::header::HOST;

use super::auth::{AuthSettings, Login, Yields};
use super::build::put_header;
use super::fill::Values;
use crate::http::{Response, host_of};
use crate::secret::{Secret, Secrets};
use crate::sign::Signable;
use crate::sign::alibaba::{
    CONTENT_HEADER, DATE_HEADER, NONCE_HEADER, TOKEN_HEADER, authorization, content_hash, date_text, nonce_text,
};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit;
use crate::source::kit::fault::{configuration, resolved};
use crate::source::kit::json::Json;
use crate::source::kit::session::{Granted, Session};

const HELP_SIGN_IN: &str =
    "check the user and the password in \"auth\"; they are tried again in 15 minutes, or at once when they change";

/// What a proof needs beside the settings.
pub(super) struct Moment<'a> {
    pub(super) kit: kit::Moment<'a>,
    /// The address of the list, whose host a mere path is asked of.
    pub(super) base: &'a reqwest::Url,
}

impl AuthSettings {
    /// Puts the proof into a request and its secrets beside it. Returns the token that can be renewed, where one was used.
    pub(super) async fn prove(
        &self,
        session: &Session,
        moment: &Moment<'_>,
        request: &mut Request,
        query: &[(String, String)],
        secrets: &mut Secrets,
    ) -> Result<Option<Secret>, SourceError> {
        match self {
            AuthSettings::None => {}
            AuthSettings::Basic { user, password } => {
                basic(request, &resolved("auth.user", user)?, &resolved("auth.password", password)?, secrets)?;
            }
            AuthSettings::Bearer(token) => {
                let token = resolved("auth.token", token)?;
                put_header(request, "authorization", &format!("Bearer {}", token.expose()), true)?;
                secrets.push(&token);
            }
            AuthSettings::Header { name, value } => {
                let value = resolved("auth.value", value)?;
                put_header(request, name, value.expose(), true)?;
                secrets.push(&value);
            }
            AuthSettings::Login(login) => {
                let (user, password) =
                    (resolved("auth.login.user", &login.user)?, resolved("auth.login.password", &login.password)?);
                let credentials = Secret::new(format!("{}\n{}", user.expose(), password.expose()));
                let sign_in = async || login.sign_in(moment, &user, &password).await;
                let token = session.token(moment.kit.now, &credentials, sign_in).await?;
                secrets.push(&token);
                match &login.yields {
                    Yields::Cookie(name) => put_header(request, "cookie", &format!("{name}={}", token.expose()), true)?,
                    Yields::Token(_) => {
                        put_header(request, &login.header, &format!("{}{}", login.prefix, token.expose()), true)?
                    }
                }
                return Ok(Some(token));
            }
            AuthSettings::Acs3 { access_key, secret_key, security_token } => {
                let (access_key, secret_key) =
                    (resolved("auth.acs3.access_key", access_key)?, resolved("auth.acs3.secret_key", secret_key)?);
                let token =
                    security_token.as_ref().map(|token| resolved("auth.acs3.security_token", token)).transpose()?;
                sign(request, query, moment.kit.now, &access_key, &secret_key, token.as_ref())?;
                secrets.extend([&secret_key, &access_key].into_iter().chain(token.as_ref()));
            }
        }
        Ok(None)
    }
}

fn basic(request: &mut Request, user: &Secret, password: &Secret, secrets: &mut Secrets) -> Result<(), SourceError> {
    let pair = Secret::new(format!("{}:{}", user.expose(), password.expose()));
    put_header(request, "authorization", &format!("Basic {}", STANDARD.encode(pair.expose())), true)?;
    secrets.extend([&pair, password]);
    Ok(())
}

/// Signs a request by ACS3-HMAC-SHA256, its own `x-acs-*` headers among what is signed.
fn sign(
    request: &mut Request,
    query: &[(String, String)],
    now: Timestamp,
    access_key: &Secret,
    secret_key: &Secret,
    token: Option<&Secret>,
) -> Result<(), SourceError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| {
        SourceError::new(SourceErrorKind::Transient, "the system gives no random bytes for a signature")
    })?;
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec();
    let mut headers = vec![
        (HOST.to_string(), host_of(request.url())),
        (DATE_HEADER.to_string(), date_text(now)),
        (NONCE_HEADER.to_string(), nonce_text(random)),
        (CONTENT_HEADER.to_string(), content_hash(&body)),
    ];
    headers.extend(token.map(|token| (TOKEN_HEADER.to_string(), token.expose().to_string())));
    for (name, text) in &headers {
        put_header(request, name, text, name == TOKEN_HEADER)?;
    }
    let own = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-acs-"));
    let own = own.filter(|(name, _)| headers.iter().all(|(known, _)| known != name.as_str()));
    let own: Vec<_> =
        own.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_string())).collect();
    headers.extend(own);
    let method = request.method().clone();
    let signable = Signable { method: method.as_str(), path: "/", query, headers: &headers, body: &body };
    let proof = authorization(&signable, access_key.expose(), secret_key.expose());
    put_header(request, "authorization", &proof, true)
}

impl Login {
    async fn sign_in(&self, moment: &Moment<'_>, user: &Secret, password: &Secret) -> Result<Granted, SourceError> {
        let text = |secret: &Secret| Some(secret.expose().to_string());
        let values = Values { user: text(user), password: text(password), ..Values::default() };
        let (mut request, mut secrets, _) = self.request.build(moment.base, &values, None)?;
        if self.is_basic {
            basic(&mut request, user, password, &mut secrets)?;
        }
        secrets.push(password);
        let answer = moment.kit.sign_in(request, secrets).await?;
        self.judge(&answer)?;
        let token = match &self.yields {
            Yields::Cookie(name) => cookie(&answer, name),
            Yields::Token(pointer) => {
                let json = Json::read(answer.secret_text().expose().as_bytes());
                let word = json.ok().and_then(|json| pointer.word(&json.root()).map(std::borrow::Cow::into_owned));
                word.filter(|word| !word.is_empty()).map(Secret::new)
            }
        };
        let token = token.ok_or_else(|| self.without(&answer))?;
        let told = self.expires_in.as_ref().and_then(|pointer| {
            let json = Json::read(answer.secret_text().expose().as_bytes()).ok()?;
            pointer.find(&json.root())?.count()
        });
        Ok(Granted { token, life: told.map(Duration::from_secs).or(self.lifetime) })
    }

    fn judge(&self, answer: &Response) -> Result<(), SourceError> {
        let is_cookie = matches!(self.yields, Yields::Cookie(_));
        let words = || format!("the sign-in was answered with HTTP {}: {}", answer.status, answer.excerpt());
        match answer.status {
            200..300 => Ok(()),
            // A page that one is led to after a sign-in; the cookie came before it.
            300..400 if is_cookie => Ok(()),
            400 | 401 | 403 => Err(SourceError::new(SourceErrorKind::Credentials, words()).help(HELP_SIGN_IN)),
            408 | 429 | 500..600 => Err(SourceError::new(SourceErrorKind::Transient, words())),
            _ => Err(configuration(words()).help("check the address of the sign-in in \"auth\"")),
        }
    }

    /// The error that an answer is which has neither token nor cookie: a refusal with HTTP 200, most of the time.
    fn without(&self, answer: &Response) -> SourceError {
        let (what, words) = match &self.yields {
            Yields::Cookie(name) => (format!("cookie {name}"), answer.excerpt()),
            // What the answer holds instead of a token may be one under another name.
            Yields::Token(pointer) => (format!("token at {pointer}"), String::new()),
        };
        let words = if words.is_empty() { String::new() } else { format!(": {words}") };
        SourceError::new(SourceErrorKind::Credentials, format!("the sign-in gave no {what}{words}")).help(HELP_SIGN_IN)
    }
}

/// The value of a cookie that an answer sets.
fn cookie(answer: &Response, name: &str) -> Option<Secret> {
    answer.secret_headers("set-cookie").iter().find_map(|header| {
        let (found, value) = header.expose().split(';').next()?.split_once('=')?;
        let value = value.trim();
        (found.trim() == name && !value.is_empty() && value != "deleted").then(|| Secret::new(value))
    })
}
