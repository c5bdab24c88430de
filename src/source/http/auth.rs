//! The key `auth`: how a request proves who asks.
//!
//! Reads keys of the configuration and reports what is wrong with them; resolves no secret.

use std::time::Duration;

use super::fill::{Name, Template};
use super::pointer::Pointer;
use super::request::{Body, REQUEST, RequestSettings};
use crate::secret::SecretRef;
use crate::source::kit::settings::ALIBABA_KEYS;
use crate::yaml::{Key, Keys, Section, Shape, closest};

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

static ACS3: Keys = Keys::of("http_acs3", "Alibaba Cloud's signature.", &[ALIBABA_KEYS]);

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
    pub(super) request: RequestSettings,
    pub(super) user: SecretRef,
    pub(super) password: SecretRef,
    /// Whether user and password go as HTTP's own, and not in places of the request.
    pub(super) is_basic: bool,
    pub(super) yields: Yields,
    /// Where the answer says for how many seconds it is good.
    pub(super) expires_in: Option<Pointer>,
    /// How long it is taken to be good otherwise.
    pub(super) lifetime: Option<Duration>,
    pub(super) header: String,
    pub(super) prefix: String,
}

/// What a sign-in yields.
#[derive(Debug, Clone)]
pub(super) enum Yields {
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
