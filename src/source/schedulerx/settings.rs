//! The part of a source's configuration that is SchedulerX' own.
//!
//! Reads keys of the source's section and reports what is wrong with them; contacts nobody and resolves no secret.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::http::{CA_FILE, read_place};
use crate::limits::SCHEDULERX_CALLS_PER_MINUTE;
use crate::secret::SecretRef;
use crate::source::kit::settings::{ALIBABA_KEYS, read_texts};
use crate::yaml::{Key, Keys, OneOrMany, Section, Shape};

/// Regions with a host of their own; all others share the central one.
const REGIONS_WITH_A_HOST: [&str; 4] = ["cn-hangzhou", "cn-beijing", "cn-shanghai", "cn-shenzhen"];
const SHARED_HOST: &str = "schedulerx.aliyuncs.com";

/// The keys that belong to the kind.
pub static KEYS: Keys = Keys::of(
    "source_schedulerx",
    "Groups of Alibaba Cloud SchedulerX.",
    &[&[
        Key::new("region", Shape::Text, "The region; or name an endpoint.").example("cn-hangzhou"),
        Key::new("endpoint", Shape::Text, "Instead of the region's own host: VPC, proxies."),
        Key::new("namespace", Shape::Text, "The namespace's id.").required(),
        Key::new("groups", Shape::Texts, "The groups' ids (\"application id\" in the console).").required(),
        Key::new("jobs", Shape::Texts, "The ids of the jobs to listen to. Without it, all jobs of the groups."),
        Key::new(
            "workflows",
            Shape::Flag,
            "Also report workflows, the runs of their jobs as nodes (Professional edition).",
        )
        .default("false"),
        Key::new("auth", Shape::Mapping(&AUTH), "The keys of a RAM user who may read the groups.")
            .required()
            .example("{ access_key: { env: ALIBABA_AK }, secret_key: { env: ALIBABA_SK } }"),
        Key::new("timezone", Shape::Zone, "The zone of the service's time strings.").default("Asia/Shanghai"),
        CA_FILE,
    ]],
)
.any_of(&[&["region"], &["endpoint"]]);

static AUTH: Keys = Keys::of("auth_alibaba", "The keys of a RAM user.", &[ALIBABA_KEYS]);

/// How to reach the groups of one namespace.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host, port and, behind a proxy, a path; without a slash at the end.
    pub endpoint: String,
    /// The region, which most calls name; unknown behind an `endpoint` that does not show it.
    pub region: Option<String>,
    /// The namespace's id.
    pub namespace: String,
    /// The groups' ids (the service's "application id").
    pub groups: Vec<String>,
    /// The ids of the jobs that are listened to; all when empty.
    pub jobs: Vec<String>,
    /// Whether workflows are listened to, beside the runs of their jobs.
    pub workflows: bool,
    /// Names the key.
    pub access_key: SecretRef,
    /// Signs with it.
    pub secret_key: SecretRef,
    /// Comes with temporary keys.
    pub security_token: Option<SecretRef>,
    /// The zone of the service's time strings, which name none.
    pub timezone: TimeZone,
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Calls of one operation in any minute, shared by all sources of the key.
    pub calls_per_minute: usize,
}

impl Settings {
    /// What is listed, as a text that changes when that does.
    pub(super) fn scope(&self) -> String {
        let workflows = if self.workflows { ";workflows" } else { "" };
        format!("{};{}{workflows}", self.groups.join(","), self.jobs.join(","))
    }

    /// Whether the region's host is the one that all regions without a host of their own are said to share.
    pub(super) fn has_shared_host(&self) -> bool {
        self.endpoint.strip_prefix("https://") == Some(SHARED_HOST)
    }

    /// Reads SchedulerX' own keys of a source. The section stays open: the others are read elsewhere.
    pub fn read(section: &Section<'_>) -> Option<Settings> {
        let place = read_where(section);
        let namespace = read_id(section, "namespace");
        let groups = read_ids(section, "groups", true);
        let jobs = read_ids(section, "jobs", false);
        let workflows = section.or_default::<bool>("workflows");
        let auth = section.required_section("auth");
        let keys = auth.and_then(|auth| {
            let (access_key, secret_key) = (auth.required("access_key"), auth.required("secret_key"));
            let security_token = auth.optional("security_token");
            auth.close();
            Some((access_key?, secret_key?, security_token))
        });
        let timezone = section.optional::<TimeZone>("timezone");
        let ca_file = section.optional("ca_file");
        let (endpoint, region) = place?;
        let (access_key, secret_key, security_token) = keys?;
        Some(Settings {
            endpoint,
            region,
            namespace: namespace?,
            groups: groups?,
            jobs: jobs?,
            workflows,
            access_key,
            secret_key,
            security_token,
            timezone: timezone.or_else(|| section.default_of("timezone")).unwrap_or(TimeZone::UTC),
            ca_file,
            calls_per_minute: SCHEDULERX_CALLS_PER_MINUTE,
        })
    }

    /// What must have a value before the source can be asked, each with its key.
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let mut secrets =
            vec![("auth.access_key".to_string(), &self.access_key), ("auth.secret_key".to_string(), &self.secret_key)];
        secrets.extend(self.security_token.iter().map(|token| ("auth.security_token".to_string(), token)));
        secrets
    }
}

/// The endpoint, and the region where it is known.
fn read_where(section: &Section<'_>) -> Option<(String, Option<String>)> {
    let host_of = |region: &str| match REGIONS_WITH_A_HOST.contains(&region) {
        true => format!("schedulerx.{region}.aliyuncs.com"),
        false => SHARED_HOST.to_string(),
    };
    let (endpoint, region) = read_place(section, "cn-hangzhou", host_of)?;
    let region = region.or_else(|| region_of(&endpoint));
    Some((endpoint, region))
}

/// The region that a host of the service shows: `schedulerx.cn-hangzhou.aliyuncs.com`, or the same for a VPC.
fn region_of(endpoint: &str) -> Option<String> {
    let host = endpoint.split("://").nth(1)?.split([':', '/']).next()?;
    let rest = host.strip_prefix("schedulerx.").or_else(|| host.strip_prefix("schedulerx-vpc."))?;
    let region = rest.strip_suffix(".aliyuncs.com")?;
    (!region.is_empty() && !region.contains('.')).then(|| region.to_string())
}

fn read_id(section: &Section<'_>, key: &'static str) -> Option<String> {
    let id = section.required::<String>(key)?;
    if id.is_empty() {
        section.error(key, "it is empty", None);
        return None;
    }
    Some(id)
}

/// The ids under a key, one or a list of them, each once.
fn read_ids(section: &Section<'_>, key: &'static str, is_required: bool) -> Option<Vec<String>> {
    if is_required && !section.has(key) {
        return section.required::<OneOrMany<String>>(key).map(|ids| ids.0);
    }
    read_texts(section, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostic, Diagnostics, Environment, parse};

    fn read(text: &str) -> (Option<Settings>, Vec<Diagnostic>) {
        let findings = Diagnostics::new("/etc/nightbell");
        let node = parse(text, &Environment { lookup: &|_| None, required: false }, &findings).unwrap();
        let section = Section::of(&super::KEYS, &node, "sources.x", &findings).unwrap();
        let settings = Settings::read(&section);
        section.close();
        (settings, findings.into_sorted())
    }

    const KEYS: &str = "auth: { access_key: { env: AK }, secret_key: { env: SK } }";

    #[test]
    fn all_keys_are_read() {
        let (settings, findings) = read(
            "region: cn-hangzhou\nnamespace: n\ngroups: [a, b, a]\njobs: [92583]\nworkflows: true\ntimezone: UTC\nca_file: ca.pem\n\
             auth: { access_key: { env: AK }, secret_key: { file: sk }, security_token: { env: ST } }",
        );
        assert_eq!(findings, []);
        let settings = settings.unwrap();
        assert_eq!(settings.endpoint, "https://schedulerx.cn-hangzhou.aliyuncs.com");
        assert_eq!((settings.region.as_deref(), settings.namespace.as_str()), (Some("cn-hangzhou"), "n"));
        assert_eq!((settings.groups.join(" "), settings.jobs.join(" ")), ("a b".into(), "92583".into()));
        assert!(settings.workflows);
        assert_eq!(settings.timezone.iana_name(), Some("UTC"));
        assert_eq!(settings.ca_file, Some(PathBuf::from("/etc/nightbell/ca.pem")));
        let keys: Vec<_> = settings.secrets().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["auth.access_key", "auth.secret_key", "auth.security_token"]);
    }

    #[test]
    fn a_region_names_its_host_and_a_host_its_region() {
        let table = [
            ("region: cn-shenzhen", "https://schedulerx.cn-shenzhen.aliyuncs.com", Some("cn-shenzhen")),
            ("region: ap-southeast-1", "https://schedulerx.aliyuncs.com", Some("ap-southeast-1")),
            ("region: public", "https://schedulerx.aliyuncs.com", Some("public")),
            (
                "endpoint: https://schedulerx-vpc.cn-beijing.aliyuncs.com/",
                "https://schedulerx-vpc.cn-beijing.aliyuncs.com",
                Some("cn-beijing"),
            ),
            ("endpoint: http://127.0.0.1:8080", "http://127.0.0.1:8080", None),
            ("endpoint: http://proxy:8080/x\nregion: cn-beijing", "http://proxy:8080/x", Some("cn-beijing")),
        ];
        for (text, endpoint, region) in table {
            let (settings, findings) = read(&format!("{text}\nnamespace: n\ngroups: g\n{KEYS}"));
            assert_eq!(findings, [], "{text}");
            let settings = settings.unwrap();
            assert_eq!((settings.endpoint.as_str(), settings.region.as_deref()), (endpoint, region), "{text}");
            assert_eq!(settings.timezone.iana_name(), Some("Asia/Shanghai"));
            assert_eq!(settings.has_shared_host(), endpoint == "https://schedulerx.aliyuncs.com");
        }
    }

    #[test]
    fn what_is_wrong_is_told_at_its_key() {
        let table: &[(&str, &str, &str)] = &[
            ("namespace: n\ngroups: g\nKEYS", "sources.x", "\"region\" and \"endpoint\""),
            ("region: China\nnamespace: n\ngroups: g\nKEYS", "sources.x.region", "not a valid region"),
            ("endpoint: x.example.com\nnamespace: n\ngroups: g\nKEYS", "sources.x.endpoint", "address"),
            ("region: r\ngroups: g\nKEYS", "sources.x", "\"namespace\" is missing"),
            ("region: r\nnamespace: \"\"\ngroups: g\nKEYS", "sources.x.namespace", "empty"),
            ("region: r\nnamespace: n\nKEYS", "sources.x", "\"groups\" is missing"),
            ("region: r\nnamespace: n\ngroups: []\nKEYS", "sources.x.groups", "empty"),
            ("region: r\nnamespace: n\ngroups: [\"\"]\nKEYS", "sources.x.groups", "empty"),
            ("region: r\nnamespace: n\ngroups: g\njobs: {a: b}\nKEYS", "sources.x.jobs", "expected"),
            ("region: r\nnamespace: n\ngroups: g\nworkflows: [7]\nKEYS", "sources.x.workflows", "expected"),
            (
                "region: r\nnamespace: n\ngroups: g\ntimezone: Asia/Shangai\nKEYS",
                "sources.x.timezone",
                "not a valid time zone",
            ),
            ("region: r\nnamespace: n\ngroups: g", "sources.x", "\"auth\" is missing"),
            (
                "region: r\nnamespace: n\ngroups: g\nauth: { access_key: { env: A } }",
                "sources.x.auth",
                "\"secret_key\" is missing",
            ),
            ("region: r\nnamespace: n\ngroups: g\nauth: { token: { env: A } }", "sources.x.auth.token", "unknown key"),
            ("region: r\nnamespace: n\ngroup: g\nKEYS", "sources.x.group", "unknown key"),
            ("region: r\nnamespace: n\ngroups: g\nproject_id: p\nKEYS", "sources.x.project_id", "unknown key"),
        ];
        for (text, path, words) in table {
            let (_, findings) = read(&text.replace("KEYS", KEYS));
            let is_told = findings.iter().any(|one| one.path == *path && one.message.contains(words));
            assert!(is_told, "{text}: {findings:?}");
        }
    }
}
