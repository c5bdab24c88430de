//! Secret values: where they come from, and how they stay out of everything that is printed.
//!
//! A [`SecretRef`] is what the configuration holds (an environment variable, a file, or plain text); it is resolved
//! to a [`Secret`] at the moment of use, so that a rotated file is picked up without a restart. Neither prints its
//! value. A server's response can echo a secret: [`Secrets`] removes those of one request from it.

mod secrets;
mod value;

use std::fmt;
use std::path::PathBuf;

pub use secrets::Secrets;
pub use value::Secret;

/// Where a secret is to be found. Resolved at the moment of use.
#[derive(Clone)]
pub enum SecretRef {
    /// `{ env: NAME }`; surrounding white space trimmed.
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
                Ok(value) => bare(&value).map(Secret::new).ok_or_else(|| SecretError::EnvEmpty(name.clone())),
                Err(_) => Err(SecretError::EnvMissing(name.clone())),
            },
            SecretRef::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| SecretError::File { path: path.clone(), reason: error.to_string() })?;
                let empty = || SecretError::File { path: path.clone(), reason: "it is empty".into() };
                bare(&text).map(Secret::new).ok_or_else(empty)
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

/// A value as it is meant: editors and shells leave a byte order mark before it and white space around it.
fn bare(text: &str) -> Option<&str> {
    let bare = text.trim_start_matches('\u{feff}').trim();
    (!bare.is_empty()).then_some(bare)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_trimmed_wherever_it_comes_from() {
        for text in ["canary", " canary\n", "\u{feff}canary\r\n", "\u{feff} canary"] {
            assert_eq!(bare(text), Some("canary"), "{text:?}");
        }
        for text in ["", " \n", "\u{feff}", "\u{feff}\r\n"] {
            assert_eq!(bare(text), None, "{text:?}");
        }
    }
}
