//! Requests to the DataArts API: built, signed, paced, tried once more, and answered or classed as an error.
//!
//! Reads the network and, for each request, the present value of the secrets it signs with; nothing it returns holds
//! one of them. It knows addresses and headers, and nothing of what the answers mean beyond "a success" or not.

use std::sync::Arc;

use reqwest::{Method, Request, Url};

use super::fault;
use super::pace::Pace;
use super::settings::Settings;
use crate::clock::Clock;
use crate::http::{BodyEnd, HttpClient, HttpSettings, Outgoing, Response};
use crate::iam::{Ask, Caller};
use crate::limits::SOURCE_BODY_BYTES_MAX;
use crate::secret::{Secret, SecretRef};
use crate::sign::{canonical_query, percent_encoded};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::{Patience, Retry, foreign, once_more, retry_of};

pub(super) struct Client {
    settings: Settings,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    pace: Pace,
    pub(super) caller: Caller,
    pub(super) patience: Patience,
}

/// What is asked for: the path behind `/v1/{project_id}`, and the query.
pub(super) struct Query {
    /// Its segments, in plain text.
    pub(super) path: Vec<String>,
    pub(super) pairs: Vec<(String, String)>,
}

impl Client {
    pub(super) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Client, SourceError> {
        let http = HttpClient::new(&HttpSettings { ca_file: settings.ca_file.clone(), client_cert: None })
            .map_err(|error| foreign::from_http(&error))?;
        let pace = Pace::new(settings.requests_per_second);
        let caller = Caller::new(settings.auth.clone());
        Ok(Client { settings, http, clock, pace, caller, patience: Patience::default() })
    }

    /// The body of the answer to a GET, which is a success and not cut.
    pub(super) async fn get(&self, query: &Query) -> Result<Vec<u8>, SourceError> {
        once_more(self.patience, || self.get_once(query)).await
    }

    async fn get_once(&self, query: &Query) -> Result<Vec<u8>, (SourceError, Retry)> {
        self.pace.wait().await;
        let (outgoing, token) = self.request(query).await.map_err(|error| (error, Retry::No))?;
        let answer = self.http.send(outgoing, self.patience.timeout, SOURCE_BODY_BYTES_MAX).await;
        let answer = answer.and_then(foreign::complete);
        let answer = answer.map_err(|error| (foreign::from_http(&error), retry_of(&error)))?;
        if !answer.is_success() || (answer.body().len() < 1000 && fault::is_error_body(answer.body())) {
            let error = fault::from_answer(&answer, self.clock.now());
            if let Some(stale) = Caller::stale_token(&answer, token.as_ref()) {
                self.caller.discard(stale).await;
                return Err((error, Retry::AtOnce));
            }
            let retry = if matches!(answer.status, 429 | 500..=599) { Retry::Once } else { Retry::No };
            return Err((error, retry));
        }
        whole_body(&answer).map_err(|error| (error, Retry::No))
    }

    /// The request, with the proof of who asks at this moment, and the token in it that a password got.
    async fn request(&self, query: &Query) -> Result<(Outgoing, Option<Secret>), SourceError> {
        let project = self.resolve("project_id", &self.settings.project_id)?;
        let url = self.url(project.expose(), query)?;
        let mut headers = vec![("Content-Type".to_string(), "application/json".to_string())];
        headers.extend(self.settings.workspace.iter().map(|id| ("workspace".to_string(), id.clone())));
        let project_id = project.expose();
        let ask = Ask { method: "GET", url: &url, query: &query.pairs, headers, body: b"", project_id };
        let proof = self.caller.prove(&self.http, self.patience.timeout, self.clock.now(), ask).await;
        let proof = proof.map_err(fault::from_iam)?;
        let outgoing = proof.apply(Request::new(Method::GET, url)).map_err(fault::from_iam)?;
        Ok((outgoing, proof.token))
    }

    fn url(&self, project: &str, query: &Query) -> Result<Url, SourceError> {
        let mut text = format!("{}/v1/{}", self.settings.endpoint, percent_encoded(project));
        for segment in &query.path {
            if matches!(segment.as_str(), "." | "..") {
                // An address cannot hold such a segment: it would mean another address.
                let message = format!("{segment:?} cannot be asked for");
                return Err(SourceError::new(SourceErrorKind::NotFound, message).help("rename the job"));
            }
            text.push('/');
            text.push_str(&percent_encoded(segment));
        }
        if !query.pairs.is_empty() {
            text.push('?');
            text.push_str(&canonical_query(&query.pairs));
        }
        Url::parse(&text)
            .map_err(|_| configuration("the address of the API cannot be understood").help("check \"endpoint\""))
    }

    fn resolve(&self, key: &str, secret: &SecretRef) -> Result<Secret, SourceError> {
        secret
            .resolve()
            .map_err(|error| configuration(format!("{key}: {error}")).help("give it a value; it is read at each use"))
    }
}

fn whole_body(answer: &Response) -> Result<Vec<u8>, SourceError> {
    if answer.end == BodyEnd::TooLong {
        let message = format!("the answer is larger than {} MiB", SOURCE_BODY_BYTES_MAX >> 20);
        return Err(SourceError::new(SourceErrorKind::BadAnswer, message).help(foreign::HELP_BAD_ANSWER));
    }
    if answer.status != 200 {
        let message = format!("HTTP {} where 200 was expected", answer.status);
        return Err(SourceError::new(SourceErrorKind::BadAnswer, message).help(foreign::HELP_BAD_ANSWER));
    }
    Ok(answer.body().to_vec())
}

fn configuration(message: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::Configuration, message)
}
