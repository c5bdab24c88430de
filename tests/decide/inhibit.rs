//! What inhibits what, by chance: the answer for many alerts at once is the one that the plain rule comes to, pair by pair.

use nightbell::model::{Alert, AlertId, RuleId, Severity};
use nightbell::rule::inhibit::{Inhibition, Upstream};

use super::lives::{Chance, seeds};
use crate::poll::world::configuration;
use crate::sample::{alert, at};

const RULES: [&str; 4] = ["one", "two", "three", "four"];

/// Some inhibitions between the rules, as the file has them.
fn file(chance: &mut Chance) -> String {
    let mut text: String =
        RULES.map(|rule| format!("  {rule}: {{ when: {{ status: [fail] }}, notify: [hook] }}\n")).concat();
    text.push_str("inhibit:\n");
    for number in 0..1 + chance.below(5) {
        let mut rule = || RULES[chance.below(4) as usize];
        let (by, held) = (rule(), rule());
        let equal = ["", ", equal: [job]", ", equal: [severity]", ", equal: [job, severity]"][chance.below(4) as usize];
        text.push_str(&format!("  i{number}: {{ by: {{ rule: {by} }}, match: {{ rule: {held} }}{equal} }}\n"));
    }
    text
}

fn some_alerts(chance: &mut Chance, prefix: &str, most: u64) -> Vec<Alert> {
    let count = chance.below(most + 1);
    let some = |number| {
        let mut one = alert(&format!("{prefix}{number:02}"), ["a", "b", "c"][chance.below(3) as usize]);
        one.rule = RuleId::new(RULES[chance.below(4) as usize]);
        one.facts.alert.severity = [Severity::Error, Severity::Warning][chance.below(2) as usize];
        one.facts.alert.starts_at = at(chance.below(4) as i64);
        one
    };
    (0..count).map(some).collect()
}

/// The plain rule: what nothing holds back that is told or open is told, the earliest first; of two that would hold back
/// each other the later one does not count; of a circle the earliest is told.
fn told_by_the_rule<'a>(inhibitions: &[Inhibition], told: &'a [Alert], open: &'a [Alert]) -> Vec<&'a AlertId> {
    let holds = |by: &Alert, alert: &Alert| Upstream::new(inhibitions, [by]).holds(alert).is_some();
    let mut told: Vec<&Alert> = told.iter().collect();
    let mut open: Vec<&Alert> = open.iter().collect();
    open.sort_by_key(|one| (one.facts.alert.starts_at, one.created_at, &one.id));
    let mut free_at_last = Vec::new();
    loop {
        open.retain(|one| !told.iter().any(|by| holds(by, one)));
        if open.is_empty() {
            free_at_last.sort();
            return free_at_last;
        }
        let is_free = |at: usize| {
            let counts = |(other, by): (usize, &&Alert)| {
                other != at && holds(by, open[at]) && (other < at || !holds(open[at], by))
            };
            !open.iter().enumerate().any(counts)
        };
        let mut free: Vec<usize> = (0..open.len()).filter(|at| is_free(*at)).collect();
        if free.is_empty() {
            free.push(0);
        }
        for at in free.into_iter().rev() {
            let one = open.remove(at);
            free_at_last.push(&one.id);
            told.push(one);
        }
    }
}

#[test]
fn many_alerts_at_once_are_held_back_as_the_rule_has_it() {
    let mut held = 0;
    for seed in seeds(150) {
        let mut chance = Chance(seed);
        let text = file(&mut chance);
        let inhibitions = configuration(&text).inhibitions;
        for _ in 0..20 {
            let (told, open) = (some_alerts(&mut chance, "t", 2), some_alerts(&mut chance, "n", 12));
            let all: Vec<&Alert> = open.iter().collect();
            let answers = Upstream::new(&inhibitions, &told).settle(&all);
            let mut free: Vec<&AlertId> =
                all.iter().zip(&answers).filter(|(_, by)| by.is_none()).map(|(one, _)| &one.id).collect();
            free.sort();
            assert_eq!(free, told_by_the_rule(&inhibitions, &told, &open), "seed {seed}: {text}{told:#?}{open:#?}");
            held += answers.iter().flatten().count();
        }
    }
    assert!(held > 1_000, "{held} were held back");
}
