//! Inhibition: an alert upstream holds back the alerts that only follow from it.
//!
//! # Design
//! Only what was told holds anything back: an alert that is muted itself must not take others with it, or nobody would
//! hear of anything. What was told stays told, whatever fires upstream of it later. Of alerts that begin together the
//! upstream one is told; where two would hold back each other, the earlier one is told and the other is not, so that of
//! a circle somebody always hears.
//!
//! The alerts upstream are kept by what an alert must share with them, so that a storm of thousands is looked at alert by
//! alert, and not pair by pair. What has nothing to share with each other is decided apart: of a thousand circles each is
//! broken by itself, and not one after the other in a look at all of them.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::concerns::AlertMatch;
use crate::model::{Alert, AlertId, Suppression};

/// Which alerts hold back which.
#[derive(Debug, Clone)]
pub struct Inhibition {
    /// Its key in the configuration.
    pub name: Arc<str>,
    /// The alerts upstream.
    pub by: AlertMatch,
    /// The alerts that they hold back.
    pub matches: AlertMatch,
    /// What both must have in common.
    pub equal: Vec<Shared>,
}

/// What an alert and the one upstream of it can have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// The source.
    Source,
    /// The job's name.
    Job,
    /// The rule.
    Rule,
    /// The severity.
    Severity,
}

impl Shared {
    /// All of them.
    pub const ALL: [Shared; 4] = [Shared::Source, Shared::Job, Shared::Rule, Shared::Severity];

    /// The word used in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Shared::Source => "source",
            Shared::Job => "job",
            Shared::Rule => "rule",
            Shared::Severity => "severity",
        }
    }

    /// What a word of the configuration names.
    pub fn from_word(word: &str) -> Option<Shared> {
        Shared::ALL.into_iter().find(|shared| shared.as_str() == word)
    }

    fn of(self, alert: &Alert) -> &str {
        match self {
            Shared::Source => alert.source.as_str(),
            Shared::Job => &alert.facts.job.name,
            Shared::Rule => alert.rule.as_str(),
            Shared::Severity => alert.facts.alert.severity.as_str(),
        }
    }
}

/// Whether people have heard of the alert: it was not held back, or its deadline is, of which they were warned.
pub fn was_told(alert: &Alert) -> bool {
    alert.suppressed_by.is_none() || !alert.receivers.is_empty()
}

/// An inhibition by its place in the list, and what an alert has of what both must share.
type InCommon<'a> = (usize, Vec<&'a str>);

/// The alerts that were told and hold back others.
pub struct Upstream<'a> {
    inhibitions: &'a [Inhibition],
    /// Two of each place are enough: one of them is not the alert that is asked about.
    told: HashMap<InCommon<'a>, Vec<&'a AlertId>>,
}

/// An alert of which it is not decided yet whether it is told.
struct Open<'a> {
    index: usize,
    alert: &'a Alert,
    /// Where it would hold back others.
    holds: Vec<InCommon<'a>>,
    /// Where it may be held back.
    held: Vec<InCommon<'a>>,
}

impl<'a> Upstream<'a> {
    /// What is told already, of alerts that fire.
    pub fn new(inhibitions: &'a [Inhibition], told: impl IntoIterator<Item = &'a Alert>) -> Upstream<'a> {
        let mut upstream = Upstream { inhibitions, told: HashMap::new() };
        for alert in told {
            let places = upstream.places(alert, |inhibition| &inhibition.by);
            upstream.tell(alert, places);
        }
        upstream
    }

    /// What holds the alert back: what has held it until now as long as that does, or else the first in the file.
    pub fn holds(&self, alert: &Alert) -> Option<Suppression> {
        self.holds_at(alert, &self.places(alert, |inhibition| &inhibition.matches))
    }

    /// What holds back each of these alerts, which are about to be told together. Those that nothing holds back are taken
    /// for told from now on.
    pub fn settle(&mut self, alerts: &[&'a Alert]) -> Vec<Option<Suppression>> {
        let mut answers = vec![None; alerts.len()];
        let mut open: Vec<Open<'a>> = alerts
            .iter()
            .enumerate()
            .map(|(index, alert)| Open {
                index,
                alert,
                holds: self.places(alert, |inhibition| &inhibition.by),
                held: self.places(alert, |inhibition| &inhibition.matches),
            })
            .collect();
        open.sort_by_key(|open| (open.alert.facts.alert.starts_at, open.alert.created_at, &open.alert.id));
        for open in apart(open) {
            self.settle_together(open, &mut answers);
        }
        answers
    }

    fn settle_together(&mut self, mut open: Vec<Open<'a>>, answers: &mut [Option<Suppression>]) {
        loop {
            open.retain(|open| {
                answers[open.index] = self.holds_at(open.alert, &open.held);
                answers[open.index].is_none()
            });
            if open.is_empty() {
                return;
            }
            let mut free = unheld(&open);
            if !free.contains(&true) {
                // A circle of three or more: somebody has to be told.
                free[0] = true;
            }
            let mut is_free = free.into_iter();
            let (told, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|_| is_free.next() == Some(true));
            for one in told {
                self.tell(one.alert, one.holds);
            }
            open = rest;
        }
    }

    fn places<'b>(&self, alert: &'b Alert, side: impl Fn(&Inhibition) -> &AlertMatch) -> Vec<InCommon<'b>> {
        let concerned = self.inhibitions.iter().enumerate().filter(|(_, inhibition)| side(inhibition).concerns(alert));
        concerned
            .map(|(index, inhibition)| (index, inhibition.equal.iter().map(|shared| shared.of(alert)).collect()))
            .collect()
    }

    fn tell(&mut self, alert: &'a Alert, places: Vec<InCommon<'a>>) {
        for place in places {
            let told = self.told.entry(place).or_default();
            if told.len() < 2 && !told.contains(&&alert.id) {
                told.push(&alert.id);
            }
        }
    }

    fn holds_at(&self, alert: &Alert, places: &[InCommon<'_>]) -> Option<Suppression> {
        let is_held = |place: &&InCommon<'_>| {
            let told = self.told.get(*place);
            told.is_some_and(|told| told.iter().any(|id| **id != alert.id))
        };
        let mut all = places
            .iter()
            .filter(is_held)
            .map(|(index, _)| Suppression::Inhibition(Arc::clone(&self.inhibitions[*index].name)));
        let first = all.next()?;
        match &alert.suppressed_by {
            Some(before) if *before != first && all.any(|by| by == *before) => Some(before.clone()),
            _ => Some(first),
        }
    }
}

/// The first of the part that one belongs to; each knows one that comes before it.
fn find(first: &mut [usize], mut one: usize) -> usize {
    while first[one] != one {
        first[one] = first[first[one]];
        one = first[one];
    }
    one
}

/// The same alerts in parts, each in its order: none of one part would hold back any of another.
fn apart(open: Vec<Open<'_>>) -> Vec<Vec<Open<'_>>> {
    // Those that hold and those that are held at a place belong together, where there are both.
    let mut places: HashMap<&InCommon<'_>, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (order, one) in open.iter().enumerate() {
        one.holds.iter().for_each(|place| places.entry(place).or_default().0.push(order));
        one.held.iter().for_each(|place| places.entry(place).or_default().1.push(order));
    }
    let mut first: Vec<usize> = (0..open.len()).collect();
    for (holders, held) in places.values().filter(|(holders, held)| !holders.is_empty() && !held.is_empty()) {
        for other in holders[1..].iter().chain(held) {
            let (one, other) = (find(&mut first, holders[0]), find(&mut first, *other));
            first[one.max(other)] = one.min(other);
        }
    }
    let mut parts: Vec<Vec<Open<'_>>> = Vec::new();
    let mut part_of: HashMap<usize, usize> = HashMap::new();
    for (order, one) in open.into_iter().enumerate() {
        let part = *part_of.entry(find(&mut first, order)).or_insert_with(|| {
            parts.push(Vec::new());
            parts.len() - 1
        });
        parts[part].push(one);
    }
    parts
}

/// For each of these, the earliest first, whether none of the others holds it back. Of two that would hold back each
/// other, the later one does not count.
fn unheld(open: &[Open<'_>]) -> Vec<bool> {
    let mut upstream: HashMap<&InCommon<'_>, Vec<usize>> = HashMap::new();
    for (order, one) in open.iter().enumerate() {
        for place in &one.holds {
            upstream.entry(place).or_default().push(order);
        }
    }
    // How many hold at one place and are held at another, for those that hold back each other.
    let both = LazyCell::new(|| {
        let mut both: HashMap<(&InCommon<'_>, &InCommon<'_>), usize> = HashMap::new();
        for one in open {
            for (holds, held) in one.holds.iter().flat_map(|holds| one.held.iter().map(move |held| (holds, held))) {
                *both.entry((holds, held)).or_default() += 1;
            }
        }
        both
    });
    let holds = |holder: usize, held: usize| open[holder].holds.iter().any(|place| open[held].held.contains(place));
    let is_held_at = |order: usize, place: &InCommon<'_>| {
        let Some(holders) = upstream.get(place) else { return false };
        match holders.iter().find(|holder| **holder != order) {
            None => false,
            Some(first) if *first < order => true,
            Some(_) => {
                // All the others come later: do they all count for nothing? Mostly one place says so of all of them.
                let one = &open[order];
                let is_among = one.holds.contains(place);
                let others = holders.len() - usize::from(is_among);
                let all_at = |back: &InCommon<'_>| {
                    let own = usize::from(is_among && one.held.contains(back));
                    both.get(&(place, back)).is_some_and(|count| count - own == others)
                };
                !one.holds.iter().any(all_at) && holders.iter().any(|holder| *holder != order && !holds(order, *holder))
            }
        }
    };
    (0..open.len()).map(|order| !open[order].held.iter().any(|place| is_held_at(order, place))).collect()
}
