//! A token that a sign-in got, held from one request to the next.
//!
//! Renewed ahead of its end, and once when the service calls it stale. A refusal is not tried again at once: services lock
//! a user after a few wrong passwords. It knows nothing of how the sign-in is made.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::limits::{SIGN_IN_REFUSED_PAUSE, TOKEN_RENEWED_AHEAD};
use crate::secret::Secret;
use crate::source::contract::{SourceError, SourceErrorKind};

/// What a sign-in yields.
#[derive(Debug, Clone)]
pub(in crate::source) struct Granted {
    /// The token, or the cookie.
    pub(in crate::source) token: Secret,
    /// How long it is good, where that is told.
    pub(in crate::source) life: Option<Duration>,
}

/// Somebody who signs in.
#[derive(Debug, Default)]
pub(in crate::source) struct Session {
    /// Held while somebody signs in: the others wait for that token.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    refused: Option<Refused>,
}

#[derive(Debug)]
struct Held {
    token: Secret,
    /// What it was got with.
    credentials: Secret,
    /// From when on another one is got.
    renewed_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Refused {
    credentials: Secret,
    until: Timestamp,
    error: SourceError,
}

impl Session {
    /// The token of `credentials` at `now`; where there is none that is good, `sign_in` gets one.
    ///
    /// # Errors
    /// What `sign_in` says; a refusal is said again for a while without another try, unless the credentials have changed.
    pub(in crate::source) async fn token(
        &self,
        now: Timestamp,
        credentials: &Secret,
        sign_in: impl AsyncFnOnce() -> Result<Granted, SourceError>,
    ) -> Result<Secret, SourceError> {
        let mut state = self.state.lock().await;
        let is_same = |other: &Secret| other.expose() == credentials.expose();
        if let Some(held) = &state.held
            && is_same(&held.credentials)
            && held.renewed_at.is_none_or(|at| now < at)
        {
            return Ok(held.token.clone());
        }
        if let Some(refused) = state.refused.as_ref().filter(|it| is_same(&it.credentials) && now < it.until) {
            return Err(refused.error.clone());
        }
        match sign_in().await {
            Ok(Granted { token, life }) => {
                let renewed_at = life.and_then(|life| now.checked_add(renewed_after(life)).ok());
                state.refused = None;
                state.held = Some(Held { token: token.clone(), credentials: credentials.clone(), renewed_at });
                Ok(token)
            }
            Err(error) => {
                state.held = None;
                if error.kind == SourceErrorKind::Credentials {
                    let until = now.checked_add(SIGN_IN_REFUSED_PAUSE).unwrap_or(now);
                    state.refused = Some(Refused { credentials: credentials.clone(), until, error: error.clone() });
                }
                Err(error)
            }
        }
    }

    /// Throws away a token that the service calls stale, unless another one has taken its place already.
    pub(in crate::source) async fn discard(&self, stale: &Secret) {
        let mut state = self.state.lock().await;
        if state.held.as_ref().is_some_and(|held| held.token.expose() == stale.expose()) {
            state.held = None;
        }
    }
}

/// How long a token of this life is used: a short one for most of it, so that it is not renewed all the time.
fn renewed_after(life: Duration) -> SignedDuration {
    let ahead = TOKEN_RENEWED_AHEAD.min(life / 5);
    SignedDuration::try_from(life - ahead).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    struct Service {
        asked: AtomicUsize,
        session: Session,
    }

    impl Service {
        async fn token(&self, now: i64, password: &str, life: Option<u64>) -> Result<String, SourceError> {
            let sign_in = async || {
                let count = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
                if password == "wrong" {
                    return Err(SourceError::new(SourceErrorKind::Credentials, "refused"));
                }
                Ok(Granted { token: Secret::new(format!("token-{count}")), life: life.map(Duration::from_secs) })
            };
            let token = self.session.token(at(now), &Secret::new(password), sign_in).await?;
            Ok(token.expose().to_string())
        }
    }

    #[tokio::test]
    async fn a_token_is_renewed_ahead_of_its_end_and_when_it_is_stale() {
        let service = Service { asked: AtomicUsize::new(0), session: Session::default() };
        let life = Some(3600);
        for (now, expected) in [(0, "token-1"), (2879, "token-1"), (2880, "token-2"), (3000, "token-2")] {
            assert_eq!(service.token(now, "right", life).await.unwrap(), expected, "{now}");
        }
        service.session.discard(&Secret::new("token-1")).await;
        assert_eq!(service.token(3001, "right", life).await.unwrap(), "token-2", "another one has taken its place");
        service.session.discard(&Secret::new("token-2")).await;
        assert_eq!(service.token(3002, "right", None).await.unwrap(), "token-3");
        assert_eq!(service.token(9_000_000, "right", None).await.unwrap(), "token-3", "whose end nobody told");
        assert_eq!(service.token(9_000_000, "changed", None).await.unwrap(), "token-4");
    }

    #[tokio::test]
    async fn a_refused_password_is_not_tried_at_every_poll() {
        let service = Service { asked: AtomicUsize::new(0), session: Session::default() };
        for now in [0, 60, 899] {
            assert!(service.token(now, "wrong", None).await.is_err());
        }
        assert_eq!(service.asked.load(Ordering::Relaxed), 1);
        assert!(service.token(900, "wrong", None).await.is_err());
        assert_eq!(service.asked.load(Ordering::Relaxed), 2);
        assert!(service.token(901, "right", None).await.is_ok(), "another password is tried at once");
    }
}
