//! One thing that is asked of an API: a GET or a POST, and the request that it becomes.
//!
//! Pure. It knows no scheduler's addresses, and nothing of who asks.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::Value;

use crate::coding::percent_encoded;
use crate::http::set_headers;
use crate::sign::canonical_query;
use crate::source::contract::{SourceError, SourceErrorKind};

/// One thing that is asked for.
#[derive(Debug, Clone)]
pub(in crate::source) struct Call {
    /// `GET` or `POST`.
    pub(in crate::source) method: Method,
    /// The segments behind the API's address, in plain text.
    pub(in crate::source) path: Vec<String>,
    /// The query's keys and values, not encoded.
    pub(in crate::source) query: Vec<(String, String)>,
    /// The body, where there is one.
    pub(in crate::source) body: Option<Value>,
    /// What is asked, where a service counts its operations one by one or calls them by name.
    pub(in crate::source) operation: &'static str,
}

impl Call {
    /// A GET of this path.
    pub(in crate::source) fn get(path: &[&str]) -> Call {
        let path = path.iter().map(ToString::to_string).collect();
        Call { method: Method::GET, path, query: Vec::new(), body: None, operation: "" }
    }

    /// A POST of this body to this path.
    pub(in crate::source) fn post(path: &[&str], body: Value) -> Call {
        Call { method: Method::POST, body: Some(body), ..Call::get(path) }
    }

    /// The same with one more pair in its query.
    pub(in crate::source) fn query(mut self, key: &str, value: impl ToString) -> Call {
        self.query.push((key.to_string(), value.to_string()));
        self
    }

    /// The same with the name of its operation.
    pub(in crate::source) fn operation(mut self, operation: &'static str) -> Call {
        self.operation = operation;
        self
    }

    /// The request to the API at `endpoint`, an address without a slash at its end. Nothing in it proves yet who asks.
    ///
    /// # Errors
    /// [`SourceErrorKind::NotFound`] for a segment that would mean another address; [`SourceErrorKind::Configuration`] when
    /// the address cannot be understood.
    pub(in crate::source) fn request(&self, endpoint: &str) -> Result<Request, SourceError> {
        let mut request = Request::new(self.method.clone(), self.url(endpoint)?);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(body) = &self.body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_string().into());
        }
        Ok(request)
    }

    fn url(&self, endpoint: &str) -> Result<Url, SourceError> {
        let mut text = endpoint.to_string();
        for segment in &self.path {
            if matches!(segment.as_str(), "" | "." | "..") {
                // An address cannot hold such a segment: it would mean another address.
                let message = format!("{segment:?} cannot be requested");
                return Err(SourceError::new(SourceErrorKind::NotFound, message).help("rename the job"));
            }
            text.push('/');
            text.push_str(&percent_encoded(segment));
        }
        if self.path.is_empty() {
            text.push('/');
        }
        if !self.query.is_empty() {
            text.push('?');
            text.push_str(&canonical_query(&self.query));
        }
        Url::parse(&text).map_err(|_| {
            SourceError::new(SourceErrorKind::Configuration, "the address of the API cannot be understood")
                .help("check \"endpoint\"")
        })
    }
}

/// The request with more headers, those that prove who asks among them.
///
/// # Errors
/// [`SourceErrorKind::Configuration`] when a value cannot stand in a header.
pub(in crate::source) fn with_headers(
    mut request: Request,
    headers: &[(String, String)],
) -> Result<Request, SourceError> {
    set_headers(&mut request, headers).map_err(|name| {
        let message = format!("the value for the header {name} cannot be sent");
        SourceError::new(SourceErrorKind::Configuration, message).help("it holds a line break or a control character")
    })?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_none_climbs_out_of_the_path() {
        let url = |call: &Call| call.url("https://host/proxy").map(|url| url.to_string());
        let call = Call::get(&["jobs", "a/b c%?#日"]).query("limit", 10).query("after", "x&y");
        assert_eq!(url(&call).unwrap(), "https://host/proxy/jobs/a%2Fb%20c%25%3F%23%E6%97%A5?after=x%26y&limit=10");
        assert_eq!(url(&Call::get(&[])).unwrap(), "https://host/proxy/");
        for segment in ["..", ".", ""] {
            assert_eq!(url(&Call::get(&["jobs", segment])).unwrap_err().kind, SourceErrorKind::NotFound, "{segment}");
        }
        let posted = Call::post(&["list"], serde_json::json!({"page": 1})).request("http://host").unwrap();
        assert_eq!(posted.body().and_then(|body| body.as_bytes()), Some(br#"{"page":1}"#.as_slice()));
        assert_eq!(posted.headers()[CONTENT_TYPE], "application/json");
    }
}
