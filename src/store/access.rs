//! Who may look and act over the web: tokens, and the sessions that were begun with them.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{LabelMatch, Role};

/// Tokens and sessions. All are named by the SHA-256 of what their holder shows, in hexadecimal digits.
pub trait Access: Send + Sync {
    /// Records a token.
    fn add_token(&self, new: &NewToken, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All tokens, the newest first, also those that hold no more.
    fn tokens(&self) -> impl Future<Output = Result<Vec<TokenRecord>, StoreError>> + Send;

    /// Ends the tokens whose hash begins with `prefix`, and the sessions begun with them. Returns those that ended.
    fn revoke_tokens(
        &self,
        prefix: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<TokenRecord>, StoreError>> + Send;

    /// The token of this hash, if it holds at `now`.
    fn token(&self, hash: &str, now: Timestamp)
    -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;

    /// Begins a session, and forgets those that are over.
    fn begin_session(
        &self,
        session: &str,
        token: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The token with which the session of this hash was begun, if both hold at `now`.
    fn session(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;

    /// The key that links in messages are signed with: the one that is kept, or `fresh` from now on.
    fn link_key(&self, fresh: &str) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// Ends a session.
    fn end_session(&self, hash: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A token that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// SHA-256 of it.
    pub hash: String,
    /// Who it is for.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Which alerts and jobs they see, by labels; empty, all of them.
    pub scope: LabelMatch,
    /// When it ceases to hold; none for never.
    pub expires_at: Option<Timestamp>,
}

/// A token, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// SHA-256 of it.
    pub hash: String,
    /// Who it is for.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Which alerts and jobs they see, by labels; empty, all of them.
    pub scope: LabelMatch,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ceases to hold; none for never.
    pub expires_at: Option<Timestamp>,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    /// How it stands at `now`, in one word.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(end)) if end <= now => "expired",
            _ => "active",
        }
    }

    /// By what people name it: the beginning of its hash.
    pub fn short(&self) -> &str {
        self.hash.get(..8).unwrap_or(&self.hash)
    }
}
