//! The configuration, checked: what the keys of the file come to, and what decides by them.
//!
//! Reads the files' trees; opens nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::digests::DigestSettings;
use super::keys::FILE;
use super::locale::{read_language, read_timezone};
use super::marks::Marks;
use super::matching::Names;
use super::own::HeartbeatSettings;
use super::rule_tests::RuleTest;
use super::shared::Shared;
use super::web::WebSettings;
use super::{
    calendars, defaults, digests, doubts, guide, hours, inhibit, merge, mute, own, receivers, routes, rule_tests,
    rules, sources, store, web,
};
use crate::alert::own::{ALL, RULES, Watch};
use crate::decide::{Decider, Terms};
use crate::limits::{CALENDAR_WARNED_AHEAD, HOURS_LOOKED_AHEAD, RETENTION_MAX, RETENTION_MIN};
use crate::notify::{GuideTable, Guides, ReceiverSettings};
use crate::rule::inhibit::Inhibition;
use crate::rule::{MuteWindow, Muting, NamedWindow, Route, Rule, RuleSet, first_gap};
use crate::schedule::{Calendar, RecurringWindow};
use crate::source::SourceSettings;
use crate::store::StoreAddress;
use crate::template::Guide;
use crate::yaml::{Diagnostics, Entry, Node, Section, Value, duration_text};

/// The keys of the file, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The zone of schedules and of the times in messages.
    pub timezone: TimeZone,
    /// Where the store is: `sqlite://PATH`, relative to the working directory, or `postgres://USER@HOST/DATABASE`. Not known
    /// where a `${NAME}` in it has no value and the file was read without.
    pub store: StoreAddress,
    /// How long alerts, deliveries and runs are kept after they ended.
    pub retention: Duration,
    /// The directory whose templates replace the built-in ones.
    pub templates: Option<PathBuf>,
    /// The sources, in file order.
    pub sources: Vec<SourceSettings>,
    /// The receivers, in file order.
    pub receivers: Vec<ReceiverSettings>,
    /// What is said to whoever receives an alert.
    pub guides: Guides,
    /// The rules, in file order.
    pub rules: RuleSet,
    /// The mute windows, in file order.
    pub mute_windows: Arc<[MuteWindow]>,
    /// Who else is told of alerts, in file order.
    pub routes: Arc<[Route]>,
    /// The inhibitions, in file order.
    pub inhibitions: Arc<[Inhibition]>,
    /// The calendars that anything goes by.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// The digests, in file order.
    pub digests: Vec<DigestSettings>,
    /// What is watched of Nightbell itself, and who hears of it.
    pub watch: Watch,
    /// Whom Nightbell tells that it works.
    pub heartbeat: Option<HeartbeatSettings>,
    /// Where the page and the API are served; none where nothing listens.
    pub web: Option<WebSettings>,
    /// By what an unchanged source or receiver is known again.
    pub marks: Marks,
    /// By what the files together are known again: a digest of their names and texts.
    pub fingerprint: String,
    /// The tests of the rules, in file order.
    pub tests: Vec<RuleTest>,
}

impl Config {
    /// Reads the files' trees as one. What is wrong is reported; `None` means that something was.
    pub(super) fn read(trees: Vec<Node>, findings: &Diagnostics) -> Option<Config> {
        let odd_texts = trees.iter().flat_map(doubts::odd_texts).collect();
        for tree in &trees {
            match Section::of(&FILE, tree, "", findings) {
                Some(file) => check_version(&file),
                None => findings.note_partial(),
            }
        }
        if trees.iter().all(|tree| !matches!(tree.value, Value::Map(_))) {
            return None;
        }
        let merge::Merged { mut tree, defaults } = merge::merge(trees, findings);
        let [source_names, receiver_names, mut rule_names] =
            ["sources", "receivers", "rules"].map(|key| names(&tree, key));
        rule_names.extend(RULES.iter().chain(&[ALL]).map(ToString::to_string));
        let known = Names { sources: &source_names, receivers: &receiver_names, unscheduled: &[], jobless: &[] };
        let window_names = ["windows", "mute_windows"].map(|key| names(&tree, key));
        // What they mean is not read yet, and does not matter to what is given to rules.
        let named = hours::Windows { names: window_names.concat(), ..hours::Windows::default() };
        defaults::apply(&mut tree, &defaults, &known, &named, findings);
        let file = Section::of(&FILE, &tree, "", findings)?;
        // Of each file they have been looked at.
        let _known = (file.node("version"), file.node(merge::DEFAULTS));
        let timezone = read_timezone(&file).unwrap_or(TimeZone::UTC);
        let language = read_language(&file).unwrap_or_default();
        let store = store::read(&file);
        let retention = read_retention(&file);
        let templates = read_templates(&file);
        let (sources, of_sources): (Vec<SourceSettings>, Vec<Guide>) =
            sources::read(&file, &timezone).into_iter().unzip();
        let receivers = receivers::read(&file, &timezone, language, templates.as_deref());
        let tells_none = |source: &&SourceSettings| !source.scheduler.tells_schedules();
        let unscheduled: Vec<String> = sources.iter().filter(tells_none).map(|source| source.id.to_string()).collect();
        let is_jobless = |source: &&SourceSettings| !source.scheduler.tells_jobs();
        let jobless: Vec<String> = sources.iter().filter(is_jobless).map(|source| source.id.to_string()).collect();
        let mut calendars = calendars::read(&file);
        let around =
            mute::Surroundings { names: &known, rules: &rule_names, calendars: &calendars, timezone: &timezone };
        let mute_windows: Arc<[MuteWindow]> = mute::read(&file, &around).into();
        let windows = hours::read(&file, window_names, &mute_windows, &around);
        let shared = Shared { calendars: &calendars, windows: &windows, timezone: &timezone, retention };
        let names_of_rules = Names { unscheduled: &unscheduled, jobless: &jobless, ..known };
        let (rules, of_rules): (Vec<Rule>, Vec<Guide>) =
            rules::read(&file, &names_of_rules, &shared).into_iter().unzip();
        let table = GuideTable {
            jobs: Vec::new(),
            rules: rules.iter().map(|rule| rule.id.clone()).zip(of_rules).collect(),
            sources: sources.iter().map(|source| source.id.clone()).zip(of_sources).collect(),
        };
        let guides = guide::read_all(&file, &known, table);
        let inhibitions = inhibit::read(&file, &around).into();
        let routes = routes::read(&file, &around, &windows);
        let days = |window: &RecurringWindow| match window {
            RecurringWindow::Daily(daily) => Some(daily.days.calendar.clone()),
            RecurringWindow::Scheduled { .. } => None,
        };
        let of_rules = rules.iter().filter_map(|rule| Some(rule.when.trigger.as_ref()?.days()?.calendar.clone()));
        let used: Vec<Arc<Calendar>> = windows.read.values().filter_map(days).chain(of_rules).collect();
        calendars.retain(|_, calendar| used.iter().any(|used| Arc::ptr_eq(used, calendar)));
        let around = digests::Surroundings { names: &known, timezone: &timezone, receivers: &receivers, retention };
        let digests = digests::read(&file, &around);
        let watch = own::read(&file, &known);
        let heartbeat = own::read_heartbeat(&file);
        let web = web::read(&file);
        let page = web.as_ref().and_then(|web| web.url.clone());
        let whole = |receiver| ReceiverSettings { page: page.clone(), guides: guides.clone(), ..receiver };
        let receivers: Vec<ReceiverSettings> = receivers.into_iter().map(whole).collect();
        let (own_names, zone) = (names(&tree, "rules"), &timezone);
        let around = rule_tests::Surroundings { names: &known, rules: &own_names, sources: &sources, timezone: zone };
        let tests = rule_tests::read(&file, &around);
        let told = rules.iter().flat_map(|rule| rule.receivers().map(|id| id.as_str().to_string()));
        let fallbacks = receivers.iter().filter_map(|receiver| Some(receiver.fallback.as_ref()?.to.to_string()));
        let routed = routes.iter().flat_map(|route| route.notify.iter().map(ToString::to_string));
        let told: Vec<String> = told
            .chain(digests::receivers(&file))
            .chain(own::receivers(&watch))
            .chain(fallbacks)
            .chain(routed)
            .collect();
        file.report_unknown();
        doubts::warn_of_texts(odd_texts, findings);
        // A broken rule may be the one that notifies it.
        if !findings.has_errors() {
            doubts::warn_of_hours(&file, &rules, &routes);
            warn_of_unused_receivers(&file, &told);
            doubts::warn(&file, &rules, &routes, &sources);
        }
        let rules_at = file.place_of("rules");
        let (marks, fingerprint) = (Marks::of(&tree), String::new());
        let rules =
            RuleSet::compile(rules).map_err(|error| findings.error(rules_at, "rules", error.to_string(), None)).ok()?;
        Some(Config {
            timezone,
            store,
            retention,
            templates,
            sources,
            receivers,
            guides,
            rules,
            mute_windows,
            routes,
            calendars,
            digests,
            watch,
            heartbeat,
            web,
            marks,
            fingerprint,
            tests,
            inhibitions,
        })
    }
}

impl Config {
    /// Everything that mutes, but for silences, which are not configured.
    pub fn muting(&self) -> Muting {
        let sources = self.sources.iter().map(|source| source.id.clone()).collect();
        Muting::new(Arc::clone(&self.mute_windows)).inhibiting(Arc::clone(&self.inhibitions), sources)
    }

    /// What decides about a source, by what is said here. `generation` counts the configurations in force.
    pub fn decider(&self, settings: &SourceSettings, generation: Option<i64>) -> Decider {
        let (id, kind) = (settings.id.clone(), settings.scheduler.kind());
        let mut decider = Decider::new(id, kind, settings.first_poll, self.rules.clone());
        let receivers = self.receivers.iter().map(|receiver| receiver.id.clone()).collect();
        decider.terms = Terms {
            labels: settings.labels.clone(),
            routes: Arc::clone(&self.routes),
            receivers: Some(Arc::new(receivers)),
            generation,
        };
        decider.muting = self.muting();
        decider
    }

    /// The times to come at which nobody would be told of what some rule finds: no step of it and no route goes by them.
    pub fn uncovered_hours(&self, now: Timestamp) -> Vec<String> {
        let until = now.checked_add(HOURS_LOOKED_AHEAD).unwrap_or(Timestamp::MAX);
        let uncovered = |rule: &Rule| {
            let of_steps = rule.hours.iter().map(|step| step.hours.during.as_ref());
            let of_routes = self.routes.iter().filter(|route| route.matches.may_concern(rule));
            let at_once = rule.notify.iter().take(1).filter(|_| rule.hours.is_empty()).map(|_| None);
            let all: Vec<Option<&NamedWindow>> =
                at_once.chain(of_steps).chain(of_routes.map(|route| route.hours.during.as_ref())).collect();
            // One of them tells at any hour; or nobody is told at all, which is said elsewhere.
            let windows =
                all.into_iter().collect::<Option<Vec<&NamedWindow>>>().filter(|windows| !windows.is_empty())?;
            let open: Vec<&RecurringWindow> = windows.iter().map(|named| &named.window).collect();
            let (from, to) = first_gap(&open, now, until)?;
            let mut names: Vec<&str> = windows.iter().map(|named| &*named.name).collect();
            names.dedup();
            let shown = |at: Timestamp| at.to_zoned(self.timezone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string();
            Some(format!(
                "rules.{}: nobody is notified from {} to {}: {} closed then; add a step or a route for that time",
                rule.id,
                shown(from),
                shown(to),
                match names.as_slice() {
                    [one] => format!("{one} is"),
                    several => format!("{} are", several.join(", ")),
                }
            ))
        };
        self.rules.rules().iter().filter_map(uncovered).collect()
    }

    /// What is missing of the calendars that anything goes by, now and in the weeks to come: of a year that a calendar
    /// does not cover, only the weekdays are known.
    pub fn calendar_gaps(&self, now: Timestamp) -> Vec<String> {
        let ahead = SignedDuration::try_from(CALENDAR_WARNED_AHEAD).unwrap_or_default();
        let year_at = |at: Timestamp| at.to_zoned(self.timezone.clone()).year();
        let mut years = vec![year_at(now), year_at(now.saturating_add(ahead).unwrap_or(now))];
        years.dedup();
        let mut gaps = Vec::new();
        for (name, calendar) in &self.calendars {
            let covered: Vec<String> = calendar.years().map(|year| year.to_string()).collect();
            for year in years.iter().filter(|year| !calendar.years().any(|covered| covered == **year)) {
                gaps.push(format!(
                    "the calendar {name} covers {}, and not {year}: in that year it goes by weekdays alone; add \
                     calendars: {{ {name}: {{ file: {name}-{year}.yaml }} }}",
                    covered.join(", ")
                ));
            }
        }
        gaps
    }
}

/// The keys of a mapping of the user's names, whether or not what they name is right: a rule that points to a broken
/// receiver points to a receiver all the same.
fn names(tree: &Node, key: &str) -> Vec<String> {
    let Value::Map(sections) = &tree.value else { return Vec::new() };
    // The last one of duplicate keys counts; the duplicate itself has been reported.
    let section = sections.iter().rev().find(|section| section.key == key);
    let Some(Entry { node: Node { value: Value::Map(entries), .. }, .. }) = section else { return Vec::new() };
    entries.iter().map(|entry| entry.key.clone()).collect()
}

fn check_version(file: &Section<'_>) {
    if let Some(version) = file.required::<String>("version")
        && version != "1"
    {
        file.error("version", format!("version {version:?} is not known to this program"), Some("write 1".into()));
    }
}

fn read_retention(file: &Section<'_>) -> Duration {
    let retention = file.or_default::<Duration>("retention");
    if !(RETENTION_MIN..=RETENTION_MAX).contains(&retention) {
        let days = |span: Duration| format!("{}d", span.as_secs() / 86_400);
        let help = format!("write something from {} to {}", days(RETENTION_MIN), days(RETENTION_MAX));
        file.error("retention", format!("nothing is kept for {}", duration_text(retention)), Some(help));
    }
    retention
}

fn read_templates(file: &Section<'_>) -> Option<PathBuf> {
    let path = file.optional::<PathBuf>("templates")?;
    if !path.is_dir() {
        file.error("templates", format!("there is no directory {}", path.display()), None);
    }
    Some(path)
}

fn warn_of_unused_receivers(file: &Section<'_>, told: &[String]) {
    let Some(receivers) = file.node("receivers") else { return };
    let Value::Map(entries) = &receivers.value else { return };
    for entry in entries.iter().filter(|entry| !told.contains(&entry.key)) {
        let help = Some("name it under \"notify\" of a rule, or remove it".to_string());
        let path = format!("receivers.{}", entry.key);
        file.findings().warning(entry.at, path, format!("nothing notifies the receiver {:?}", entry.key), help);
    }
}
