//! The part of a source's configuration that is DataArts' own.
//!
//! Reads keys of the source's section and reports what is wrong with them; contacts nobody and resolves no secret.

use std::path::PathBuf;

use crate::http::{CA_FILE, checked_endpoint, is_region};
use crate::iam::{AUTH, Auth, PLACE, PLACES, endpoint_of, read_endpoint, read_name};
use crate::limits::{OBS_TAIL_LINES_MAX, SOURCE_JOBS_NAMED_MAX};
use crate::secret::SecretRef;
use crate::source::kit::settings::{read_pace, read_texts};
use crate::yaml::{Key, Keys, Section, Shape};

/// The keys that belong to the kind.
pub static KEYS: Keys = Keys::of(
    "source_dataarts",
    "A workspace of Huawei Cloud DataArts Factory.",
    &[
        PLACE,
        &[
            Key::new("project_id", Shape::Secret, "The project's id.")
                .required()
                .example("{ env: DATAARTS_PROJECT_ID }"),
            Key::new("workspace", Shape::Text, "The workspace's id; without it, the default workspace."),
            Key::new(
                "jobs",
                Shape::Texts,
                "Read only these jobs, by their exact names. Without it, the whole workspace.",
            ),
            // Far below the documented 30 per user.
            Key::new("requests_per_second", Shape::Number, "How many requests may be made in a second.").default("2"),
            AUTH,
            CA_FILE,
            Key::new(
                "logs",
                Shape::Mapping(&LOGS),
                "Has messages show the last lines of the failing node's log, which is in OBS.",
            ),
        ],
    ],
)
.any_of(PLACES);

static LOGS: Keys = Keys::of(
    "logs_dataarts",
    "The last lines of a failing node's log, out of OBS by its S3-compatible API.",
    &[&[
        Key::new("tail", Shape::Whole, "How many lines, at most 50; of long ones fewer.").default("20"),
        Key::new("region", Shape::Text, "The region of the logs' bucket, where it is not the source's.")
            .example("ap-southeast-3"),
        Key::new("endpoint", Shape::Text, "Instead of the region's own host of OBS: private clouds, proxies.")
            .example("https://obs.example.com"),
        Key::new(
            "path_style",
            Shape::Flag,
            "Whether the bucket's name is a part of the path and not of the host. Without it, where the endpoint is an IP address.",
        ),
        Key::new("access_key", Shape::Secret, "The access key that may read the logs, where it is not the source's.")
            .example("{ env: OBS_AK }"),
        Key::new("secret_key", Shape::Secret, "Its secret key.").example("{ env: OBS_SK }"),
        Key::new("security_token", Shape::Secret, "Comes with a temporary access key."),
    ]],
)
.pairs(&[("access_key", "secret_key")]);

/// How to reach one workspace.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host, port and, behind a proxy, a path; without a slash at the end.
    pub endpoint: String,
    /// The project. No secret, but often told by the environment.
    pub project_id: SecretRef,
    /// The workspace; the default one when absent.
    pub workspace: Option<String>,
    /// The jobs to read, by their exact names; all of the workspace when empty.
    pub jobs: Vec<String>,
    /// How requests prove who asks.
    pub auth: Auth,
    /// How many requests may be made in a second.
    pub requests_per_second: f64,
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Where logs are read, if they are.
    pub logs: Option<Logs>,
}

/// How to read the end of a failing node's log.
#[derive(Debug, Clone)]
pub struct Logs {
    /// How many lines are told.
    pub tail: usize,
    /// Scheme, host and port of OBS.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket's name stands in the path.
    pub path_style: bool,
    /// Names the key that may read.
    pub access_key: SecretRef,
    /// Signs with it.
    pub secret_key: SecretRef,
    /// Comes with temporary keys.
    pub security_token: Option<SecretRef>,
}

impl Settings {
    /// Reads DataArts' own keys of a source. The section stays open: the others are read elsewhere.
    pub fn read(section: &Section<'_>) -> Option<Settings> {
        let endpoint = read_endpoint(section, "dayu-dlf");
        let project_id = read_name(section, "project_id");
        let workspace = section.optional::<String>("workspace");
        let auth = Auth::read(section);
        let requests_per_second = read_pace(section);
        let ca_file = section.optional("ca_file");
        let jobs = read_jobs(section);
        let logs = if section.has("logs") { Some(read_logs(section, auth.as_ref())?) } else { None };
        Some(Settings {
            endpoint: endpoint?,
            project_id: project_id?,
            workspace: workspace.filter(|id| !id.is_empty()),
            jobs: jobs?,
            auth: auth?,
            requests_per_second: requests_per_second?,
            ca_file,
            logs,
        })
    }

    /// What must have a value before the source can be asked, each with its key.
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let mut secrets = vec![("project_id".to_string(), &self.project_id)];
        secrets.extend(self.auth.secrets());
        if let Some(logs) = &self.logs {
            let named = |key: &str| format!("logs.{key}");
            secrets.extend([(named("access_key"), &logs.access_key), (named("secret_key"), &logs.secret_key)]);
            secrets.extend(logs.security_token.iter().map(|token| (named("security_token"), token)));
        }
        secrets
    }
}

/// Reads `logs`. What it does not say is as the source has it.
fn read_logs(source: &Section<'_>, auth: Option<&Auth>) -> Option<Logs> {
    let logs = source.section("logs")?;
    let tail = logs.or_default::<u32>("tail");
    let region = logs.optional::<String>("region").or_else(|| source.optional::<String>("region"));
    let endpoint = logs.optional::<String>("endpoint");
    let path_style = logs.optional::<bool>("path_style");
    let has_keys = logs.has("access_key") || logs.has("secret_key");
    let own = has_keys.then(|| (logs.required("access_key"), logs.required("secret_key")));
    let token = logs.optional::<SecretRef>("security_token");
    let mut is_sound = true;
    if !(1..=OBS_TAIL_LINES_MAX).contains(&tail) {
        logs.error("tail", format!("{tail} is not between 1 and {OBS_TAIL_LINES_MAX}"), None);
        is_sound = false;
    }
    let keys = match (own, auth) {
        (Some((access_key, secret_key)), _) => {
            access_key.zip(secret_key).map(|(access, secret)| (access, secret, token))
        }
        (None, Some(Auth::Key { access_key, secret_key, security_token })) => {
            Some((access_key.clone(), secret_key.clone(), security_token.clone()))
        }
        (None, Some(_)) => {
            let help = "write logs: { access_key: { env: OBS_AK }, secret_key: { env: OBS_SK } }";
            logs.error("", "OBS takes access keys alone, and the source has none", Some(help.into()));
            None
        }
        // What is wrong with the source's own was told.
        (None, None) => None,
    };
    let region = match region {
        Some(region) if is_region(&region) => Some(region),
        Some(wrong) => {
            logs.error("region", format!("{wrong:?} is not a valid region"), Some("for example ap-southeast-3".into()));
            None
        }
        None => {
            logs.missing("region", Some("name the region of the logs' bucket: requests are signed for it".into()));
            None
        }
    };
    let endpoint = match endpoint {
        Some(endpoint) => checked_endpoint(&logs, "endpoint", &endpoint),
        None => region.as_deref().map(|region| endpoint_of("obs", region)),
    };
    logs.close();
    let (endpoint, (access_key, secret_key, security_token)) = (endpoint?, keys?);
    // An address of the network has no names in front of it.
    let is_address = |endpoint: &str| {
        // A host that is a domain is none.
        reqwest::Url::parse(endpoint).is_ok_and(|url| url.domain().is_none())
    };
    let path_style = path_style.unwrap_or_else(|| is_address(&endpoint));
    let (region, tail) = (region?, usize::try_from(tail).unwrap_or(1));
    is_sound.then_some(Logs { tail, endpoint, region, path_style, access_key, secret_key, security_token })
}

/// The jobs that the source names, each once.
fn read_jobs(section: &Section<'_>) -> Option<Vec<String>> {
    let jobs = read_texts(section, "jobs")?;
    let advice = || Some("leave \"jobs\" out and choose jobs in the rules, by \"match\": { job: … }".to_string());
    if jobs.len() > SOURCE_JOBS_NAMED_MAX {
        let words = format!("{} jobs are named; at most {SOURCE_JOBS_NAMED_MAX}", jobs.len());
        section.error("jobs", format!("{words}, for each costs a request at every poll"), advice());
        return None;
    }
    if let Some(wrong) = jobs.iter().find(|name| name.is_empty() || name.contains(['*', '?'])) {
        section.error("jobs", format!("{wrong:?} is not a valid name of a job here: only exact names are"), advice());
        return None;
    }
    Some(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SchedulerKind;
    use crate::yaml::{Diagnostic, Diagnostics, Environment, Node, parse};

    fn node(text: &str, findings: &Diagnostics) -> Node {
        parse(text, &Environment { lookup: &|_| None, required: false }, findings).unwrap()
    }

    /// The settings that a source's section yields, and what is found wrong, once the section is closed.
    fn read(text: &str) -> (Option<Settings>, Vec<Diagnostic>) {
        let findings = Diagnostics::new("/etc/nightbell");
        let node = node(text, &findings);
        let section = Section::of(&super::KEYS, &node, "sources.w", &findings).unwrap();
        let settings = Settings::read(&section);
        section.close();
        (settings, findings.into_sorted())
    }

    /// A whole listing at the default pace fits the time that one may take, three times over.
    #[test]
    fn what_a_listing_may_spend_fits_its_time_at_the_default_pace() {
        use crate::limits::{SOURCE_LISTING_REQUESTS_MAX, SOURCE_LISTING_TIME_MAX};
        let pace = super::KEYS.default_of::<f64>("requests_per_second").unwrap();
        let seconds = SOURCE_LISTING_REQUESTS_MAX as f64 / pace;
        assert!(seconds * 3.0 <= SOURCE_LISTING_TIME_MAX.as_secs_f64(), "{seconds} s");
    }

    const KEYS: &str = "auth: { access_key: { env: AK }, secret_key: { env: SK } }";

    #[test]
    fn all_keys_are_read() {
        let (settings, findings) = read(
            "region: ap-southeast-3\nproject_id: { env: P }\nworkspace: 0123\nrequests_per_second: 0.5\nca_file: ca.pem\n\
             auth: { access_key: { env: AK }, secret_key: { file: sk }, security_token: { env: ST } }",
        );
        assert_eq!(findings, []);
        let settings = settings.unwrap();
        assert_eq!(settings.endpoint, "https://dayu-dlf.ap-southeast-3.myhuaweicloud.com");
        assert_eq!(settings.workspace.as_deref(), Some("0123"));
        assert_eq!(settings.requests_per_second, 0.5);
        assert_eq!(settings.ca_file, Some(PathBuf::from("/etc/nightbell/ca.pem")));
        let secrets: Vec<_> =
            settings.secrets().into_iter().map(|(key, secret)| format!("{key} = {secret:?}")).collect();
        let expected = [
            "project_id = env P",
            "auth.access_key = env AK",
            "auth.secret_key = file /etc/nightbell/sk",
            "auth.security_token = env ST",
        ];
        assert_eq!(secrets, expected);
    }

    #[test]
    fn the_endpoint_wins_and_a_plain_project_earns_no_warning() {
        let (settings, findings) =
            read("region: x\nendpoint: http://127.0.0.1:8080/\nproject_id: 0123\nauth: { token: { file: t } }");
        assert_eq!(findings, []);
        let settings = settings.unwrap();
        assert_eq!((settings.endpoint.as_str(), settings.requests_per_second), ("http://127.0.0.1:8080", 2.0));
        assert_eq!(settings.project_id.resolve().unwrap().expose(), "0123");
        assert_eq!(settings.secrets()[1].0, "auth.token");
    }

    #[test]
    fn a_user_signs_in_where_the_region_says_or_the_key() {
        let auth = "auth: { user: u, password: { env: P }, domain: { env: D }";
        for (text, expected) in [
            (format!("region: eu-west-101\nproject_id: p\n{auth} }}"), "https://iam.eu-west-101.myhuaweicloud.eu"),
            (format!("region: r\nendpoint: https://e\nproject_id: p\n{auth} }}"), "https://iam.r.myhuaweicloud.com"),
            (
                format!("region: r\nproject_id: p\n{auth}, iam_endpoint: 'https://iam.example.com/' }}"),
                "https://iam.example.com",
            ),
        ] {
            let (settings, findings) = read(&text);
            assert_eq!(findings, [], "{text}");
            let settings = settings.unwrap();
            let Auth::Password { iam_endpoint, .. } = &settings.auth else { unreachable!() };
            assert_eq!(iam_endpoint, expected);
            let keys: Vec<_> = settings.secrets().into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, ["project_id", "auth.user", "auth.password", "auth.domain"]);
        }
    }

    #[test]
    fn logs_are_read_where_the_source_is_and_by_its_keys() {
        let (settings, findings) = read(&format!("region: eu-west-101\nproject_id: p\nlogs: {{}}\n{KEYS}"));
        assert_eq!(findings, []);
        let logs = settings.unwrap().logs.unwrap();
        assert_eq!(logs.endpoint, "https://obs.eu-west-101.myhuaweicloud.eu");
        assert_eq!((logs.tail, logs.region.as_str(), logs.path_style), (20, "eu-west-101", false));
        assert_eq!(format!("{:?} {:?}", logs.access_key, logs.secret_key), "env AK env SK");
        let own =
            "{ tail: 5, region: r2, endpoint: 'http://127.0.0.1:1/', access_key: { env: A }, secret_key: { env: B } }";
        let text = format!("endpoint: https://x\nproject_id: p\nauth: {{ token: {{ env: T }} }}\nlogs: {own}");
        let (settings, findings) = read(&text);
        assert_eq!(findings, []);
        let settings = settings.unwrap();
        let keys: Vec<_> = settings.secrets().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["project_id", "auth.token", "logs.access_key", "logs.secret_key"]);
        assert!(settings.logs.is_some_and(|logs| logs.path_style && logs.region == "r2"));
    }

    #[test]
    fn jobs_are_named_once_each() {
        let (settings, findings) = read(&format!("region: r\nproject_id: p\njobs: [a, b, a]\n{KEYS}"));
        assert_eq!(findings, []);
        assert_eq!(settings.unwrap().jobs, ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_told_at_its_key() {
        let table: &[(&str, &str, &str)] = &[
            ("project_id: p\nKEYS", "sources.w", "\"region\" and \"endpoint\""),
            ("region: Frankfurt am Main\nproject_id: p\nKEYS", "sources.w.region", "not a valid region"),
            ("endpoint: dayu.example.com\nproject_id: p\nKEYS", "sources.w.endpoint", "address"),
            ("endpoint: ftp://x\nproject_id: p\nKEYS", "sources.w.endpoint", "https://"),
            ("endpoint: https://user:pw@x\nproject_id: p\nKEYS", "sources.w.endpoint", "no user"),
            ("region: r\nKEYS", "sources.w", "\"project_id\" is missing"),
            ("region: r\nproject_id: []\nKEYS", "sources.w.project_id", "expected"),
            ("region: r\nproject_id: \"\"\nKEYS", "sources.w.project_id", "empty"),
            ("region: r\nproject_id: p", "sources.w", "\"auth\" is missing"),
            ("region: r\nproject_id: p\nauth: {}", "sources.w.auth", "\"access_key\" is missing"),
            (
                "region: r\nproject_id: p\nauth: { access_key: { env: A } }",
                "sources.w.auth",
                "\"secret_key\" is missing",
            ),
            ("region: r\nproject_id: p\nauth: { user: u, password: { env: P } }", "sources.w.auth", "\"domain\""),
            (
                "endpoint: https://x\nproject_id: p\nauth: { user: u, password: { env: P }, domain: d }",
                "sources.w.auth",
                "\"iam_endpoint\" is missing",
            ),
            (
                "region: r\nproject_id: p\nauth: { user: u, password: { env: P }, domain: d, iam_endpoint: iam }",
                "sources.w.auth.iam_endpoint",
                "address",
            ),
            (
                "region: r\nproject_id: p\nauth: { user: u, password: { env: P }, domain: d, access_key: { env: A } }",
                "sources.w.auth.access_key",
                "both \"user\" and \"access_key\"",
            ),
            (
                "region: r\nproject_id: p\nauth: { token: { env: T }, access_key: { env: A } }",
                "sources.w.auth.access_key",
                "both",
            ),
            ("region: r\nproject_id: p\nauth: { tokn: { env: T } }", "sources.w.auth.tokn", "unknown key"),
            ("region: r\nproject_id: p\nlogs: { tail: 0 }\nKEYS", "sources.w.logs.tail", "between 1 and 50"),
            ("endpoint: https://x\nproject_id: p\nlogs: {}\nKEYS", "sources.w.logs", "\"region\" is missing"),
            ("region: r\nproject_id: p\nlogs: { region: A }\nKEYS", "sources.w.logs.region", "not a valid region"),
            (
                "region: r\nproject_id: p\nauth: { token: { env: T } }\nlogs: { tail: 5 }",
                "sources.w.logs",
                "takes access keys alone",
            ),
            ("region: r\nproject_id: p\njobs: []\nKEYS", "sources.w.jobs", "the list is empty"),
            ("region: r\nproject_id: p\njobs: [a, 'b*']\nKEYS", "sources.w.jobs", "exact names"),
            ("region: r\nproject_id: p\nrequests_per_second: 0\nKEYS", "sources.w.requests_per_second", "above 0"),
            ("region: r\nproject_id: p\nrequests_per_second: fast\nKEYS", "sources.w.requests_per_second", "a number"),
        ];
        for (text, path, words) in table {
            let (_, findings) = read(&text.replace("KEYS", KEYS));
            let is_told = findings.iter().any(|one| one.path == *path && one.message.contains(words));
            assert!(is_told, "{text}: {findings:?}");
        }
    }

    #[test]
    fn a_type_that_there_is_not_is_told_with_what_was_meant() {
        for (kind, words) in
            [("dataart", "did you mean \"dataarts\"?"), ("cobol", "the types are dataarts, schedulerx, airflow, http")]
        {
            let findings = Diagnostics::new("");
            let node = node(&format!("type: {kind}"), &findings);
            let section = Section::of(&super::KEYS, &node, "sources.w", &findings).unwrap();
            assert!(SchedulerKind::of(kind, &section).is_none());
            let findings = findings.into_sorted();
            assert_eq!((findings.len(), findings[0].path.as_str()), (1, "sources.w.type"));
            assert_eq!(findings[0].help.as_deref(), Some(words));
        }
    }
}
