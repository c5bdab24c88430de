//! Why a request could not be given a proof.
//!
//! Plain data.

use crate::http::HttpError;

/// What kind of trouble there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IamErrorKind {
    /// The configuration is wrong: an address, a project, a secret without a value.
    Configuration,
    /// The sign-in service does not know the user, or does not let the user in.
    Refused,
    /// The sign-in service has trouble of its own.
    Transient,
    /// Something that is no sign-in service answered.
    BadAnswer,
    /// The sign-in service gave no answer.
    Unreachable(HttpError),
}

/// Why a request could not be given a proof. Holds no URL and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamError {
    /// The class.
    pub kind: IamErrorKind,
    /// What happened, in words.
    pub message: String,
    /// What the user can do, where there is something.
    pub help: Option<String>,
}

impl IamError {
    pub(super) fn new(kind: IamErrorKind, message: impl Into<String>, help: impl Into<String>) -> IamError {
        IamError { kind, message: message.into(), help: Some(help.into()) }
    }
}

impl std::fmt::Display for IamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{} ({help})", self.message),
            None => f.write_str(&self.message),
        }
    }
}
