//! How a simulated workspace is set up.
//!
//! Data only.

use std::time::Duration;

use super::dialect::Dialect;

/// What the simulated server takes `offset` for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetMeaning {
    /// A number of records.
    Records,
    /// A number of pages of `limit` records.
    Pages,
}

/// In which order the instance list comes. The documents name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// The latest plan time first.
    NewestFirst,
    /// The earliest plan time first.
    OldestFirst,
    /// Without a rule, the same at each request.
    Shuffled,
    /// Without a rule, and another one at each request.
    ShuffledAnew,
}

/// An IAM user.
#[derive(Debug, Clone)]
pub struct SimUser {
    /// The user's name.
    pub name: String,
    /// The user's password.
    pub password: String,
    /// The account's name.
    pub domain: String,
    /// How long a token of this user is good.
    pub token_life: Duration,
}

/// How a simulated workspace behaves.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// The project it belongs to.
    pub project_id: String,
    /// Its id, which the header `workspace` names.
    pub workspace: String,
    /// Whether a request without the header is refused.
    pub workspace_required: bool,
    /// The access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Set for a temporary key, whose requests must carry and sign it.
    pub security_token: Option<String>,
    /// The token that is taken in place of a signature.
    pub token: Option<String>,
    /// The user that can sign in with a password for a token.
    pub user: Option<SimUser>,
    /// What `offset` counts.
    pub offset: OffsetMeaning,
    /// In which order instances are listed.
    pub order: ListOrder,
    /// How the answers are worded.
    pub dialect: Dialect,
    /// Requests that the gateway bears in a minute; any number when absent.
    pub requests_per_minute: Option<usize>,
    /// The largest page that is given, whatever `limit` says.
    pub page_max: usize,
    /// Whether the window of a list means start times, so that it shows no instance that waits.
    pub window_by_start: bool,
    /// The longest window that is accepted, in days.
    pub span_days: i64,
    /// Milliseconds in one unit of `executeTime`.
    pub execute_time_unit: i64,
    /// Whether a list of a job that is not there is refused.
    pub unknown_jobs_refused: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        SimConfig {
            project_id: "b384b9e9ab9b4ee8994c8633aabc9505".into(),
            workspace: "1dd3bc0000000000000000000000d93f".into(),
            workspace_required: false,
            access_key: "SIMULATEDACCESSKEY00".into(),
            secret_key: "simulated-secret-key-of-the-workspace".into(),
            security_token: None,
            token: None,
            user: None,
            offset: OffsetMeaning::Records,
            order: ListOrder::NewestFirst,
            dialect: Dialect::Present,
            requests_per_minute: None,
            page_max: 1000,
            window_by_start: false,
            span_days: 7,
            execute_time_unit: 60_000,
            unknown_jobs_refused: false,
        }
    }
}
