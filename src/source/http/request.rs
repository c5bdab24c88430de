//! A request as the configuration describes it, and the request that becomes of it when its places are filled in.
//!
//! Reads keys of the configuration and, for each request, the present value of the secrets in its headers; sends nothing.
//! Whom it asks stands in the configuration alone: nothing that is filled in can change the host.

use std::collections::BTreeSet;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};

use super::fill::{Filled, Name, Place, Template, Values};
use super::pointer::Pointer;
use crate::coding::percent_encoded;
use crate::secret::{SecretRef, Secrets};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{configuration, resolved};
use crate::yaml::{FromYaml, Key, Keys, Located, Node, OneOrMany, Section, Shape, Value};

/// The keys of a request, wherever one is described.
pub(super) const REQUEST: &[Key] = &[
    Key::new("url", Shape::Text, "The whole address; in further requests a path is asked of the same host.")
        .required()
        .example("https://scheduler.example.com/api/runs"),
    Key::new("method", Shape::WordAnyCase(methods), "GET; POST where there is a body."),
    Key::new("query", Shape::TextsByName, "Parameters; one whose only place has no value is left out.")
        .example("{ page: \"{{page}}\" }"),
    Key::new("headers", Shape::SecretsByName, "More headers."),
    Key::new("body", Shape::Other("a text, or a mapping that becomes JSON", anything), "What goes with it."),
    Key::new("form", Shape::TextsByName, "The fields of a form, in the place of a body."),
    Key::new("success", Shape::Mapping(&SUCCESS), "What says that an answer is a success, where 200 does not."),
];

static SUCCESS: Keys = Keys::of(
    "http_success",
    "What says that an answer is a success, for services that answer 200 with an error.",
    &[&[
        Key::new("pointer", Shape::Text, "Where it stands.").required().example("/code"),
        Key::new("values", Shape::Texts, "The values that mean success.").required().example("[\"0\"]"),
        Key::new("message", Shape::Text, "Where the words of a refusal stand."),
        Key::new("renew", Shape::Texts, "Values that mean that the sign-in has ended."),
        Key::new("gone", Shape::Texts, "Values that mean that what was asked for does not exist."),
    ]],
);

fn methods() -> Vec<&'static str> {
    vec!["GET", "POST", "PUT"]
}

fn anything() -> serde_json::Value {
    serde_json::json!({})
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct RequestSettings {
    pub(super) method: Method,
    /// The whole address, or the part of it after the host of the list's.
    pub(super) url: Template,
    pub(super) query: Vec<(String, Template)>,
    pub(super) headers: Vec<(String, HeaderText)>,
    pub(super) body: Body,
    /// What says that its answer is a success, where that is another than the list's.
    pub(super) success: Option<Success>,
}

/// What an answer says of itself, for services that answer 200 with an error.
#[derive(Debug, Clone)]
pub(super) struct Success {
    pub(super) pointer: Pointer,
    pub(super) values: Vec<String>,
    /// Where the words of a refusal stand.
    pub(super) message: Option<Pointer>,
    /// Values that say that the sign-in has ended.
    pub(super) renew: Vec<String>,
    /// Values that say that what was asked for does not exist.
    pub(super) gone: Vec<String>,
}

/// What a header says.
#[derive(Debug, Clone)]
pub(super) enum HeaderText {
    Plain(Template),
    Secret(SecretRef),
}

/// What goes with a request.
#[derive(Debug, Clone)]
pub(super) enum Body {
    None,
    Text(Template),
    Form(Vec<(String, Template)>),
    Json(JsonBody),
}

/// JSON with places in its texts.
#[derive(Debug, Clone)]
pub(super) enum JsonBody {
    Plain(serde_json::Value),
    Text(Template),
    List(Vec<JsonBody>),
    Map(Vec<(String, JsonBody)>),
}

impl FromYaml for Template {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        Template::parse(&text).map_err(|reason| located.wrong::<()>(reason, None)).ok()
    }
}

impl FromYaml for Method {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        match String::from_yaml(located)?.to_ascii_uppercase().as_str() {
            "GET" => Some(Method::GET),
            "POST" => Some(Method::POST),
            "PUT" => Some(Method::PUT),
            other => located.wrong(format!("{other:?} is no method here"), Some("write GET, POST or PUT".into())),
        }
    }
}

impl JsonBody {
    fn read(node: &Node, located: Located<'_>) -> Option<JsonBody> {
        Some(match &node.value {
            Value::Null => JsonBody::Plain(serde_json::Value::Null),
            Value::Scalar(scalar) if !scalar.is_text => match serde_json::from_str(&scalar.text) {
                Ok(value) => JsonBody::Plain(value),
                Err(_) => JsonBody::Plain(scalar.text.clone().into()),
            },
            Value::Scalar(_) => JsonBody::Text(Template::from_yaml(Located { node, ..located })?),
            Value::List(items) => {
                JsonBody::List(items.iter().map(|item| JsonBody::read(item, located)).collect::<Option<_>>()?)
            }
            Value::Map(entries) => {
                let entry =
                    |entry: &crate::yaml::Entry| Some((entry.key.clone(), JsonBody::read(&entry.node, located)?));
                JsonBody::Map(entries.iter().map(entry).collect::<Option<_>>()?)
            }
        })
    }

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

    fn templates<'a>(&'a self, all: &mut Vec<&'a Template>) {
        match self {
            JsonBody::Plain(_) => {}
            JsonBody::Text(template) => all.push(template),
            JsonBody::List(items) => items.iter().for_each(|item| item.templates(all)),
            JsonBody::Map(entries) => entries.iter().for_each(|(_, item)| item.templates(all)),
        }
    }
}

/// A request, the secrets in its headers, and its query as pairs, which a signer signs.
pub(super) type Built = (Request, Secrets, Vec<(String, String)>);

impl RequestSettings {
    /// Reads the keys of one request. `allowed` are the places that have a value in it.
    pub(super) fn read(section: &Section<'_>, allowed: &[Name]) -> Option<RequestSettings> {
        let url = section.required::<Template>("url");
        let method = section.optional::<Method>("method");
        let query = read_pairs(section, "query");
        let headers = read_headers(section);
        let body = read_body(section);
        let success = read_success(section);
        let (url, query, headers, body, success) = (url?, query?, headers?, body?, success?);
        let beginning = url.beginning();
        let host_ends = beginning.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "http" | "https")
                && (rest.contains(['/', '?']) || url.names().is_empty())
                && !rest.starts_with('/')
        });
        let is_path = beginning.starts_with('/') && !beginning.starts_with("//");
        if !host_ends && !is_path {
            let help = "write https://host/path; a place such as {{id}} can stand after the host only".to_string();
            section.error("url", "this is no address", Some(help));
            return None;
        }
        let method = method.unwrap_or(if matches!(body, Body::None) { Method::GET } else { Method::POST });
        let request = RequestSettings { method, url, query, headers, body, success };
        for name in request.names() {
            let is_part = matches!(name, Name::IdPart(_)) && allowed.contains(&Name::Id);
            if !allowed.contains(&name) && !is_part {
                section.error("url", format!("{name:?} has no value in this request").to_lowercase(), None);
                return None;
            }
        }
        Some(request)
    }

    fn templates(&self) -> Vec<&Template> {
        let mut all = vec![&self.url];
        all.extend(self.query.iter().map(|(_, template)| template));
        all.extend(
            self.headers.iter().filter_map(|(_, text)| if let HeaderText::Plain(it) = text { Some(it) } else { None }),
        );
        match &self.body {
            Body::None => {}
            Body::Text(template) => all.push(template),
            Body::Form(pairs) => all.extend(pairs.iter().map(|(_, template)| template)),
            Body::Json(body) => body.templates(&mut all),
        }
        all
    }

    /// What is filled in.
    pub(super) fn names(&self) -> BTreeSet<Name> {
        self.templates().into_iter().flat_map(Template::names).collect()
    }

    /// Whether a time in it means nothing without a zone.
    pub(super) fn needs_zone(&self) -> bool {
        self.templates().into_iter().any(Template::needs_zone)
    }

    /// The secrets in its headers, each with its key.
    pub(super) fn secrets(&self) -> Vec<(String, &SecretRef)> {
        self.headers
            .iter()
            .filter_map(|(name, text)| match text {
                HeaderText::Secret(secret) => Some((format!("headers.{name}"), secret)),
                HeaderText::Plain(_) => None,
            })
            .collect()
    }

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
        return Err(bad("the next page is said to be on another host, which is not asked"));
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

/// Names of the user's with texts; `None` means reported.
fn read_pairs(section: &Section<'_>, key: &'static str) -> Option<Vec<(String, Template)>> {
    if !section.has(key) {
        let _ = section.node(key);
        return Some(Vec::new());
    }
    let pairs = section.section(key)?;
    let read = pairs.entries().iter().map(|entry| {
        let path = pairs.path_of(&entry.key);
        Some((
            entry.key.clone(),
            Template::from_yaml(Located { node: &entry.node, path: &path, findings: pairs.findings() })?,
        ))
    });
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

fn read_headers(section: &Section<'_>) -> Option<Vec<(String, HeaderText)>> {
    if !section.has("headers") {
        let _ = section.node("headers");
        return Some(Vec::new());
    }
    let headers = section.section("headers")?;
    let mut read = Vec::new();
    for entry in headers.entries() {
        let path = headers.path_of(&entry.key);
        let located = Located { node: &entry.node, path: &path, findings: headers.findings() };
        if HeaderName::try_from(entry.key.as_str()).is_err() {
            located.wrong::<()>(format!("{:?} is no name of a header", entry.key), None);
            return None;
        }
        let name = entry.key.to_ascii_lowercase();
        let is_secret =
            ["auth", "token", "secret", "cookie", "api-key", "apikey"].iter().any(|word| name.contains(word));
        let text = match &entry.node.value {
            Value::Map(_) => HeaderText::Secret(SecretRef::from_yaml(located)?),
            _ if is_secret => HeaderText::Secret(SecretRef::from_yaml(located)?),
            _ => HeaderText::Plain(Template::from_yaml(located)?),
        };
        read.push((entry.key.clone(), text));
    }
    Some(read)
}

/// What says that an answer is a success; the outer `None` means reported.
fn read_success(section: &Section<'_>) -> Option<Option<Success>> {
    if section.node("success").is_none() {
        return Some(None);
    }
    let success = section.section("success")?;
    let pointer = success.required::<Pointer>("pointer");
    let values = success.required::<OneOrMany<String>>("values");
    let message = success.optional("message");
    let list = |key| success.optional::<OneOrMany<String>>(key).map(|it| it.0).unwrap_or_default();
    let (renew, gone) = (list("renew"), list("gone"));
    success.close();
    Some(Some(Success { pointer: pointer?, values: values?.0, message, renew, gone }))
}

fn read_body(section: &Section<'_>) -> Option<Body> {
    let (body, has_form) = (section.node("body"), section.has("form"));
    if body.is_some() && has_form {
        section.error("form", "both \"body\" and \"form\" are given", Some("keep one".into()));
        return None;
    }
    let form = read_pairs(section, "form")?;
    let Some(node) = body else { return Some(if has_form { Body::Form(form) } else { Body::None }) };
    let path = section.path_of("body");
    let located = Located { node, path: &path, findings: section.findings() };
    match &node.value {
        Value::Scalar(_) => Template::from_yaml(located).map(Body::Text),
        _ => JsonBody::read(node, located).map(Body::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostic, Diagnostics, Environment, parse};

    const ALL: [Name; 6] = [Name::From, Name::To, Name::Page, Name::Cursor, Name::Id, Name::Job];

    fn read(text: &str) -> (Option<RequestSettings>, Vec<Diagnostic>) {
        let findings = Diagnostics::new("/etc/nightbell");
        let node = parse(text, &Environment { lookup: &|_| None, required: false }, &findings).unwrap();
        static TABLE: Keys = Keys::of("request", "", &[REQUEST]);
        let section = Section::of(&TABLE, &node, "sources.x", &findings).unwrap();
        let request = RequestSettings::read(&section, &ALL);
        section.close();
        (request, findings.into_sorted())
    }

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
            assert!(request.is_none() && findings[0].message.contains("no address"), "{url}: {findings:?}");
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

    #[test]
    fn what_is_wrong_is_told_at_its_key() {
        let table = [
            ("method: DELETE\nurl: /x", "sources.x.method", "no method"),
            ("url: /x\nbody: a\nform: { a: b }", "sources.x.form", "both"),
            ("url: \"/x?{{node}}\"", "sources.x.url", "no value"),
            ("url: \"/x?{{colour}}\"", "sources.x.url", "there is no {{colour}}"),
            ("url: /x\nquery: { a: \"{{pgae}}\" }", "sources.x.query.a", "did you mean {{page}}"),
            ("url: /x\nheaders: { \"a b\": c }", "sources.x.headers.a b", "no name of a header"),
            ("method: GET", "sources.x", "\"url\" is missing"),
        ];
        for (text, path, words) in table {
            let (_, findings) = read(text);
            assert!(findings.iter().any(|it| it.path == path && it.message.contains(words)), "{text}: {findings:?}");
        }
    }
}
