//! The sign-in service of the simulated account: `POST /v3/auth/tokens`. Pure: the present instant is handed in.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::config::{SimConfig, SimUser};

/// The tokens that were given out, each with its end.
#[derive(Default)]
pub(super) struct Tokens {
    given: Vec<(String, Timestamp)>,
    count: usize,
}

/// What the service answers: status, the token that goes into a header, body.
pub(super) struct Granted {
    pub(super) status: StatusCode,
    pub(super) token: Option<String>,
    pub(super) body: String,
}

impl Tokens {
    /// Whether a token is good now.
    pub(super) fn know(&self, token: &str, now: Timestamp) -> bool {
        self.given.iter().any(|(given, end)| given == token && now < *end)
    }

    pub(super) fn revoke(&mut self) {
        self.given.clear();
    }

    /// Answers a request for a token: by password, for this project only.
    pub(super) fn ask(&mut self, config: &SimConfig, body: &[u8], now: Timestamp) -> Granted {
        let refuse = |status: StatusCode, words: &str| Granted {
            status,
            token: None,
            body: json!({"error": {"code": status.as_u16(), "message": words, "title": status.canonical_reason()}})
                .to_string(),
        };
        let Ok(asked) = serde_json::from_slice::<Value>(body) else {
            return refuse(StatusCode::BAD_REQUEST, "The request body is invalid");
        };
        let identity = &asked["auth"]["identity"];
        if identity["methods"] != json!(["password"]) {
            return refuse(StatusCode::BAD_REQUEST, "The request body is invalid");
        }
        let is_known = config.user.as_ref().filter(|user| is_user(user, &identity["password"]["user"]));
        let Some(user) = is_known else {
            return refuse(StatusCode::UNAUTHORIZED, "The username or password is wrong.");
        };
        if asked["auth"]["scope"]["project"]["id"] != json!(config.project_id) {
            return refuse(StatusCode::BAD_REQUEST, "The token must be scoped to a project of the account.");
        }
        self.count += 1;
        let token = format!("issued-token-{}", self.count);
        let end = now + SignedDuration::try_from(user.token_life).unwrap_or(SignedDuration::ZERO);
        self.given.push((token.clone(), end));
        let body = json!({ "token": {
            "expires_at": end.to_string(),
            "methods": ["password"],
            "issued_at": now.to_string(),
            "project": { "id": config.project_id },
        } });
        Granted { status: StatusCode::CREATED, token: Some(token), body: body.to_string() }
    }
}

fn is_user(user: &SimUser, claimed: &Value) -> bool {
    claimed["name"] == json!(user.name)
        && claimed["password"] == json!(user.password)
        && claimed["domain"]["name"] == json!(user.domain)
}

impl SimUser {
    /// A user whose tokens are good for a day.
    pub fn new(name: &str, password: &str, domain: &str) -> SimUser {
        let token_life = Duration::from_secs(24 * 3600);
        SimUser { name: name.into(), password: password.into(), domain: domain.into(), token_life }
    }
}
