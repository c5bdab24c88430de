//! The key `auth`: how a request proves who asks.
//!
//! Reads keys of the configuration and, for each request, the present value of secrets; makes the sign-in's own request
//! when a token or a cookie must be got. It must never know what the requests are for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Request;
use reqwest::header::HOST;

use super::fill::{Name, Template, Values};
use super::pointer::Pointer;
use super::request::{Body, REQUEST, RequestSettings, put_header};
use crate::http::{Response, host_of};
use crate::secret::{Secret, SecretRef, Secrets};
use crate::sign::Signable;
use crate::sign::alibaba::{
    CONTENT_HEADER, DATE_HEADER, NONCE_HEADER, TOKEN_HEADER, authorization, content_hash, date_text, nonce_text,
};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit;
use crate::source::kit::fault::{configuration, resolved};
use crate::source::kit::json::Json;
use crate::source::kit::session::{Granted, Session};
use crate::yaml::{Key, Keys, Section, Shape, closest};

const HELP_SIGN_IN: &str =
    "check the user and the password in \"auth\"; they are tried again in 15 minutes, or at once when they change";
const METHODS: [&str; 6] = ["user", "token", "header", "login", "oauth2", "acs3"];

/// The keys of `auth`.
pub(super) static AUTH: Keys = Keys::of(
    "http_auth",
    "How requests prove who asks: in one of six ways.",
    &[&[
        Key::new("user", Shape::Secret, "The user of HTTP's own sign-in."),
        Key::new("password", Shape::Secret, "The user's password."),
        Key::new("token", Shape::Secret, "A token after the word Bearer; a file is read again at each request."),
        Key::new("header", Shape::Text, "The name of a header that proves it."),
        Key::new("value", Shape::Secret, "What that header says."),
        Key::new("login", Shape::Mapping(&LOGIN), "A request that yields a token or a cookie."),
        Key::new("oauth2", Shape::Mapping(&OAUTH2), "OAuth 2's grant to a client."),
        Key::new("acs3", Shape::Mapping(&ACS3), "Alibaba Cloud's signature."),
    ]],
)
.any_of(&[&["user", "password"], &["token"], &["header", "value"], &["login"], &["oauth2"], &["acs3"]]);

static LOGIN: Keys = Keys::of(
    "http_login",
    "A request that yields a token or a cookie; its places are {{user}} and {{password}}.",
    &[
        REQUEST,
        &[
            Key::new("user", Shape::Secret, "Who signs in.").required().example("{ env: SCHEDULER_USER }"),
            Key::new("password", Shape::Secret, "The user's password.")
                .required()
                .example("{ env: SCHEDULER_PASSWORD }"),
            Key::new("token", Shape::Text, "Where the answer has the token."),
            Key::new("cookie", Shape::Text, "The name of the cookie that the answer sets."),
            Key::new("expires_in", Shape::Text, "Where the answer says for how many seconds it is good."),
            Key::new("lifetime", Shape::Duration, "How long it is good, where the answer does not say."),
            Key::new("header", Shape::Text, "The header in which the token is sent.").default("Authorization"),
            Key::new("prefix", Shape::Text, "What stands before it there; Bearer and a space in Authorization."),
        ],
    ],
)
.any_of(&[&["token"], &["cookie"]]);

static OAUTH2: Keys = Keys::of(
    "http_oauth2",
    "OAuth 2's grant to a client.",
    &[&[
        Key::new("token_url", Shape::Text, "Where tokens are given.")
            .required()
            .example("https://scheduler.example.com/oauth/token"),
        Key::new("client_id", Shape::Secret, "The client.").required().example("{ env: CLIENT_ID }"),
        Key::new("client_secret", Shape::Secret, "The client's secret.").required().example("{ env: CLIENT_SECRET }"),
        Key::new("scope", Shape::Text, "What the token is for."),
    ]],
);

static ACS3: Keys = Keys::of(
    "http_acs3",
    "Alibaba Cloud's signature.",
    &[&[
        Key::new("access_key", Shape::Secret, "The AccessKey's id.").required().example("{ env: ALIBABA_AK }"),
        Key::new("secret_key", Shape::Secret, "The AccessKey's secret.").required().example("{ env: ALIBABA_SK }"),
        Key::new("security_token", Shape::Secret, "Comes with temporary (STS) keys."),
    ]],
);

/// How a request proves who asks.
#[derive(Debug, Clone)]
pub(super) enum AuthSettings {
    None,
    /// HTTP's own user and password.
    Basic {
        user: SecretRef,
        password: SecretRef,
    },
    /// A token after the word `Bearer`.
    Bearer(SecretRef),
    /// A header of any name.
    Header {
        name: String,
        value: SecretRef,
    },
    /// A request that yields a token or a cookie.
    Login(Box<Login>),
    /// A signature of Alibaba Cloud's.
    Acs3 {
        access_key: SecretRef,
        secret_key: SecretRef,
        security_token: Option<SecretRef>,
    },
}

/// A sign-in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    request: RequestSettings,
    user: SecretRef,
    password: SecretRef,
    /// Whether user and password go as HTTP's own, and not in places of the request.
    is_basic: bool,
    yields: Yields,
    /// Where the answer says for how many seconds it is good.
    expires_in: Option<Pointer>,
    /// How long it is taken to be good otherwise.
    lifetime: Option<Duration>,
    header: String,
    prefix: String,
}

#[derive(Debug, Clone)]
enum Yields {
    Token(Pointer),
    Cookie(String),
}

impl AuthSettings {
    /// Reads the key `auth` of a source; `None` means reported.
    pub(super) fn read(section: &Section<'_>) -> Option<AuthSettings> {
        if !section.has("auth") {
            let _ = section.node("auth");
            return Some(AuthSettings::None);
        }
        let auth = section.section("auth")?;
        let found: Vec<&str> = METHODS.into_iter().filter(|method| auth.has(method)).collect();
        let [method] = found.as_slice() else {
            let written = auth.entries().iter().find_map(|entry| closest(&entry.key, METHODS));
            let near = written.filter(|_| found.is_empty()).map(|near| format!("did you mean {near:?}?"));
            let help = near.unwrap_or_else(|| format!("one of {}", METHODS.join(", ")));
            auth.error(
                "",
                if found.is_empty() { "no way to sign in is given" } else { "several ways to sign in are given" },
                Some(help),
            );
            return None;
        };
        let read = match *method {
            "user" => {
                let (user, password) = (auth.required("user"), auth.required("password"));
                Some(AuthSettings::Basic { user: user?, password: password? })
            }
            "token" => auth.required("token").map(AuthSettings::Bearer),
            "header" => {
                let (name, value) = (auth.required::<String>("header"), auth.required("value"));
                Some(AuthSettings::Header { name: name?, value: value? })
            }
            "login" => {
                auth.section("login").and_then(|login| read_login(&login)).map(|it| AuthSettings::Login(Box::new(it)))
            }
            "oauth2" => auth
                .section("oauth2")
                .and_then(|oauth2| read_oauth2(&oauth2))
                .map(|it| AuthSettings::Login(Box::new(it))),
            _ => auth.section("acs3").and_then(|acs3| {
                let (access_key, secret_key) = (acs3.required("access_key"), acs3.required("secret_key"));
                let security_token = acs3.optional("security_token");
                acs3.close();
                Some(AuthSettings::Acs3 { access_key: access_key?, secret_key: secret_key?, security_token })
            }),
        };
        auth.close();
        read
    }

    /// What must have a value, each with its key.
    pub(super) fn secrets(&self) -> Vec<(String, &SecretRef)> {
        match self {
            AuthSettings::None => Vec::new(),
            AuthSettings::Basic { user, password } => {
                vec![("auth.user".to_string(), user), ("auth.password".to_string(), password)]
            }
            AuthSettings::Bearer(token) => vec![("auth.token".to_string(), token)],
            AuthSettings::Header { value, .. } => vec![("auth.value".to_string(), value)],
            AuthSettings::Login(login) => {
                let mut all = login.request.secrets();
                all.extend([
                    ("auth.login.user".to_string(), &login.user),
                    ("auth.login.password".to_string(), &login.password),
                ]);
                all
            }
            AuthSettings::Acs3 { access_key, secret_key, security_token } => {
                let mut all = vec![
                    ("auth.acs3.access_key".to_string(), access_key),
                    ("auth.acs3.secret_key".to_string(), secret_key),
                ];
                all.extend(security_token.iter().map(|token| ("auth.acs3.security_token".to_string(), token)));
                all
            }
        }
    }
}

fn read_login(section: &Section<'_>) -> Option<Login> {
    let request = RequestSettings::read(section, &[Name::User, Name::Password]);
    let (user, password) = (section.required("user"), section.required("password"));
    let (token, cookie) = (section.optional::<Pointer>("token"), section.optional::<String>("cookie"));
    let (expires_in, lifetime) = (section.optional("expires_in"), section.optional("lifetime"));
    let header = section.optional::<String>("header");
    let prefix = section.optional::<String>("prefix");
    let yields = match (token, cookie) {
        (Some(token), None) => Some(Yields::Token(token)),
        (None, Some(cookie)) => Some(Yields::Cookie(cookie)),
        (token, _) => {
            let words = if token.is_some() {
                "both \"token\" and \"cookie\" are given"
            } else {
                "what the sign-in yields is not said"
            };
            section.error("", words, Some("write token: /pointer, or cookie: NAME".into()));
            None
        }
    };
    section.report_unknown();
    let request = request?;
    let is_basic = !request.names().contains(&Name::Password);
    let default_prefix = if header.is_none() { "Bearer " } else { "" };
    Some(Login {
        is_basic,
        request,
        user: user?,
        password: password?,
        yields: yields?,
        expires_in,
        lifetime,
        header: header.unwrap_or_else(|| "Authorization".to_string()),
        prefix: prefix.unwrap_or_else(|| default_prefix.to_string()),
    })
}

/// OAuth 2's grant to a client, RFC 6749 section 4.4: the client's own credentials go as HTTP's user and password.
fn read_oauth2(section: &Section<'_>) -> Option<Login> {
    let url = section.required::<Template>("token_url");
    let (user, password) = (section.required("client_id"), section.required("client_secret"));
    let scope = section.optional::<String>("scope");
    section.report_unknown();
    let plain = |text: &str| Template::parse(text).ok();
    let mut form = vec![("grant_type".to_string(), plain("client_credentials")?)];
    form.extend(scope.and_then(|scope| Some(("scope".to_string(), plain(&scope)?))));
    let request = RequestSettings {
        method: reqwest::Method::POST,
        url: url?,
        query: Vec::new(),
        headers: Vec::new(),
        body: Body::Form(form),
        success: None,
    };
    Some(Login {
        request,
        user: user?,
        password: password?,
        is_basic: true,
        yields: Yields::Token(Pointer::parse("/access_token").ok()?),
        expires_in: Pointer::parse("/expires_in").ok(),
        lifetime: None,
        header: "Authorization".to_string(),
        prefix: "Bearer ".to_string(),
    })
}

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
