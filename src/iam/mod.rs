//! Proving to Huawei Cloud's services who asks: by a signature, by a token, or by a user's password that gets a token.
//!
//! ```text
//! Auth (the configuration's key "auth") -> Caller -> Proof: the headers of one request, and the secrets in them
//!                                            | password
//!                                         sign_in: POST /v3/auth/tokens
//! ```
//!
//! Reads, for each request, the present value of the secrets, and talks to the sign-in service only. It must never know
//! what the requests are for: the DataArts source and the SMN receiver share it.

mod complaint;
mod error;
mod hosts;
mod settings;
mod sign_in;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HOST};
use reqwest::{Request, Url};

pub use complaint::Complaint;
pub use error::{IamError, IamErrorKind};
pub use hosts::{PLACE, PLACES, endpoint_of, read_endpoint};
pub use settings::{AUTH, Auth, read_name};

use self::sign_in::{Person, SignIn};
use crate::http::{HttpClient, Outgoing, Response, host_of, set_headers};
use crate::lock::locked;
use crate::secret::{Secret, SecretRef, Secrets};
use crate::sign::Signable;
use crate::sign::huawei::{DATE_HEADER, authorization, date_text};

/// Somebody who asks, with what is held from one request to the next.
#[derive(Debug)]
pub struct Caller {
    auth: Auth,
    /// Whom it signed in as last, where it signs in.
    sign_in: Mutex<Option<Arc<SignIn>>>,
    /// A refusal of an earlier run that nobody has asked for yet.
    recalled: Mutex<Option<String>>,
}

/// The request that is to be proven.
pub struct Ask<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its address, query and all.
    pub url: &'a Url,
    /// The query's keys and values, not encoded.
    pub query: &'a [(String, String)],
    /// The headers that it has anyway; a signature covers them.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: &'a [u8],
    /// The project that it concerns.
    pub project_id: &'a str,
}

/// All headers of a request, and the secrets that are in them.
pub struct Proof {
    headers: Vec<(String, String)>,
    secrets: Secrets,
    /// The token that a password got: when it is called stale, [`Caller::discard`] makes room for another.
    pub token: Option<Secret>,
}

impl Caller {
    /// Somebody who proves it in this way.
    pub fn new(auth: Auth) -> Caller {
        Caller { auth, sign_in: Mutex::default(), recalled: Mutex::default() }
    }

    /// The proof for one request at `now`. Where a token must be got first, `timeout` bounds that.
    ///
    /// # Errors
    /// When a secret has no value, or nobody can be signed in.
    pub async fn prove(
        &self,
        http: &HttpClient,
        timeout: Duration,
        now: Timestamp,
        ask: Ask<'_>,
    ) -> Result<Proof, IamError> {
        let mut headers = ask.headers;
        headers.push(("X-Project-Id".to_string(), ask.project_id.to_string()));
        let mut proof = Proof { headers, secrets: Secrets::new(), token: None };
        match &self.auth {
            Auth::Token(token) => {
                let token = resolve("token", token)?;
                proof.push("X-Auth-Token", token.expose());
                proof.secrets.push(&token);
            }
            Auth::Password { iam_endpoint, user, password, domain } => {
                let person = Person {
                    endpoint: iam_endpoint.clone(),
                    user: resolve("user", user)?.expose().to_string(),
                    password: resolve("password", password)?,
                    domain: resolve("domain", domain)?.expose().to_string(),
                    project_id: ask.project_id.to_string(),
                };
                let token = self.sign_in(&person).token(http, timeout, now, &person).await?;
                proof.push("X-Auth-Token", token.expose());
                proof.token = Some(token.clone());
                proof.secrets.push(&token);
            }
            Auth::Key { access_key, secret_key, security_token } => {
                let access_key = resolve("access_key", access_key)?;
                let secret_key = resolve("secret_key", secret_key)?;
                if let Some(token) = security_token {
                    let token = resolve("security_token", token)?;
                    proof.push("X-Security-Token", token.expose());
                    proof.secrets.push(&token);
                }
                proof.push(DATE_HEADER, &date_text(now));
                proof.push(HOST.as_str(), &host_of(ask.url));
                let Ask { method, url, query, body, .. } = ask;
                let signable = Signable { method, path: url.path(), query, headers: &proof.headers, body };
                let proven = authorization(&signable, access_key.expose(), secret_key.expose());
                proof.push(AUTHORIZATION.as_str(), &proven);
                proof.secrets.extend([&secret_key, &access_key]);
            }
        }
        Ok(proof)
    }

    /// Throws away a token that a service calls stale, unless another one has taken its place already.
    pub async fn discard(&self, stale: &Secret) {
        let sign_in = locked(&self.sign_in).clone();
        if let Some(sign_in) = sign_in {
            sign_in.discard(stale).await;
        }
    }

    /// The token that `answer` calls stale, if the request went out with one that a password got: a token can end before its
    /// time, and every service says so with 401 and words of its own. It is renewed once, at once.
    pub fn stale_token<'a>(answer: &Response, token: Option<&'a Secret>) -> Option<&'a Secret> {
        token.filter(|_| answer.status == 401)
    }

    /// That the password was refused, as a text to be taken along over a restart; nothing when all is well.
    pub fn refusal(&self) -> Option<String> {
        let recalled = locked(&self.recalled).clone();
        recalled.or_else(|| locked(&self.sign_in).as_ref().and_then(|sign_in| sign_in.refusal()))
    }

    /// Takes over what [`Caller::refusal`] said in an earlier run.
    pub fn recall(&self, refusal: &str) {
        *locked(&self.recalled) = Some(refusal.to_string());
    }

    fn sign_in(&self, person: &Person) -> Arc<SignIn> {
        let shared = SignIn::shared(person);
        if let Some(refusal) = locked(&self.recalled).take() {
            shared.recall(&refusal);
        }
        *locked(&self.sign_in) = Some(Arc::clone(&shared));
        shared
    }
}

impl Proof {
    fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_string(), value.to_string()));
    }

    /// The request with the headers in it, and with the secrets in them.
    ///
    /// # Errors
    /// When a value cannot stand in a header.
    pub fn apply(&self, mut request: Request) -> Result<Outgoing, IamError> {
        set_headers(&mut request, &self.headers).map_err(|name| {
            let message = format!("the value for the header {name} cannot be sent");
            IamError::new(IamErrorKind::Configuration, message, "it holds a line break or a control character")
        })?;
        Ok(Outgoing::new(request, self.secrets.clone()))
    }
}

fn resolve(key: &str, secret: &SecretRef) -> Result<Secret, IamError> {
    secret.resolve().map_err(|error| {
        let message = format!("auth.{key}: {error}");
        IamError::new(IamErrorKind::Configuration, message, "give it a value; it is read at each use")
    })
}
