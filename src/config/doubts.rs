//! What is right by its form and probably not meant: findings that are warnings, about the file as a whole.
//!
//! Reads what was read of the file; changes nothing of it.

use crate::model::{Severity, SourceId, Status};
use crate::rule::{Matcher, Pattern, Route, Rule};
use crate::source::SourceSettings;
use crate::yaml::{Diagnostics, Node, Origin, Place, Section, Value};

/// Looks at rules that are right each by itself.
pub(super) fn warn(file: &Section<'_>, rules: &[Rule], routes: &[Route], sources: &[SourceSettings]) {
    warn_of_silent_rules(file, rules, routes);
    warn_of_runs_that_stand_still(file, rules, sources);
}

/// A rule that notifies nobody is only recorded. A route that its alerts may take names its receivers.
fn warn_of_silent_rules(file: &Section<'_>, rules: &[Rule], routes: &[Route]) {
    let is_routed = |rule: &Rule| routes.iter().any(|route| route.matches.may_concern(rule));
    for rule in rules.iter().filter(|rule| rule.receivers().next().is_none() && !is_routed(rule)) {
        let message = match routes.is_empty() {
            true => "the rule notifies nobody",
            false => "the rule notifies nobody, and no route is for its alerts",
        };
        let help = "write notify: [NAME], or leave it so if its alerts are only to be recorded";
        warn_at(file, rule, "", message, help);
    }
}

/// A run of DataArts whose node failed may stand still until somebody acts. Then it is no failed run yet, and a rule about
/// `fail` alone tells of it only when it has been given up.
fn warn_of_runs_that_stand_still(file: &Section<'_>, rules: &[Rule], sources: &[SourceSettings]) {
    let tells = |rule: &Rule| rule.when.statuses.contains(&Status::RunningException);
    let stand_still = |rule: &Rule| -> Vec<&SourceId> {
        let named = &rule.matches.sources;
        let of_rule = sources.iter().filter(|source| named.is_empty() || named.contains(&source.id));
        of_rule.filter(|source| source.scheduler.stands_still()).map(|source| &source.id).collect()
    };
    let is_missed = |rule: &&Rule| {
        let places = stand_still(rule);
        let is_covered = || rules.iter().any(|other| tells(other) && covers(other, rule, &places));
        rule.when.statuses.contains(&Status::Fail) && !places.is_empty() && !is_covered()
    };
    let message = match rules.iter().any(tells) {
        false => "no rule is about running-exception: a run that stands still on a failed node until somebody acts",
        true => {
            "no rule about these jobs is about running-exception: a run that stands still on a failed node until somebody \
             acts"
        }
    };
    // Where no rule says the word, it is said once what it means.
    let at_most = if rules.iter().any(tells) { rules.len() } else { 1 };
    for rule in rules.iter().filter(is_missed).take(at_most) {
        warn_at(file, rule, ".when.status", message, "write status: [fail, running-exception]");
    }
}

/// Whether a rule is about the runs of another in these sources: about the same jobs or more, as far as their patterns tell.
fn covers(wide: &Rule, narrow: &Rule, places: &[&SourceId]) -> bool {
    let (wide, narrow) = (&wide.matches, &narrow.matches);
    let is_everywhere = wide.sources.is_empty() || places.iter().all(|place| wide.sources.contains(place));
    // A pattern that matches the other's text is as wide: `etl_*` as `etl_orders*`.
    let matchers: Vec<Matcher> = wide.jobs.iter().filter_map(|pattern| pattern.matcher().ok()).collect();
    let is_among = |pattern: &Pattern| {
        wide.jobs.contains(pattern) || matchers.iter().any(|matcher| matcher.matches(pattern.as_str()))
    };
    let names_all = !narrow.jobs.is_empty() && narrow.jobs.iter().all(is_among);
    let takes_all = wide.not.is_empty() || wide.not == narrow.not;
    is_everywhere
        && takes_all
        && (wide.jobs.is_empty() || matchers.iter().any(|matcher| matcher.matches("*")) || names_all)
}

/// What is held back is for those that may wait; and a window that nobody goes by is probably misspelt somewhere.
pub(super) fn warn_of_hours(file: &Section<'_>, rules: &[Rule], routes: &[Route]) {
    let is_urgent = |rule: &&Rule| rule.severity == Severity::Critical;
    for rule in rules.iter().filter(is_urgent).filter(|rule| rule.hours.iter().any(|step| step.hours.hold.is_some())) {
        let help = "leave out \"hold\", or say a lower severity";
        warn_at(file, rule, ".notify", "what is critical is held back while the window is closed", help);
    }
    // A route says it of alerts of many rules, and may leave out those of one severity.
    for route in routes.iter().filter(|route| route.hours.hold.is_some()) {
        if rules.iter().filter(is_urgent).any(|rule| route.matches.may_concern(rule)) {
            let help = "write match: { severity: [error, warning, info] }, or leave out \"hold\"";
            let message = "what is critical is held back while the window is closed";
            warn_under(file, "routes", &route.name, ".hold", message, help);
        }
    }
    let Some(Node { value: Value::Map(entries), .. }) = file.node("windows") else { return };
    let of_rules = rules.iter().flat_map(|rule| {
        rule.hours.iter().map(|step| &step.hours).chain(rule.escalation.iter().map(|step| &step.hours))
    });
    let named: Vec<&str> = of_rules
        .chain(routes.iter().map(|route| &route.hours))
        .flat_map(|hours| [&hours.during, &hours.hold])
        .flatten()
        .map(|window| &*window.name)
        .collect();
    for entry in entries.iter().filter(|entry| !named.contains(&entry.key.as_str())) {
        let help = Some("name it under \"during\" or \"hold\" of a step or a route, or remove it".to_string());
        let path = format!("windows.{}", entry.key);
        file.findings().warning(entry.at, path, format!("nothing goes by the window {:?}", entry.key), help);
    }
}

fn warn_at(file: &Section<'_>, rule: &Rule, key: &str, message: &str, help: &str) {
    warn_under(file, "rules", rule.id.as_str(), key, message, help);
}

/// Warns at the entry of a name in a section of the file.
fn warn_under(file: &Section<'_>, section: &'static str, name: &str, key: &str, message: &str, help: &str) {
    let Some(Node { value: Value::Map(entries), .. }) = file.node(section) else { return };
    // The last one of duplicate keys counts.
    let Some(entry) = entries.iter().rev().find(|entry| entry.key == name) else { return };
    let path = format!("{section}.{name}{key}");
    file.findings().warning(entry.at, path, message, Some(help.to_string()));
}

/// A value that is probably not meant as it stands.
pub(super) struct OddText {
    at: Place,
    path: String,
    message: &'static str,
    help: &'static str,
}

/// The values that are still what a page or an example had in their place, `<your token>`, and those that stand in quotation
/// marks that YAML does not know. What stands in them is not repeated.
pub(super) fn odd_texts(tree: &Node) -> Vec<OddText> {
    let mut odd = Vec::new();
    walk(tree, "", &mut odd);
    odd
}

/// Warns of these values, but for those that are refused anyway: of one mistake one thing is said.
pub(super) fn warn_of_texts(odd: Vec<OddText>, findings: &Diagnostics) {
    for OddText { at, path, message, help } in odd {
        if !findings.has_error_at(at) {
            findings.warning(at, path, message, Some(help.to_string()));
        }
    }
}

/// Whether a value is a placeholder in angle brackets.
pub(super) fn is_placeholder(text: &str) -> bool {
    let inner = text.trim().strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    inner.is_some_and(|inner| !inner.trim().is_empty() && !inner.contains(['<', '>', '@']))
}

/// Whether a value stands in quotation marks that are none for YAML, as word processors write them.
fn is_in_odd_quotes(text: &str) -> bool {
    [('“', '”'), ('‘', '’'), ('「', '」')].iter().any(|(open, close)| text.starts_with(*open) && text.ends_with(*close))
}

fn walk(node: &Node, path: &str, odd: &mut Vec<OddText>) {
    let mut note = |message, help| odd.push(OddText { at: node.at, path: path.to_string(), message, help });
    match &node.value {
        Value::Scalar(scalar) if scalar.origin == Origin::File && is_placeholder(&scalar.text) => {
            note("this is a placeholder", "write the value itself, without the brackets");
        }
        Value::Scalar(scalar) if scalar.origin == Origin::File && is_in_odd_quotes(&scalar.text) => {
            note("the quotation marks (“…”) are a part of this text", "write ordinary ones, \" or '");
        }
        Value::Scalar(_) | Value::Null => {}
        Value::List(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, item)| walk(item, &format!("{path}[{index}]"), odd));
        }
        Value::Map(entries) => {
            for entry in entries {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                walk(&entry.node, &path, odd);
            }
        }
    }
}
