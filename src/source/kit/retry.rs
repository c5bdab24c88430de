//! How long a source waits for an answer, and when it asks once more.
//!
//! Sleeps between two tries and sends nothing itself.

use std::time::Duration;

use crate::http::HttpError;
use crate::limits::{SOURCE_REQUEST_TIMEOUT, SOURCE_RETRY_PAUSE, SOURCE_RETRY_PAUSE_MAX};
use crate::source::contract::SourceError;

/// How long a request is waited for, and how long before it is made once more.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From connecting to the last byte.
    pub timeout: Duration,
    /// Before the one retry, when the service names no pause.
    pub retry_pause: Duration,
    /// How long everybody of a pace waits after a refusal for too many requests, when the service names no pause.
    pub throttled_pause: Duration,
}

impl Patience {
    /// One that waits for answers and makes no pauses.
    pub const fn without_pauses(timeout: Duration) -> Patience {
        Patience { timeout, retry_pause: Duration::ZERO, throttled_pause: Duration::ZERO }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Patience { timeout: SOURCE_REQUEST_TIMEOUT, retry_pause: SOURCE_RETRY_PAUSE, throttled_pause: Duration::ZERO }
    }
}

/// Whether a failed request is worth making once more within the same poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Retry {
    No,
    /// After a pause.
    Once,
    /// Without one: what was wrong is mended.
    AtOnce,
}

/// Whether a request without an answer is worth making once more: not when it took all its time already.
pub(in crate::source) fn retry_of(error: &HttpError) -> Retry {
    if matches!(error, HttpError::Connect(_) | HttpError::Broken(_)) { Retry::Once } else { Retry::No }
}

/// Makes a request, and once more where that is worth it: after the pause that the service asks for, if it is a short one.
pub(in crate::source) async fn once_more<T, F>(patience: Patience, request: impl Fn() -> F) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, (SourceError, Retry)>>,
{
    let (error, retry) = match request().await {
        Ok(answer) => return Ok(answer),
        Err(failed) => failed,
    };
    let pause = match retry {
        Retry::No => return Err(error),
        Retry::AtOnce => Duration::ZERO,
        Retry::Once => error.retry_after.unwrap_or(patience.retry_pause),
    };
    if pause > SOURCE_RETRY_PAUSE_MAX {
        return Err(error);
    }
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    request().await.map_err(|(error, _)| error)
}
