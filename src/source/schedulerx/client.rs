//! Calls of the SchedulerX API: signed, and what is no success.
//!
//! Reads, for each call, the present value of the secrets it is signed with; nothing that comes out holds one of them. It
//! knows headers and the envelope of every answer, and nothing of what is inside.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HOST};

use super::answer::Envelope;
use super::fault;
use super::settings::Settings;
use crate::http::{Outgoing, Response, host_of};
use crate::secret::Secret;
use crate::sign::Signable;
use crate::sign::alibaba::{
    ACTION_HEADER, CONTENT_HEADER, DATE_HEADER, NONCE_HEADER, TOKEN_HEADER, VERSION_HEADER, authorization,
    content_hash, date_text, nonce_text,
};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{bad_answer, resolved};
use crate::source::kit::text::checked_text;
use crate::source::kit::{Api, Attempt, Call, Client, Moment, Pace, with_headers};

/// The version of the API that is spoken.
const VERSION: &str = "2019-04-30";
/// The time in which the service counts calls.
const MINUTE: Duration = Duration::from_secs(60);
/// How long everybody of the key waits after a refusal for too many calls, when the service names no time.
pub(super) const THROTTLED_PAUSE: Duration = Duration::from_secs(5);

/// A connection to the API.
pub(super) type Connection = Client<Gateway>;

/// The API as it is asked with one key.
pub(super) struct Gateway {
    pub(super) settings: Settings,
}

/// What one call is told, beside what all are.
pub(super) type Pairs = Vec<(&'static str, String)>;

impl Connection {
    /// The `Data` of the answer to a call that was a success: raw JSON, `null` when there is none.
    pub(super) async fn call(&self, action: &'static str, pairs: Pairs) -> Result<String, SourceError> {
        let call = Call::get(&[]).operation(action);
        let call = pairs.into_iter().fold(call, |call, (key, value)| call.query(key, value));
        let body = self.body(&call).await?;
        let text = checked_text(&body).map_err(bad_answer)?;
        let envelope = Envelope::read(&text).map_err(bad_answer)?;
        Ok(envelope.data.map_or_else(|| "null".to_string(), |data| data.get().to_string()))
    }
}

impl Api for Gateway {
    type Call = Call;

    /// The request is signed for this moment with a nonce of its own.
    async fn attempt(&self, call: &Call, moment: Moment<'_>) -> Result<Attempt, SourceError> {
        let keys = self.keys()?;
        let mut call = call.clone();
        call.query.extend(self.settings.region.iter().map(|region| ("RegionId".to_string(), region.clone())));
        let call = call.query("Namespace", &self.settings.namespace);
        let request = call.request(&self.settings.endpoint)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| {
            SourceError::new(SourceErrorKind::Transient, "the system gives no random bytes for a signature")
        })?;
        let mut headers = vec![
            (HOST.to_string(), host_of(request.url())),
            (ACTION_HEADER.to_string(), call.operation.to_string()),
            (VERSION_HEADER.to_string(), VERSION.to_string()),
            (DATE_HEADER.to_string(), date_text(moment.now)),
            (NONCE_HEADER.to_string(), nonce_text(random)),
            (CONTENT_HEADER.to_string(), content_hash(b"")),
        ];
        headers.extend(keys.security_token.iter().map(|token| (TOKEN_HEADER.to_string(), token.expose().to_string())));
        let (method, query) = (call.method.as_str(), &call.query);
        let signable = Signable { method, path: "/", query, headers: &headers, body: b"" };
        let proof = authorization(&signable, keys.access_key.expose(), keys.secret_key.expose());
        headers.push((AUTHORIZATION.to_string(), proof));
        let request = with_headers(request, &headers)?;
        Ok(Attempt { outgoing: Outgoing::new(request, keys.all().collect()), token: None })
    }

    /// The service counts by key and operation, whichever source asks.
    fn pace(&self, call: &Call) -> Result<Arc<Pace>, SourceError> {
        let access_key = resolved("auth.access_key", &self.settings.access_key)?;
        Ok(Pace::shared(&access_key, call.operation, self.settings.calls_per_minute, MINUTE))
    }

    fn judge(&self, _call: &Call, answer: &Response, now: Timestamp) -> Result<(), SourceError> {
        if !answer.is_success() {
            return Err(fault::from_answer(answer, now));
        }
        let text = checked_text(answer.body()).map_err(bad_answer)?;
        let envelope = Envelope::read(&text).map_err(bad_answer)?;
        if envelope.success == Some(true) { Ok(()) } else { Err(fault::from_refusal(&envelope)) }
    }
}

impl Gateway {
    fn keys(&self) -> Result<Keys, SourceError> {
        let token = self.settings.security_token.as_ref();
        Ok(Keys {
            access_key: resolved("auth.access_key", &self.settings.access_key)?,
            secret_key: resolved("auth.secret_key", &self.settings.secret_key)?,
            security_token: token.map(|token| resolved("auth.security_token", token)).transpose()?,
        })
    }
}

/// The keys as they are now.
struct Keys {
    access_key: Secret,
    secret_key: Secret,
    security_token: Option<Secret>,
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = &Secret> {
        [&self.secret_key, &self.access_key].into_iter().chain(&self.security_token)
    }
}
