//! Secret values: where they come from, and how they stay out of everything that is printed.
//!
//! A [`SecretRef`] is what the configuration holds (an environment variable, a file, or plain text); it is resolved
//! to a [`Secret`] at the moment of use, so that a rotated file is picked up without a restart. Neither prints its
//! value. Channels' answers can echo a secret: [`Secret::cut_from`] removes it before anything is kept.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

/// What is percent-encoded in an address: everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value that must never be printed, logged or stored.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(SecretString::from(text.into()))
    }

    /// The value itself, for the one line that sends or signs with it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// `text` with every occurrence of the secret, plain, base64 or percent-encoded, replaced by `<secret>`.
    pub fn cut_from(&self, text: &str) -> String {
        let plain = self.expose();
        if plain.len() < 4 {
            // Cutting a text of one or two letters would only shred the message.
            return text.to_string();
        }
        let base64 = base64::engine::general_purpose::STANDARD.encode(plain);
        let mut cut = text.replace(plain, "<secret>").replace(&base64, "<secret>");
        let encoded = utf8_percent_encode(plain, RESERVED).to_string();
        if encoded != plain {
            cut = cut.replace(&encoded, "<secret>");
        }
        cut
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a secret is to be found. Resolved at the moment of use.
#[derive(Clone)]
pub enum SecretRef {
    /// `{ env: NAME }`.
    Env(String),
    /// `{ file: PATH }`; read at each use, surrounding white space trimmed.
    File(PathBuf),
    /// A plain string in the configuration file.
    Inline(Secret),
}

impl SecretRef {
    /// The secret's present value.
    ///
    /// # Errors
    /// When the variable is not set, or the file cannot be read or is empty. The message names the place, never a value.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        match self {
            SecretRef::Inline(secret) => Ok(secret.clone()),
            SecretRef::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
                Ok(_) => Err(SecretError::EnvEmpty(name.clone())),
                Err(_) => Err(SecretError::EnvMissing(name.clone())),
            },
            SecretRef::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| SecretError::File { path: path.clone(), reason: error.to_string() })?;
                match text.trim() {
                    "" => Err(SecretError::File { path: path.clone(), reason: "it is empty".into() }),
                    value => Ok(Secret::new(value)),
                }
            }
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env {name}"),
            SecretRef::File(path) => write!(f, "file {}", path.display()),
            SecretRef::Inline(_) => f.write_str("<secret>"),
        }
    }
}

/// Why a secret has no value just now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    /// The environment does not have the variable.
    #[error("environment variable {0} is not set")]
    EnvMissing(String),
    /// The variable is there and empty.
    #[error("environment variable {0} is empty")]
    EnvEmpty(String),
    /// The file cannot serve.
    #[error("secret file {}: {reason}", path.display())]
    File {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
}
