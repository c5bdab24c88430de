//! The part of a source's configuration that describes a scheduler behind HTTP and JSON.
//!
//! Reads keys of the source's section and reports what is wrong with them; contacts nobody and resolves no secret.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use reqwest::Url;

use super::auth::{AUTH, AuthSettings};
use super::budget;
use super::fields::{NAME_FIELDS, NODE_FIELDS, RUN_FIELDS, read_name, read_node, read_run, statuses_by_word};
use super::fill::{Name, Template, Values};
use super::map::{Field, NodeMap, RunMap};
use super::pages::{Mark, Paging, PagingSettings};
use super::paging::{PAGING_KEY, read_paging};
use super::pointer::Pointer;
use super::request::{REQUEST, RequestSettings};
use crate::http::CA_FILE;
use crate::secret::SecretRef;
use crate::source::kit::settings::read_pace;
use crate::yaml::{Key, Keys, Section, Shape};

const ITEMS_KEY: Key =
    Key::new("items", Shape::TextOr(&ITEMS), "Where the list of rows stands.").required().example("/runs");
const STATUS_MAP: Key = Key::new(
    "status_map",
    Shape::Other("statuses by the scheduler's words", statuses_by_word),
    "What its words for a status mean; one that is not here is unknown.",
);

/// The keys that belong to the kind.
pub static KEYS: Keys = Keys::of(
    "source_http",
    "Any scheduler behind HTTP and JSON, described here; see docs/sources/http.md.",
    &[
        REQUEST,
        &[
            ITEMS_KEY,
            Key::new("fields", Shape::Mapping(&RUN_FIELDS), "Where a row has what.")
                .required()
                .example("{ id: /id, job: /job, status: /state, planned: /due_at }"),
            STATUS_MAP.required().example("{ DONE: success, FAILED: fail }"),
            PAGING_KEY,
            Key::new("timezone", Shape::Zone, "The zone of times that name none, in requests and answers."),
            Key::new("auth", Shape::Mapping(&AUTH), "How requests prove who asks."),
            Key::new("run", Shape::Mapping(&RUN), "The request about one run, made when the list no longer has it."),
            Key::new("detail", Shape::Mapping(&DETAIL), "The request for the steps of a run that failed."),
            Key::new("log", Shape::Mapping(&LOG), "The request for the log of a run, or of the step that failed last."),
            Key::new("jobs", Shape::Mapping(&JOBS), "The list of jobs, where runs have their jobs' ids only."),
            Key::new(
                "console_url",
                Shape::Text,
                "A run's page, for people; {{id}}, {{job}} and {{job_id}} are its values.",
            ),
            Key::new("requests_per_second", Shape::Number, "At most so many requests a second.").default("5"),
            Key::new(
                "calls_per_day",
                Shape::Whole,
                "At most so many requests a day, by which the interval of polls is planned.",
            ),
            CA_FILE,
        ],
    ],
);

static RUN: Keys = Keys::of(
    "http_run",
    "The request about one run.",
    &[
        REQUEST,
        &[Key::new("item", Shape::Text, "Where the run stands in the answer; without it, the answer is the run.")],
    ],
);
static DETAIL: Keys = Keys::of(
    "http_detail",
    "The request for the steps of a run.",
    &[
        REQUEST,
        &[
            ITEMS_KEY,
            Key::new("fields", Shape::Mapping(&NODE_FIELDS), "Where a step has what.")
                .required()
                .example("{ name: /name, status: /state }"),
            STATUS_MAP,
        ],
    ],
);
static LOG: Keys = Keys::of(
    "http_log",
    "The request for a log.",
    &[REQUEST, &[Key::new("pointer", Shape::Text, "Where the text stands; without it, it is the answer.")]],
);
static JOBS: Keys = Keys::of(
    "http_jobs",
    "The list of jobs.",
    &[
        REQUEST,
        &[
            ITEMS_KEY,
            Key::new("fields", Shape::Mapping(&NAME_FIELDS), "Where a row has what.")
                .required()
                .example("{ id: /id, name: /name }"),
            PAGING_KEY,
        ],
    ],
);
static ITEMS: Keys = Keys::of(
    "http_items",
    "Where the list of rows stands.",
    &[&[
        Key::new("pointer", Shape::Text, "Its place.").required().example("/runs"),
        Key::new("optional", Shape::Flag, "Whether a list without rows may be left out of an answer.").default("false"),
    ]],
);
/// How to read a scheduler.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) list: ListSettings,
    pub(super) map: RunMap,
    pub(super) auth: AuthSettings,
    pub(super) timezone: Option<TimeZone>,
    /// One run, asked after by itself.
    pub(super) run: Option<(RequestSettings, Pointer)>,
    /// The steps of a run.
    pub(super) detail: Option<(RequestSettings, Items, NodeMap)>,
    /// The log of a run, or of a failing step.
    pub(super) log: Option<(RequestSettings, Option<Pointer>)>,
    /// The names of jobs.
    pub(super) jobs: Option<(ListSettings, Field, Field)>,
    pub(super) console_url: Option<Template>,
    pub(super) requests_per_second: f64,
    pub(super) calls_per_day: Option<u32>,
    pub(super) ca_file: Option<PathBuf>,
}

/// A list: how its pages are asked for, and where the rows are.
#[derive(Debug, Clone)]
pub(super) struct ListSettings {
    pub(super) request: RequestSettings,
    pub(super) items: Items,
    pub(super) paging: PagingSettings,
}

/// Where the rows are.
#[derive(Debug, Clone)]
pub(super) struct Items {
    pub(super) pointer: Pointer,
    /// Whether a list without rows may be left out of an answer.
    pub(super) is_optional: bool,
}

impl ListSettings {
    /// Whether the scheduler is asked for a window.
    pub(super) fn has_window(&self) -> bool {
        self.request.names().iter().any(|name| matches!(name, Name::From | Name::To | Name::Day | Name::DayBefore))
    }

    /// Whether it is asked day by day.
    pub(super) fn goes_by_day(&self) -> bool {
        self.request.names().iter().any(|name| matches!(name, Name::Day | Name::DayBefore))
    }
}

impl Settings {
    /// Reads the keys of a source. The section stays open: the others are read elsewhere.
    pub fn read(section: &Section<'_>) -> Option<Settings> {
        let timezone = section.optional::<TimeZone>("timezone");
        let auth = AuthSettings::read(section);
        let zone = timezone.as_ref();
        let list = read_list(section, &WINDOW);
        let map = read_run(section, zone);
        let run = read_part(section, "run", |part, request| {
            let item = part.optional::<Pointer>("item").unwrap_or(Pointer::whole());
            Some((request, item))
        });
        let detail = read_part(section, "detail", |part, request| {
            let (items, nodes) = (read_items(part), map.as_ref().and_then(|map| read_node(part, zone, &map.statuses)));
            Some((request, items?, nodes?))
        });
        let log = read_part(section, "log", |part, request| Some((request, part.optional::<Pointer>("pointer"))));
        let jobs = read_jobs(section);
        let console_url = section.optional::<Template>("console_url");
        let requests_per_second = read_pace(section);
        let calls_per_day = section.optional::<u32>("calls_per_day");
        if calls_per_day == Some(0) {
            section.error("calls_per_day", "it must be more than 0", None);
        }
        let ca_file = section.optional("ca_file");
        let settings = Settings {
            list: list?,
            map: map?,
            auth: auth?,
            timezone,
            run: run?,
            detail: detail?,
            log: log?,
            jobs: jobs?,
            console_url,
            requests_per_second: requests_per_second?,
            calls_per_day,
            ca_file,
        };
        settings.check(section)
    }

    /// What holds between the keys.
    fn check(self, section: &Section<'_>) -> Option<Settings> {
        let requests = [Some(&self.list.request), self.jobs.as_ref().map(|(list, ..)| &list.request)];
        if self.timezone.is_none()
            && requests.into_iter().flatten().any(RequestSettings::needs_zone)
            && !section.has("timezone")
        {
            let help = "write timezone: Asia/Shanghai, the zone in which the scheduler reads times";
            section.error("", "a time in the request names no zone", Some(help.into()));
            return None;
        }
        if self.list.request.address(None, &Values::default()).is_err() {
            section.error("url", "this is not a valid address", Some("write it as https://host/path".into()));
            return None;
        }
        if let Some(log) = &self.log
            && log.0.names().contains(&Name::Node)
            && self.detail.as_ref().is_none_or(|(_, _, nodes)| nodes.id.is_none())
        {
            section.error("log", "{{node}} is the \"id\" of a step, which \"detail\" does not read", None);
            return None;
        }
        if let Some(calls) = self.calls_per_day {
            let (per_poll, minutes) = self.plan();
            let words = format!(
                "{calls} calls a day and {per_poll} a poll: without a \"poll\" of its own it is polled every {}",
                budget::span(minutes)
            );
            if budget::is_coarse(minutes) {
                section.warning(
                    "calls_per_day",
                    words,
                    Some("rules about what must be ready by a time suit such a source best".into()),
                );
            }
        }
        (self.calls_per_day != Some(0)).then_some(self)
    }

    /// Requests that a poll takes at least, and the minutes between polls that the calls of a day allow.
    pub(super) fn plan(&self) -> (u32, u32) {
        // A window of a day touches two days.
        let lists = if self.list.goes_by_day() { 2 } else { 1 };
        let per_poll = lists * if self.has_last_empty_page() { 2 } else { 1 };
        (per_poll, self.calls_per_day.map_or(1, |calls| budget::minutes(per_poll, calls)))
    }

    /// Whether the end of the list shows in a page of its own.
    fn has_last_empty_page(&self) -> bool {
        let paging = &self.list.paging;
        let ends_by_itself = matches!(paging.paging, Paging::None | Paging::Cursor(Mark::Answer(_)) | Paging::Link(_));
        !ends_by_itself && paging.total.is_none() && paging.more.is_none()
    }

    /// The crontab by which it is polled where the configuration does not say; the usual one without a budget.
    pub(super) fn poll_default(&self) -> Option<String> {
        self.calls_per_day.map(|_| budget::crontab(self.plan().1))
    }

    /// The address of the list, without what is filled in.
    pub(super) fn base(&self) -> Option<Url> {
        self.list.request.address(None, &Values::default()).ok()
    }

    /// What is listed, as a text that changes when that does.
    pub(super) fn scope(&self) -> String {
        format!("{:?} {:?}", self.list.request.url, self.list.request.query)
    }

    /// What must have a value before the source can be asked, each with its key.
    pub(super) fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let mut all = self.list.request.secrets();
        all.extend(self.auth.secrets());
        let parts = [
            ("run", self.run.as_ref().map(|it| &it.0)),
            ("detail", self.detail.as_ref().map(|it| &it.0)),
            ("log", self.log.as_ref().map(|it| &it.0)),
            ("jobs", self.jobs.as_ref().map(|it| &it.0.request)),
        ];
        for (key, request) in parts {
            let secrets = request.map(RequestSettings::secrets).unwrap_or_default();
            all.extend(secrets.into_iter().map(|(name, secret)| (format!("{key}.{name}"), secret)));
        }
        all
    }
}

const WINDOW: [Name; 7] = [Name::From, Name::To, Name::Day, Name::DayBefore, Name::Page, Name::Offset, Name::Cursor];
const LISTED: [Name; 3] = [Name::Page, Name::Offset, Name::Cursor];
const ONE_RUN: [Name; 4] = [Name::Id, Name::Job, Name::JobId, Name::Node];

/// A request about one run, where the configuration has it; the outer `None` means reported.
fn read_part<T>(
    section: &Section<'_>,
    key: &'static str,
    read: impl FnOnce(&Section<'_>, RequestSettings) -> Option<T>,
) -> Option<Option<T>> {
    if !section.has(key) {
        let _ = section.node(key);
        return Some(None);
    }
    let part = section.section(key)?;
    let request = RequestSettings::read(&part, &ONE_RUN);
    let read = request.and_then(|request| read(&part, request));
    if read.is_some() {
        part.close();
    }
    read.map(Some)
}

fn read_jobs(section: &Section<'_>) -> Option<Option<(ListSettings, Field, Field)>> {
    if !section.has("jobs") {
        let _ = section.node("jobs");
        return Some(None);
    }
    let part = section.section("jobs")?;
    let (list, names) = (read_list(&part, &LISTED), read_name(&part));
    part.close();
    let (id, name) = names?;
    Some(Some((list?, id, name)))
}

fn read_list(section: &Section<'_>, allowed: &[Name]) -> Option<ListSettings> {
    let request = RequestSettings::read(section, allowed);
    let items = read_items(section);
    let paging = read_paging(section, request.as_ref());
    Some(ListSettings { request: request?, items: items?, paging: paging? })
}

fn read_items(section: &Section<'_>) -> Option<Items> {
    let is_map = section.node("items").is_some_and(|node| matches!(node.value, crate::yaml::Value::Map(_)));
    if !is_map {
        return Some(Items { pointer: section.required("items")?, is_optional: false });
    }
    let items = section.section("items")?;
    let (pointer, is_optional) = (items.required("pointer"), items.or_default("optional"));
    items.close();
    Some(Items { pointer: pointer?, is_optional })
}
