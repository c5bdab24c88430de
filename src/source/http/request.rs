//! A request as the configuration describes it.
//!
//! Reads keys of the configuration and reports what is wrong with them; resolves no secret and sends nothing.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::HeaderName;

use super::fill::{Name, Template};
use super::pointer::Pointer;
use crate::secret::SecretRef;
use crate::yaml::{FromYaml, Key, Keys, Located, Node, OneOrMany, Section, Shape, Value};

/// The keys of a request, wherever one is described.
pub(super) const REQUEST: &[Key] = &[
    Key::new("url", Shape::Text, "The whole address; in further requests a path is requested from the same host.")
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
        Key::new("gone", Shape::Texts, "Values that mean that what was requested does not exist."),
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
            other => {
                located.wrong(format!("{other:?} is not a valid method here"), Some("write GET, POST or PUT".into()))
            }
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

    fn templates<'a>(&'a self, all: &mut Vec<&'a Template>) {
        match self {
            JsonBody::Plain(_) => {}
            JsonBody::Text(template) => all.push(template),
            JsonBody::List(items) => items.iter().for_each(|item| item.templates(all)),
            JsonBody::Map(entries) => entries.iter().for_each(|(_, item)| item.templates(all)),
        }
    }
}

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
            section.error("url", "this is not a valid address", Some(help));
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
            located.wrong::<()>(format!("{:?} is not a valid name of a header", entry.key), None);
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
pub(super) mod tests {
    use super::*;
    use crate::yaml::{Diagnostic, Diagnostics, Environment, parse};

    const ALL: [Name; 6] = [Name::From, Name::To, Name::Page, Name::Cursor, Name::Id, Name::Job];

    pub(in crate::source::http) fn read(text: &str) -> (Option<RequestSettings>, Vec<Diagnostic>) {
        let findings = Diagnostics::new("/etc/nightbell");
        let node = parse(text, &Environment { lookup: &|_| None, required: false }, &findings).unwrap();
        static TABLE: Keys = Keys::of("request", "", &[REQUEST]);
        let section = Section::of(&TABLE, &node, "sources.x", &findings).unwrap();
        let request = RequestSettings::read(&section, &ALL);
        section.close();
        (request, findings.into_sorted())
    }

    #[test]
    fn what_is_wrong_is_told_at_its_key() {
        let table = [
            ("method: DELETE\nurl: /x", "sources.x.method", "not a valid method"),
            ("url: /x\nbody: a\nform: { a: b }", "sources.x.form", "both"),
            ("url: \"/x?{{node}}\"", "sources.x.url", "no value"),
            ("url: \"/x?{{colour}}\"", "sources.x.url", "there is no {{colour}}"),
            ("url: /x\nquery: { a: \"{{pgae}}\" }", "sources.x.query.a", "did you mean {{page}}"),
            ("url: /x\nheaders: { \"a b\": c }", "sources.x.headers.a b", "not a valid name of a header"),
            ("method: GET", "sources.x", "\"url\" is missing"),
        ];
        for (text, path, words) in table {
            let (_, findings) = read(text);
            assert!(findings.iter().any(|it| it.path == path && it.message.contains(words)), "{text}: {findings:?}");
        }
    }
}
