//! What several alerts come to: their headline, and the lines that name each of them.
//!
//! At night a bad connection fails thirty jobs at once, and what matters is what they share: where, since when, and of what.
//! So the headline says what all of them have in common, and alerts that are alike share a line: one line for each error,
//! with the names of its jobs and the first log to look at. Reads facts; knows no channel and no escaping.

use serde::{Serialize, Serializer};

use super::failure::failure_line;
use super::language::{Language, truncated};
use super::listener::Listener;
use super::verdict::grouped;
use crate::limits::{GROUP_ALIKE_MIN, GROUP_LINES_MAX, GROUP_LINKS_MAX, GROUP_NODES_MAX};
use crate::model::{AlertFacts, AlertState, GroupFacts, Piece, Prose, ReasonCode, Severity};

/// One line of a message about several alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupLine {
    /// `resolved`, or the severity of what fires.
    pub level: &'static str,
    /// What happened: to one job, or to how many.
    pub text: String,
    /// The names of the jobs that the line stands for, where it stands for several alerts.
    pub names: Option<String>,
    /// The same jobs one by one.
    pub jobs: Vec<String>,
    /// The node to look at first and its log path, where they are known.
    pub node: Option<String>,
    /// What the configuration says of them: what that means, where it says what to do, and where they are in the scheduler.
    #[serde(flatten)]
    pub guide: LineGuide,
    /// Where the alert is on the page, where the line stands for one.
    pub url: Option<String>,
    /// Where one acknowledges it.
    pub ack_url: Option<String>,
}

/// What the configuration says of the alerts of a line: the same of all of them, or what it says of the first, which is the
/// worst, and then with that one's job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineGuide {
    /// What it means; nothing where a line above has said so.
    #[serde(serialize_with = "in_pieces")]
    pub description: Prose,
    /// Where it says what to do.
    pub runbook: Option<String>,
    /// The job whose runbook that is, where others of the line have another one.
    pub runbook_of: Option<String>,
    /// Where the job or the run is in the scheduler's console.
    pub console_url: Option<String>,
    /// The job that is shown there, where the line stands for several.
    pub console_of: Option<String>,
}

/// A template must know which pieces of a text are whose.
fn in_pieces<S: Serializer>(prose: &Prose, serializer: S) -> Result<S::Ok, S::Error> {
    let piece = |piece: &Piece| serde_json::json!({ "text": piece.text, "is_own": piece.is_own });
    serializer.collect_seq(prose.0.iter().map(piece))
}

/// Longest text of one alert in a group, in characters.
const TEXT_MAX: usize = 120;
/// Longest error in a group, in characters.
const ERROR_MAX: usize = 100;
/// Longest log path in a group, in characters. Half a path leads nowhere, so a longer one is left out.
const LOG_MAX: usize = 200;
/// Longest name in a group, in characters.
const NAME_MAX: usize = 60;

/// "30 load_* jobs failed in warehouse since 20:31: connection refused", or how many there are of each severity.
pub(super) fn group_headline(group: &GroupFacts, listener: &Listener<'_>) -> String {
    let language = listener.language;
    let all: Vec<&AlertFacts> = group.alerts.iter().collect();
    let said = match Alike::of(&all).filter(|alike| all.len() > 1 && alike.did(language).is_some()) {
        Some(alike) => alike.text(listener, true),
        // One that is told again is told by its own words.
        None if all.len() == 1 => super::summary(all[0], language),
        None => counted(group, listener),
    };
    let still = group.last_told_at.map(|_| language.say("group.still", &[])).unwrap_or_default();
    let held =
        group.held_for.as_ref().map(|window| language.say("group.held", &[("window", window)])).unwrap_or_default();
    format!("{held}{still}{said}")
}

/// How many there are of each level, the worst first: "1 critical, 4 errors, 1 resolved", one by one.
fn counts<'a>(alerts: impl Iterator<Item = &'a AlertFacts> + Clone) -> Vec<(&'static str, String)> {
    let levels = Severity::ALL.iter().map(|severity| severity.as_str()).chain([AlertState::Resolved.as_str()]);
    let counts = levels.map(|it| (it, alerts.clone().filter(|facts| level(facts) == it).count()));
    counts.filter(|(_, count)| *count > 0).map(|(level, count)| (level, count.to_string())).collect()
}

/// The same as a text.
fn listed_counts(counts: &[(&'static str, String)], language: Language) -> String {
    let said = |(level, n): &(&str, String)| language.say(&format!("group.count.{level}"), &[("n", n)]);
    counts.iter().map(said).collect::<Vec<_>>().join(&language.say("comma", &[]))
}

/// "6 alerts: 1 critical, 4 errors, 1 resolved (warehouse, since 20:31)".
fn counted(group: &GroupFacts, listener: &Listener<'_>) -> String {
    let language = listener.language;
    let counts = counts(group.alerts.iter());
    let said = match &counts[..] {
        [(level, n)] if group.waiting == 0 => language.say(&format!("group.all.{level}"), &[("n", n)]),
        several => {
            let named = group.alerts.len() as u64;
            let (n, counts) = (grouped(named), listed_counts(several, language));
            let all = grouped(named + group.waiting);
            match group.waiting {
                0 => language.say("group.mixed", &[("n", &n), ("counts", &counts)]),
                _ => language.say("group.some", &[("n", &n), ("all", &all), ("counts", &counts)]),
            }
        }
    };
    let firing = group.alerts.iter().filter(|facts| facts.alert.state == AlertState::Firing);
    let Some(since) = firing.map(|facts| facts.alert.starts_at).min() else { return said };
    let source = only(group.alerts.iter().map(|facts| facts.source.id.as_str())).map(name).unwrap_or_default();
    let since = listener.short(since);
    said + &language.say("group.where", &[("source", &source), ("since", &since)])
}

/// The lines of a group, the worst first: alerts that are alike share one. From a number of lines on, the rest share theirs
/// whatever their errors are.
pub fn group_lines(group: &GroupFacts, listener: &Listener<'_>) -> Vec<GroupLine> {
    // Of what was held back and is over by now nobody need know more than that: it shares one line.
    let is_over = |facts: &&AlertFacts| facts.alert.state == AlertState::Resolved;
    let (over, told): (Vec<&AlertFacts>, Vec<&AlertFacts>) =
        group.alerts.iter().partition(|facts| group.held_for.is_some() && is_over(facts));
    let mut heaps = heaps_of(told, |facts| facts.alert.state.as_str().to_string() + &likeness(facts));
    if heaps.len() > GROUP_LINES_MAX {
        let rest: Vec<&AlertFacts> = heaps.split_off(GROUP_LINES_MAX - 2).into_iter().flatten().collect();
        heaps.extend(heaps_of(rest, |facts| format!("{}/{}", level(facts), did_key(facts))));
    }
    let lines = heaps.iter().flat_map(|heap| match Alike::of(heap).filter(|_| heap.len() >= alike_min(heap[0])) {
        Some(alike) => vec![(&heap[..], alike.text(listener, false), alike.jobs())],
        None => heap.iter().map(|facts| (std::slice::from_ref(facts), alone(facts, listener), Vec::new())).collect(),
    });
    let mut said = Vec::new();
    let mut lines: Vec<GroupLine> = lines
        .enumerate()
        .map(|(index, (alerts, text, jobs))| {
            let facts = alerts[0];
            let names = (!jobs.is_empty()).then(|| listed(&jobs));
            let of = names.is_some().then_some(facts.job.name.as_str());
            let is_shown = index < GROUP_NODES_MAX;
            let node = Some(facts).filter(|_| is_shown).and_then(|facts| node(facts, of, listener));
            let guide = if is_shown { guide(alerts, &mut said, listener) } else { LineGuide::default() };
            let linked = Some(&facts.alert).filter(|_| index < GROUP_LINKS_MAX && names.is_none());
            let (url, ack_url) =
                linked.map(|alert| (alert.links.url.clone(), alert.links.ack_url.clone())).unwrap_or_default();
            GroupLine { level: level(facts), text, names, jobs, node, guide, url, ack_url }
        })
        .collect();
    lines.extend(recovered(&over, listener));
    lines
}

/// What the configuration says of the alerts of a line. A description that is in `said` is not told once more.
fn guide(alerts: &[&AlertFacts], said: &mut Vec<Prose>, listener: &Listener<'_>) -> LineGuide {
    let (first, links) = (alerts[0], &alerts[0].alert.links);
    let job = |is_shared: bool| (!is_shared).then(|| name(&first.job.name));
    let runbook_of = job(alerts.iter().all(|it| it.alert.links.runbook == links.runbook));
    let console_of = job(alerts.iter().all(|it| it.alert.links.console_url == links.console_url));
    let is_shared = alerts.iter().all(|it| it.alert.links.description == links.description);
    let mut description = links.description.clone().unwrap_or_default();
    if said.contains(&description) {
        description = Prose::default();
    } else if !description.0.is_empty() {
        said.push(description.clone());
        if let Some(job) = job(is_shared) {
            let text = listener.language.say("labelled", &[("name", &job), ("value", "")]);
            description.0.insert(0, Piece { text, is_own: false });
        }
    }
    let (runbook, console_url) = (links.runbook.clone(), links.console_url.clone());
    LineGuide { description, runbook, runbook_of, console_url, console_of }
}

/// One line for all that recovered while it was held back.
fn recovered(over: &[&AlertFacts], listener: &Listener<'_>) -> Option<GroupLine> {
    if over.is_empty() {
        return None;
    }
    let text = listener.language.say("group.recovered", &[("n", &grouped(over.len() as u64))]);
    let jobs = Alike { alerts: over, key: String::new() }.jobs();
    let (level, names) = (AlertState::Resolved.as_str(), Some(listed(&jobs)));
    let guide = LineGuide::default();
    Some(GroupLine { level, text, names, jobs, node: None, guide, url: None, ack_url: None })
}

/// Names of jobs, one after the other, each as long as a line takes.
fn listed(jobs: &[String]) -> String {
    jobs.iter().map(|job| name(job)).collect::<Vec<_>>().join(", ")
}

/// What has the same key together, in the order of the first of each.
pub(super) fn heaps_of<T>(alerts: Vec<&T>, key: impl Fn(&T) -> String) -> Vec<Vec<&T>> {
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut heaps: Vec<Vec<&T>> = Vec::new();
    for facts in alerts {
        match places.entry(key(facts)) {
            std::collections::hash_map::Entry::Occupied(place) => heaps[*place.get()].push(facts),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(heaps.len());
                heaps.push(vec![facts]);
            }
        }
    }
    heaps
}

/// From how many alerts on those that are alike share a line: those of one error always do.
fn alike_min(facts: &AlertFacts) -> usize {
    if error(facts).is_some() { 2 } else { GROUP_ALIKE_MIN }
}

/// What alerts must share to share a line. Numbers in an error do not count: a time or an id makes no other error. Those of one
/// error share a line however bad each of them is; of the others nobody knows what they share, and each level has its own.
fn likeness(facts: &AlertFacts) -> String {
    let error = error(facts).map(|error| shape(&error));
    let level = if error.is_some() { "" } else { level(facts) };
    format!("{level}/{}/{}/{}", did_key(facts), facts.source.id, error.unwrap_or_default())
}

/// An error without its numbers.
pub(super) fn shape(error: &str) -> String {
    let mut shape = String::with_capacity(error.len());
    for c in error.chars() {
        match (c.is_ascii_digit(), shape.ends_with('#')) {
            (true, true) => {}
            (true, false) => shape.push('#'),
            (false, _) => shape.push(c),
        }
    }
    shape
}

/// `resolved`, or the severity of what fires.
fn level(facts: &AlertFacts) -> &'static str {
    match facts.alert.state {
        AlertState::Resolved => AlertState::Resolved.as_str(),
        AlertState::Firing => facts.alert.severity.as_str(),
    }
}

/// The phrase that says what several of its kind did; one that says nothing where there is none.
fn did_key(facts: &AlertFacts) -> String {
    let code = facts.alert.reason.as_ref().map_or(ReasonCode::Other, |reason| reason.code);
    match (code, &facts.instance) {
        (ReasonCode::Status, Some(run)) => format!("group.did.{}", run.status.as_str()),
        // A run that recovered and one whose successor did are the same news.
        (ReasonCode::LaterRun, _) => format!("group.did.{}", ReasonCode::Recovered.as_str()),
        (code, _) => format!("group.did.{}", code.as_str()),
    }
}

/// The line that says what went wrong.
fn error(facts: &AlertFacts) -> Option<String> {
    let own = facts.alert.measures.error.as_ref();
    let error = facts.instance.as_ref().and_then(|instance| instance.error.as_ref()).or(own);
    let line = failure_line(error.filter(|_| facts.alert.state == AlertState::Firing)?)?;
    Some(truncated(line, ERROR_MAX))
}

/// The line of one alert.
fn alone(facts: &AlertFacts, listener: &Listener<'_>) -> String {
    let language = listener.language;
    let summary = super::summary(facts, language);
    let run = facts.instance.as_ref().map(|run| truncated(&run.id, NAME_MAX)).unwrap_or_default();
    let since = listener.short(facts.alert.starts_at);
    let (key, last) = match facts.alert.state {
        AlertState::Firing => ("group.line", ("error", error(facts).unwrap_or_default())),
        AlertState::Resolved => {
            ("group.line_over", ("until", facts.alert.ends_at.map(|at| listener.short(at)).unwrap_or_default()))
        }
    };
    let values = [("summary", truncated(&summary, TEXT_MAX)), ("instance", run), ("since", since), last];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    language.say(key, &values)
}

/// The first node to look at, of `job` where the line names several.
fn node(facts: &AlertFacts, job: Option<&str>, listener: &Listener<'_>) -> Option<String> {
    let nodes = &facts.failing_nodes[..];
    let fires = facts.alert.state == AlertState::Firing;
    let node = nodes.iter().find(|node| node.log_path.is_some()).or(nodes.first()).filter(|_| fires)?;
    let log = node.log_path.as_deref().filter(|log| log.chars().count() <= LOG_MAX).unwrap_or_default();
    let job = job.map(name).unwrap_or_default();
    Some(listener.language.say("group.node", &[("job", &job), ("node", &name(&node.name)), ("log", log)]))
}

/// Alerts that one phrase can say together.
struct Alike<'a> {
    alerts: &'a [&'a AlertFacts],
    key: String,
}

impl<'a> Alike<'a> {
    /// `alerts`, where all of them did the same and there is a phrase for it.
    fn of(alerts: &'a [&'a AlertFacts]) -> Option<Alike<'a>> {
        let first = alerts.first()?;
        let (key, state) = (did_key(first), first.alert.state);
        let is_alike = alerts.iter().all(|facts| did_key(facts) == key && facts.alert.state == state);
        let has_one_level = || only(alerts.iter().map(|facts| level(facts))).is_some();
        // What is bad in one and less bad in another is one piece of news only where it is one error.
        let has_one_error = || only(alerts.iter().map(|facts| likeness(facts))).is_some();
        (is_alike && (has_one_level() || has_one_error())).then_some(Alike { alerts, key })
    }

    /// What they did, where there are words for it.
    fn did(&self, language: Language) -> Option<String> {
        language.phrase(&self.key).map(|phrase| phrase.fill(&|_| None))
    }

    /// "28 load_* jobs failed since 20:31: connection refused"; with the source where they share one and it is wanted.
    fn text(&self, listener: &Listener<'_>, with_source: bool) -> String {
        let language = listener.language;
        let names: std::collections::BTreeSet<&str> = self.alerts.iter().map(|facts| facts.job.name.as_str()).collect();
        let n = grouped(self.alerts.len() as u64);
        let said = match (self.did(language), names.len()) {
            (None, _) => match only(self.alerts.iter().map(|facts| level(facts))) {
                Some(level) => language.say(&format!("group.all.{level}"), &[("n", &n)]),
                None => language.say("group.any", &[("n", &n)]),
            },
            (Some(did), 1) => {
                let job = name(&self.alerts[0].job.name);
                language.say("group.runs", &[("n", &n), ("job", &job), ("did", &did)])
            }
            (Some(did), jobs) => {
                let n = grouped(jobs as u64);
                let pattern = pattern(&names).unwrap_or_default();
                let kinds = only(self.alerts.iter().map(|facts| facts.source.kind.as_str()));
                let own = format!("group.jobs_of.{}", kinds.unwrap_or_default());
                let key = if language.phrase(&own).is_some() { own.as_str() } else { "group.jobs" };
                language.say(key, &[("n", &n), ("pattern", &pattern), ("did", &did)])
            }
        };
        let source = only(self.alerts.iter().map(|facts| facts.source.id.as_str())).filter(|_| with_source);
        let source = source.map(name).unwrap_or_default();
        if self.alerts[0].alert.state == AlertState::Resolved {
            return said + &language.say("group.in", &[("source", &source)]);
        }
        let since = self.alerts.iter().map(|facts| facts.alert.starts_at).min();
        let since = since.map(|since| listener.short(since)).unwrap_or_default();
        let shapes = self.alerts.iter().map(|facts| error(facts).map(|error| shape(&error)));
        let error = only(shapes).and_then(|_| error(self.alerts[0])).unwrap_or_default();
        let levels = Some(counts(self.alerts.iter().copied())).filter(|counts| counts.len() > 1);
        let levels = levels.map(|counts| listed_counts(&counts, language)).unwrap_or_default();
        let values = [("source", source.as_str()), ("since", &since), ("levels", &levels), ("error", &error)];
        said + &language.say("group.place", &values)
    }

    /// The jobs in the order of their alerts, each once.
    fn jobs(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let names = self.alerts.iter().map(|facts| facts.job.name.as_str()).filter(|name| seen.insert(*name));
        names.map(str::to_string).collect()
    }
}

/// The value that all of them are; none where they differ.
pub(super) fn only<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// What all names begin with, up to a separator: `load_*`. None for what says too little.
pub(super) fn pattern(names: &std::collections::BTreeSet<&str>) -> Option<String> {
    // Of sorted names, the first and the last share what all share.
    let (first, last) = (names.first()?, names.last()?);
    let shared: usize =
        first.chars().zip(last.chars()).take_while(|(one, other)| one == other).map(|(c, _)| c.len_utf8()).sum();
    let end = first[..shared].rfind(['_', '-', '.', '/', ':', ' '])? + 1;
    (first[..end].chars().count() >= 3).then(|| format!("{}*", truncated(&first[..end], NAME_MAX)))
}

fn name(name: &str) -> String {
    truncated(name, NAME_MAX)
}
