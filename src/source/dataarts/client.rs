//! The DataArts API as it is asked: where it is, who asks, and what is no success.
//!
//! Reads, for each request, the present value of the secrets that prove who asks; nothing that comes out holds one of them.
//! It knows addresses and headers, and nothing of what the answers mean beyond "a success" or not.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderName};

use super::fault;
use super::settings::Settings;
use crate::coding::percent_encoded;
use crate::http::Response;
use crate::iam::{Ask, Caller};
use crate::secret::Secret;
use crate::source::contract::SourceError;
use crate::source::kit::fault::{bad_answer, resolved};
use crate::source::kit::{Api, Attempt, Call, Client, Moment, Pace};

/// A connection to the API.
pub(super) type Connection = Client<Gateway>;

/// The API of one workspace.
pub(super) struct Gateway {
    settings: Settings,
    pace: Arc<Pace>,
    /// Who asks.
    pub(super) caller: Caller,
}

impl Gateway {
    pub(super) fn new(settings: Settings) -> Gateway {
        let pace = Arc::new(Pace::per_second(settings.requests_per_second));
        let caller = Caller::new(settings.auth.clone());
        Gateway { settings, pace, caller }
    }
}

impl Api for Gateway {
    type Call = Call;

    async fn attempt(&self, call: &Call, moment: Moment<'_>) -> Result<Attempt, SourceError> {
        let project = resolved("project_id", &self.settings.project_id)?;
        let project_id = project.expose();
        let request = call.request(&format!("{}/v1/{}", self.settings.endpoint, percent_encoded(project_id)))?;
        let mut headers = vec![(CONTENT_TYPE.to_string(), "application/json".to_string())];
        headers.extend(self.settings.workspace.iter().map(|id| (WORKSPACE.to_string(), id.clone())));
        let (method, url) = (call.method.as_str(), request.url());
        let ask = Ask { method, url, query: &call.query, headers, body: b"", project_id };
        let proof = self.caller.prove(moment.http, moment.patience.timeout, moment.now, ask).await;
        let proof = proof.map_err(fault::from_iam)?;
        Ok(Attempt { outgoing: proof.apply(request).map_err(fault::from_iam)?, token: proof.token })
    }

    fn pace(&self, _call: &Call) -> Result<Arc<Pace>, SourceError> {
        Ok(Arc::clone(&self.pace))
    }

    fn judge(&self, _call: &Call, answer: &Response, now: Timestamp) -> Result<(), SourceError> {
        if !answer.is_success() || (answer.body().len() < 1000 && fault::is_error_body(answer.body())) {
            return Err(fault::from_answer(answer, now));
        }
        if answer.status != 200 {
            return Err(bad_answer(format!("HTTP {} where 200 was expected", answer.status)));
        }
        Ok(())
    }

    async fn renew(&self, stale: &Secret) {
        self.caller.discard(stale).await;
    }
}

/// The header that names the workspace.
const WORKSPACE: HeaderName = HeaderName::from_static("workspace");
