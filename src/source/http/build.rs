//! The request that becomes of a described one when its places are filled in.
//!
//! Reads, for each request, the present value of the secrets in its headers; sends nothing. Whom it asks stands in the
//! configuration alone: nothing that is filled in, and no link that a page tells, can change the host.

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Request, Url};

use super::fill::{Filled, Place, Template, Values};
use super::request::{Body, HeaderText, JsonBody, RequestSettings};
use crate::coding::percent_encoded;
use crate::secret::Secrets;
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{configuration, resolved};

/// A request, the secrets in its headers, and its query as pairs, which a signer signs.
pub(super) type Built = (Request, Secrets, Vec<(String, String)>);

impl JsonBody {
    fn fill(&self, values: &Values) -> serde_json::Value {
        match self {
            JsonBody::Plain(value) => value.clone(),
            JsonBody::Text(template) => match template.value(values) {
                None => serde_json::Value::Null,
                Some(Filled::Number(number)) => serde_json::from_str(&number).unwrap_or(serde_json::Value::Null),
                Some(Filled::Text(text)) => text.into(),
            },
            JsonBody::List(items) => items.iter().map(|item| item.fill(values)).collect(),
            JsonBody::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value.fill(values))).collect(),
        }
    }
}

impl RequestSettings {
    /// The request, and the secrets in its headers. `base` is the list's address, whose host a mere path is asked of;
    /// `link` an address that a page before told.
    pub(super) fn build(&self, base: &Url, values: &Values, link: Option<&str>) -> Result<Built, SourceError> {
        let mut url = match link {
            Some(link) => linked(base, link)?,
            None => self.address(Some(base), values)?,
        };
        if link.is_none() && !self.query.is_empty() {
            let pairs = filled_pairs(&self.query, values);
            let filled = encoded(&pairs);
            let parts = [url.query().unwrap_or_default(), filled.as_str()];
            let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
            url.set_query(Some(text.as_str()).filter(|text| !text.is_empty()));
        }
        let query = url.query().map(crate::sign::parse_query).unwrap_or_default();
        let mut request = Request::new(self.method.clone(), url);
        let (content, body) = match &self.body {
            Body::None => (None, None),
            Body::Text(template) => {
                let text = template.fill(values, Place::JsonText);
                let is_json = text.trim_start().starts_with(['{', '[']);
                (Some(if is_json { "application/json" } else { "text/plain" }), Some(text))
            }
            Body::Form(pairs) => {
                (Some("application/x-www-form-urlencoded"), Some(encoded(&filled_pairs(pairs, values))))
            }
            Body::Json(body) => (Some("application/json"), Some(body.fill(values).to_string())),
        };
        if let Some(content) = content {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
        }
        request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
        *request.body_mut() = body.map(Into::into);
        let mut secrets = Secrets::new();
        for (name, text) in &self.headers {
            let (text, is_secret) = match text {
                HeaderText::Plain(template) => (template.fill(values, Place::Plain), false),
                HeaderText::Secret(secret) => {
                    let value = resolved(&format!("headers.{name}"), secret)?;
                    secrets.push(&value);
                    (value.expose().to_string(), true)
                }
            };
            put_header(&mut request, name, &text, is_secret)?;
        }
        Ok((request, secrets, query))
    }

    /// The address, its places filled in and its query left out.
    pub(super) fn address(&self, base: Option<&Url>, values: &Values) -> Result<Url, SourceError> {
        let text = self.url.fill(values, Place::Address);
        let url = match base {
            Some(base) => base.join(&text),
            None => Url::parse(&text),
        };
        url.map_err(|_| configuration("the address of the scheduler cannot be understood").help("check \"url\""))
    }
}

/// An address that the service told: on its own host, for the credentials go with it.
fn linked(base: &Url, link: &str) -> Result<Url, SourceError> {
    let bad = |words: &str| SourceError::new(SourceErrorKind::BadAnswer, words).help("check \"paging\"");
    let url = base.join(link).map_err(|_| bad("the address of the next page cannot be understood"))?;
    if url.origin() != base.origin() {
        return Err(bad("the next page is said to be on another host, which is not called"));
    }
    Ok(url)
}

/// Puts a header into a request, and says which one cannot be sent.
pub(super) fn put_header(request: &mut Request, name: &str, text: &str, is_secret: bool) -> Result<(), SourceError> {
    let wrong = || {
        configuration(format!("the value for the header {name} cannot be sent"))
            .help("it holds a line break or a control character")
    };
    let header = HeaderName::try_from(name).map_err(|_| wrong())?;
    let mut value = HeaderValue::try_from(text).map_err(|_| wrong())?;
    value.set_sensitive(is_secret);
    request.headers_mut().insert(header, value);
    Ok(())
}

/// Pairs with values; one whose only place has none is left out.
fn filled_pairs(pairs: &[(String, Template)], values: &Values) -> Vec<(String, String)> {
    pairs.iter().filter_map(|(key, template)| Some((key.clone(), template.value(values)?.text().to_string()))).collect()
}

fn encoded(pairs: &[(String, String)]) -> String {
    let pair = |(key, value): &(String, String)| format!("{}={}", percent_encoded(key), percent_encoded(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::*;
    use crate::source::http::request::tests::read;

    fn built(text: &str, values: &Values) -> (Request, Vec<(String, String)>) {
        let (request, findings) = read(text);
        assert_eq!(findings, [], "{text}");
        let base = Url::parse("https://scheduler.example.com/api/list").unwrap();
        let (request, _, query) = request.unwrap().build(&base, values, None).unwrap();
        (request, query)
    }

    fn body(request: &Request) -> &str {
        request.body().and_then(|body| body.as_bytes()).map_or("", |bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_is_built_as_it_is_described() {
        let values = Values {
            page: Some(2),
            job: Some("a/../b?x".into()),
            from: "2026-11-21T00:00:00Z".parse().ok(),
            ..Values::default()
        };
        let (request, query) = built(
            "url: \"https://scheduler.example.com/api/list?fixed=1\"\nquery: { page: \"{{page}}\", c: \"{{cursor}}\", j: \"{{job}}\" }",
            &values,
        );
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.url().as_str(), "https://scheduler.example.com/api/list?fixed=1&page=2&j=a%2F..%2Fb%3Fx");
        assert_eq!(query[2], ("j".to_string(), "a/../b?x".to_string()));
        let (request, _) = built("url: /api/jobs/{{job}}", &values);
        assert_eq!(request.url().as_str(), "https://scheduler.example.com/api/jobs/a%2F..%2Fb%3Fx");
        let (request, _) = built("url: /q\nform: { a: \"x y\", page: \"{{page}}\" }", &values);
        assert_eq!((request.method(), body(&request)), (&Method::POST, "a=x%20y&page=2"));
        let text = "url: /q\nbody: { query: \"{ runs }\", n: 5, page: \"{{page}}\", cursor: \"{{cursor}}\", at: \"{{from:epoch}}\" }";
        let (request, _) = built(text, &values);
        let json: serde_json::Value = serde_json::from_str(body(&request)).unwrap();
        let expected = serde_json::json!({"query": "{ runs }", "n": 5, "page": 2, "cursor": null, "at": 1_795_219_200});
        assert_eq!(json, expected);
        let (request, _) = built("url: /q\nbody: '{\"job\": \"{{job}}\"}'\nheaders: { X-Page: \"{{page}}\" }", &values);
        assert_eq!((body(&request), request.headers()["x-page"].to_str().unwrap()), (r#"{"job": "a/../b?x"}"#, "2"));
    }

    #[test]
    fn nothing_that_is_filled_in_chooses_whom_to_ask() {
        for url in ["https://{{job}}/x", "{{job}}", "//other/x", "https://a.example.com{{job}}", "ftp://x/", "x/y"] {
            let (request, findings) = read(&format!("url: \"{url}\""));
            assert!(request.is_none() && findings[0].message.contains("not a valid address"), "{url}: {findings:?}");
        }
        let (request, _) = read("url: /list");
        let base = Url::parse("https://scheduler.example.com/api/list").unwrap();
        let build = |link: &str| request.as_ref().unwrap().build(&base, &Values::default(), Some(link));
        assert_eq!(
            build("/api/list?page=2").unwrap().0.url().as_str(),
            "https://scheduler.example.com/api/list?page=2"
        );
        for link in ["https://evil.example.com/", "//evil.example.com/x", "http://scheduler.example.com/api"] {
            let error = build(link).unwrap_err();
            assert!(error.message.contains("another host"), "{link}: {error}");
        }
    }
}
