//! The part of a section that says how to sign in to Huawei Cloud: its key `auth`.
//!
//! Reads keys and reports what is wrong with them; contacts nobody and resolves no secret.

use super::hosts::endpoint_of;
use crate::http::{checked_endpoint, is_region};
use crate::secret::{Secret, SecretRef};
use crate::yaml::{FromYaml as _, Key, Keys, Located, Section, Shape, Value};

/// The key `auth` of what signs in to Huawei Cloud.
pub const AUTH: Key = Key::new("auth", Shape::Mapping(&KEYS), "How requests prove who asks: keys, a token, or a user.")
    .required()
    .example("{ access_key: { env: HW_AK }, secret_key: { env: HW_SK } }");

static KEYS: Keys = Keys::of(
    "auth_huawei",
    "How requests prove who asks: keys, a token, or a user.",
    &[&[
        Key::new("access_key", Shape::Secret, "The access key (AK).")
            .example("{ env: HW_AK }")
            .also(&["ak", "access_key_id"]),
        Key::new("secret_key", Shape::Secret, "The secret key (SK), which signs requests.")
            .example("{ env: HW_SK }")
            .also(&["sk", "secret", "access_key_secret"]),
        Key::new("security_token", Shape::Secret, "Comes with a temporary access key."),
        Key::new("token", Shape::Secret, "An IAM token instead of keys; a file is read again when it changes."),
        Key::new("user", Shape::Secret, "The name of an IAM user with programmatic access."),
        Key::new("password", Shape::Secret, "The user's password.").example("{ env: IAM_PASSWORD }"),
        Key::new("domain", Shape::Secret, "The name of the account that the user belongs to."),
        Key::new("iam_endpoint", Shape::Text, "Where the user signs in, instead of the region's own host."),
    ]],
)
.any_of(&[&["access_key", "secret_key"], &["token"], &["user", "password", "domain"]]);

/// How requests prove who asks.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Each request is signed.
    Key {
        /// Names the key.
        access_key: SecretRef,
        /// Signs with it.
        secret_key: SecretRef,
        /// Comes with temporary keys.
        security_token: Option<SecretRef>,
    },
    /// Each request carries a token; read again at each use, so that a file can be replaced.
    Token(SecretRef),
    /// Each request carries a token that an IAM user's password gets, renewed in time.
    Password {
        /// Where to sign in; scheme, host and port without a slash at the end.
        iam_endpoint: String,
        /// The user's name.
        user: SecretRef,
        /// The user's password.
        password: SecretRef,
        /// The name of the account that the user belongs to.
        domain: SecretRef,
    },
}

/// The keys of each way to sign in.
const WAYS: [&[&str]; 3] =
    [&["token"], &["user", "password", "domain", "iam_endpoint"], &["access_key", "secret_key", "security_token"]];

impl Auth {
    /// Reads the key `auth` of a section, which must have it. The section's `region` tells where a user signs in, unless
    /// `auth` does.
    pub fn read(section: &Section<'_>) -> Option<Auth> {
        let auth = section.required_section("auth")?;
        let way = WAYS.iter().position(|keys| keys.iter().any(|key| auth.has(key))).unwrap_or(2);
        for key in WAYS[way + 1..].iter().flat_map(|keys| keys.iter()).filter(|key| auth.has(key)) {
            let first = WAYS[way].iter().find(|key| auth.has(key)).unwrap_or(&"");
            auth.error(key, format!("both {first:?} and {key:?} are given"), Some("keep one way to sign in".into()));
        }
        let read = match way {
            0 => auth.required("token").map(Auth::Token),
            1 => read_password(section, &auth),
            _ => {
                let (access_key, secret_key) = (auth.required("access_key"), auth.required("secret_key"));
                let security_token = auth.optional("security_token");
                access_key.zip(secret_key).map(|(access_key, secret_key)| Auth::Key {
                    access_key,
                    secret_key,
                    security_token,
                })
            }
        };
        // Asked for, so that the keys of the other ways are not called unknown.
        for key in WAYS.iter().flat_map(|keys| keys.iter()) {
            let _ = auth.node(key);
        }
        auth.close();
        read
    }

    /// What must have a value before anything can be asked, each with its key within the section.
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let named = |key: &str| format!("auth.{key}");
        match self {
            Auth::Token(token) => vec![(named("token"), token)],
            Auth::Password { user, password, domain, .. } => {
                vec![(named("user"), user), (named("password"), password), (named("domain"), domain)]
            }
            Auth::Key { access_key, secret_key, security_token } => {
                let mut secrets = vec![(named("access_key"), access_key), (named("secret_key"), secret_key)];
                secrets.extend(security_token.iter().map(|token| (named("security_token"), token)));
                secrets
            }
        }
    }
}

fn read_password(section: &Section<'_>, auth: &Section<'_>) -> Option<Auth> {
    let (user, password) = (read_name(auth, "user"), auth.required("password"));
    let domain = read_name(auth, "domain");
    let iam_endpoint = match section.optional::<String>("region").filter(|region| is_region(region)) {
        _ if auth.has("iam_endpoint") => {
            checked_endpoint(auth, "iam_endpoint", &auth.optional::<String>("iam_endpoint")?)
        }
        Some(region) => Some(endpoint_of("iam", &region)),
        None if section.has("region") => None,
        None => {
            let help = "without \"region\", say where to sign in, as in iam_endpoint: https://iam.example.com";
            auth.missing("iam_endpoint", Some(help.into()));
            None
        }
    };
    Some(Auth::Password { iam_endpoint: iam_endpoint?, user: user?, password: password?, domain: domain? })
}

/// A value that is no secret but often told by the environment: one in plain text earns no warning.
pub fn read_name(section: &Section<'_>, key: &'static str) -> Option<SecretRef> {
    let Some(node) = section.node(key) else { return section.required(key) };
    match &node.value {
        Value::Scalar(scalar) if scalar.text.is_empty() => {
            section.error(key, "it is empty", None);
            None
        }
        Value::Scalar(scalar) => Some(SecretRef::Inline(Secret::new(scalar.text.clone()))),
        _ => SecretRef::from_yaml(Located { node, path: &section.path_of(key), findings: section.findings() }),
    }
}
