//! The part of a source's configuration that is Airflow's own.
//!
//! Reads keys of the source's section and reports what is wrong with them; contacts nobody and resolves no secret.

use std::path::PathBuf;

use reqwest::header::HeaderName;

use crate::http::{CA_FILE, checked_endpoint};
use crate::rule::{Matcher, Pattern};
use crate::secret::SecretRef;
use crate::source::kit::settings::{read_pace, read_texts};
use crate::yaml::{FromYaml, Key, Keys, Located, Section, Shape};

/// The keys that belong to the kind.
pub static KEYS: Keys = Keys::of(
    "source_airflow",
    "An Apache Airflow 3; see docs/sources/airflow.md.",
    &[&[
        Key::new("url", Shape::Text, "The address of the api-server; people's pages are under it, too.")
            .required()
            .example("https://airflow.example.com"),
        Key::new("auth", Shape::Mapping(&AUTH), "How requests prove who asks; may be left out where headers do.")
            .example("{ user: { env: AIRFLOW_USER }, password: { env: AIRFLOW_PASSWORD } }"),
        Key::new("headers", Shape::SecretsByName, "More headers, for what stands before Airflow."),
        Key::new("dags", Shape::Texts, "Which DAGs: names, patterns, regular expressions. Without it, all."),
        Key::new("requests_per_second", Shape::Number, "At most so many requests a second.").default("10"),
        CA_FILE,
    ]],
)
.any_of(&[&["auth"], &["headers"]]);

static AUTH: Keys = Keys::of(
    "auth_airflow",
    "How requests prove who asks: by a user's password, or by a token.",
    &[&[
        Key::new("user", Shape::Secret, "The user; the role Viewer can read what is needed.")
            .example("{ env: AIRFLOW_USER }"),
        Key::new("password", Shape::Secret, "The user's password.").example("{ env: AIRFLOW_PASSWORD }"),
        Key::new("token", Shape::Secret, "A token that somebody else renews; a file is read again at each request."),
    ]],
)
.any_of(&[&["user", "password"], &["token"]]);

/// How to reach one Airflow.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host, port and, behind a proxy, a path; without a slash at the end. People's pages are under it, too.
    pub url: String,
    /// How requests prove who asks.
    pub auth: Auth,
    /// Further headers, each with its value.
    pub headers: Vec<(String, SecretRef)>,
    /// Which DAGs are listened to; all when empty.
    pub dags: Vec<String>,
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Requests in a second at most.
    pub requests_per_second: f64,
}

/// How requests prove who asks.
#[derive(Debug, Clone)]
pub enum Auth {
    /// In a way that the further headers have.
    None,
    /// By a token that a password gets.
    Password {
        /// The user.
        user: SecretRef,
        /// The user's password.
        password: SecretRef,
    },
    /// By a token that somebody else renews: one in a file is read again for each request.
    Token(SecretRef),
}

impl Settings {
    /// Reads Airflow's own keys of a source. The section stays open: the others are read elsewhere.
    pub fn read(section: &Section<'_>) -> Option<Settings> {
        let url = section.required::<String>("url").and_then(|url| checked_endpoint(section, "url", &url));
        let headers = read_headers(section);
        let auth = read_auth(section, headers.as_ref().is_some_and(|headers| !headers.is_empty()));
        let dags = read_texts(section, "dags");
        for pattern in dags.iter().flatten() {
            if let Err(reason) = Pattern::parse(pattern).and_then(|pattern| pattern.matcher()) {
                section.error("dags", format!("{pattern:?}: {reason}"), None);
            }
        }
        let ca_file = section.optional("ca_file");
        let requests_per_second = read_pace(section);
        Some(Settings {
            url: url?,
            auth: auth?,
            headers: headers?,
            dags: dags?,
            ca_file,
            requests_per_second: requests_per_second?,
        })
    }

    /// What must have a value before the source can be asked, each with its key.
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let mut secrets: Vec<_> = match &self.auth {
            Auth::None => Vec::new(),
            Auth::Password { user, password } => {
                vec![("auth.user".to_string(), user), ("auth.password".to_string(), password)]
            }
            Auth::Token(token) => vec![("auth.token".to_string(), token)],
        };
        secrets.extend(self.headers.iter().map(|(name, value)| (format!("headers.{name}"), value)));
        secrets
    }

    /// What is listed, as a text that changes when that does.
    pub(super) fn scope(&self) -> String {
        self.dags.join(",")
    }

    /// Which DAGs are listened to.
    pub(super) fn wanted(&self) -> Wanted {
        let matcher = |pattern: &String| Pattern::parse(pattern).ok()?.matcher().ok();
        Wanted(self.dags.iter().filter_map(matcher).collect())
    }
}

/// The DAGs that are listened to.
pub(super) struct Wanted(Vec<Matcher>);

impl Wanted {
    pub(super) fn takes(&self, dag: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|matcher| matcher.matches(dag))
    }
}

fn read_auth(section: &Section<'_>, has_headers: bool) -> Option<Auth> {
    if !section.has("auth") && has_headers {
        let _ = section.node("auth");
        return Some(Auth::None);
    }
    let auth = section.required_section("auth")?;
    if auth.has("token") {
        let token = auth.required("token");
        auth.close();
        return token.map(Auth::Token);
    }
    let (user, password) = (auth.required("user"), auth.required("password"));
    // Known, though it is not used beside a password.
    let _ = auth.node("token");
    auth.close();
    Some(Auth::Password { user: user?, password: password? })
}

/// Names of the user's with values; `None` means reported.
fn read_headers(section: &Section<'_>) -> Option<Vec<(String, SecretRef)>> {
    if section.node("headers").is_none() {
        return Some(Vec::new());
    }
    let headers = section.section("headers")?;
    let mut read = Vec::new();
    for entry in headers.entries() {
        let path = headers.path_of(&entry.key);
        let located = Located { node: &entry.node, path: &path, findings: headers.findings() };
        if HeaderName::try_from(entry.key.as_str()).is_err() {
            return located.wrong(format!("{:?} is not a valid name of a header", entry.key), None);
        }
        read.push((entry.key.clone(), SecretRef::from_yaml(located)?));
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostic, Diagnostics, Environment, parse};

    fn read(text: &str) -> (Option<Settings>, Vec<Diagnostic>) {
        let findings = Diagnostics::new("/etc/nightbell");
        let node = parse(text, &Environment { lookup: &|_| None, required: false }, &findings).unwrap();
        let section = Section::of(&KEYS, &node, "sources.x", &findings).unwrap();
        let settings = Settings::read(&section);
        section.close();
        (settings, findings.into_sorted())
    }

    #[test]
    fn keys_are_read() {
        let (settings, findings) = read(
            "url: https://airflow.example.com/team/\nauth: { user: { env: U }, password: { env: P } }\ndags: [\"etl_*\", \"/x[0-9]/\"]",
        );
        assert_eq!(findings, []);
        let settings = settings.unwrap();
        assert_eq!(settings.url, "https://airflow.example.com/team");
        let wanted = settings.wanted();
        assert_eq!(["etl_orders", "x7", "other"].map(|dag| wanted.takes(dag)), [true, true, false]);
        assert_eq!(settings.secrets().len(), 2);
        let (settings, findings) = read("url: http://a\nheaders: { X-Team: { env: T } }");
        assert_eq!(findings, []);
        assert!(settings.unwrap().wanted().takes("anything"));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_key() {
        let table = [
            ("auth: { token: { env: T } }", "sources.x", "\"url\" is missing"),
            ("url: airflow\nauth: { token: { env: T } }", "sources.x.url", "address"),
            ("url: http://a", "sources.x", "\"auth\" is missing"),
            ("url: http://a\nauth: { user: { env: U } }", "sources.x.auth", "\"password\" is missing"),
            ("url: http://a\nauth: { tokn: { env: T } }", "sources.x.auth.tokn", "unknown key"),
            ("url: http://a\nauth: { token: { env: T } }\ndags: \"/[/\"", "sources.x.dags", "/[/"),
            ("url: http://a\nauth: { token: { env: T } }\ndag: x", "sources.x.dag", "unknown key"),
        ];
        for (text, path, words) in table {
            let (_, findings) = read(text);
            assert!(findings.iter().any(|it| it.path == path && it.message.contains(words)), "{text}: {findings:?}");
        }
    }
}
