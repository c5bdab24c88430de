//! The tally of a period: rows go in one by one, and a digest comes out.
//!
//! It keeps counts, the few rows that are told, and one small entry a job; never the rows themselves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::breach::{breach, sorted};
use super::chart::Slots;
use super::rows::{
    AlertRow, BeforeRow, FailedRow, GapRow, HistoryRow, Limits, OpenRow, PurgedRow, Selects, SettledRow, SourceRow,
};
use super::timing::Timing;
use super::trouble::{Troubles, add_node};
use super::verdict::{is_complete, verdict};
use crate::limits::DIGEST_LISTED_MAX;
use crate::model::{
    AlertFacts, AlertsPart, BreachPart, CompletenessPart, DigestFacts, DigestPart, GapCause, Listed, Outcomes,
    PeriodPart, ReasonCount, SourceId, SourceLine, Status, StatusCount, Suppression, TotalsPart, TroublePart,
    VerdictPart,
};
use crate::words::{Language, say_digest};

/// A run of which an alert may tell the failing node: source, job, instance id.
pub type FailedRun = (SourceId, String, String);

/// The tally of one period.
pub struct Tally {
    selects: Selects,
    limits: Limits,
    zone: TimeZone,
    now: Timestamp,
    sources: BTreeMap<SourceId, (Option<SourceRow>, Outcomes)>,
    gaps: Vec<GapRow>,
    /// Runs that are no longer kept, by source: how many, how many of them failed, and until when they were due.
    purged: BTreeMap<SourceId, (u64, u64, Timestamp)>,
    by_status: BTreeMap<Status, u64>,
    open: BTreeMap<Status, u64>,
    slots: Slots,
    timing: Timing,
    troubles: Troubles,
    broken: Listed<TroublePart>,
    recovered: Listed<TroublePart>,
    alerts: AlertsPart,
    suppressed_by: BTreeMap<String, u64>,
    breaches: Vec<BreachPart>,
}

impl Tally {
    /// An empty tally at `now` of these sources; `selects` says which jobs it is about.
    pub fn new(
        sources: impl IntoIterator<Item = SourceId>,
        selects: Selects,
        limits: Limits,
        zone: TimeZone,
        now: Timestamp,
    ) -> Tally {
        Tally {
            selects,
            limits,
            zone,
            now,
            sources: sources.into_iter().map(|source| (source, (None, Outcomes::default()))).collect(),
            gaps: Vec::new(),
            purged: BTreeMap::new(),
            by_status: BTreeMap::new(),
            open: BTreeMap::new(),
            slots: Slots::default(),
            timing: Timing::default(),
            troubles: Troubles::default(),
            broken: Listed::default(),
            recovered: Listed::default(),
            alerts: AlertsPart::default(),
            suppressed_by: BTreeMap::new(),
            breaches: Vec::new(),
        }
    }

    /// When it is made.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A source as it is known; one that the digest is not about is left out.
    pub fn source(&mut self, row: SourceRow) {
        if let Some((known, _)) = self.sources.get_mut(&row.id) {
            *known = Some(row);
        }
    }

    /// A gap of a source.
    pub fn gap(&mut self, row: GapRow) {
        if self.sources.contains_key(&row.source) {
            self.gaps.push(row);
        }
    }

    /// Runs that are no longer kept.
    pub fn purged(&mut self, row: &PurgedRow) {
        if self.sources.contains_key(&row.source) && (self.selects)(&row.source, &row.job, row.kind) {
            let (runs, failed, until) = self.purged.entry(row.source.clone()).or_insert((0, 0, row.until));
            *runs += row.runs;
            *failed += if row.status == Status::Fail { row.runs } else { 0 };
            *until = row.until.max(*until);
        }
    }

    /// A run that was over for the first time in the period.
    pub fn settled(&mut self, row: &SettledRow) {
        let Some((_, outcomes)) = self.sources.get_mut(&row.source) else { return };
        if !(self.selects)(&row.source, &row.job, row.kind) {
            return;
        }
        outcomes.add(row.status);
        *self.by_status.entry(row.status).or_default() += 1;
        self.slots.add(row.end_time.unwrap_or(self.now), row.status);
        self.timing.settled(row);
    }

    /// A job's runs of the period before. To be called after all of [`Tally::settled`].
    pub fn before(&mut self, row: &BeforeRow) {
        self.timing.before(row);
    }

    /// A run that is not over.
    pub fn open(&mut self, row: OpenRow) {
        if self.sources.contains_key(&row.source) && (self.selects)(&row.source, &row.job, row.kind) {
            *self.open.entry(row.status).or_default() += 1;
            self.timing.open(row, self.now);
        }
    }

    /// A run that failed once.
    pub fn failed(&mut self, row: FailedRow) {
        if self.sources.contains_key(&row.source) && (self.selects)(&row.source, &row.job, row.kind) {
            self.troubles.add(row);
        }
    }

    /// Which jobs' usual durations are wanted. To be called once all runs are in.
    pub fn wanted_history(&mut self) -> Vec<(SourceId, String)> {
        self.timing.wanted()
    }

    /// Which runs' failing nodes are wanted. To be called once all failures and all alerts are in.
    pub fn wanted_nodes(&mut self) -> Vec<FailedRun> {
        let (broken, recovered) = std::mem::take(&mut self.troubles).sorted();
        self.broken = Listed::of(broken, DIGEST_LISTED_MAX);
        self.recovered = Listed::of(recovered, DIGEST_LISTED_MAX);
        let subject = |part: &TroublePart| (part.source.clone(), part.job.clone(), part.instance.clone());
        self.broken.shown.iter().map(subject).collect()
    }

    /// One of the durations that were wanted.
    pub fn history(&mut self, row: &HistoryRow) {
        self.timing.history(row);
    }

    /// An alert about one of the runs that were wanted; the latest one comes last.
    pub fn told(&mut self, facts: &AlertFacts) {
        let (subject, source) = (facts.subject(), &facts.source.id);
        let is_it =
            |part: &&mut TroublePart| part.source == *source && part.job == subject.job && part.instance == subject.id;
        if let Some(part) = self.broken.shown.iter_mut().find(is_it) {
            add_node(part, facts);
        }
    }

    /// An alert that was recorded in the period, or still fires. To be called before [`Tally::wanted_nodes`].
    pub fn alert(&mut self, row: AlertRow) {
        if !self.sources.contains_key(&row.source) || !(self.selects)(&row.source, &row.job, row.kind) {
            return;
        }
        self.alerts.fired += u64::from(row.is_new);
        self.alerts.firing += u64::from(row.is_firing);
        self.troubles.alert(&row);
        if let Some(reason) = &row.suppressed_by {
            if row.is_new {
                self.alerts.suppressed += 1;
                *self.suppressed_by.entry(reason.clone()).or_default() += 1;
            }
            // What a night's mute window kept from waking people is what they read of in the morning. What was old at the
            // first poll is of a time that no digest is about.
            if *reason == Suppression::FirstPoll.to_string() {
                return;
            }
        }
        let limit = self.limits.get(&row.rule).copied();
        self.breaches.extend(breach(row, limit, self.now));
    }

    /// The digest of what was counted.
    pub fn finish(mut self, digest: DigestPart, period: PeriodPart) -> DigestFacts {
        let mut outcomes = Outcomes::default();
        self.sources.values().for_each(|(_, of_source)| outcomes.merge(of_source));
        for (source, (runs, failed, until)) in self.purged {
            // What it says is said with the rest of the digest, in the language of each receiver.
            let (cause, reason, from) = (GapCause::Purged, String::new(), period.from);
            let until = Some(until.clamp(period.from, period.until));
            self.gaps.push(GapRow { source, cause, from, until, reason, runs: Some(runs), failed: Some(failed) });
        }
        let completeness = completeness(self.sources, self.gaps);
        let breaches = Listed::of(sorted(self.breaches), DIGEST_LISTED_MAX);
        let (broken, recovered) = (self.broken.total, self.recovered.total);
        let state = verdict(completeness.complete, broken, breaches.total, recovered, &outcomes);
        let changed = self.timing.changed();
        let (slowest, running_long) = self.timing.ranked();
        let in_order = |(reason, count)| ReasonCount { reason, count, summary: String::new() };
        let suppressed = self.suppressed_by.into_iter().map(in_order);
        let mut facts = DigestFacts {
            digest,
            period,
            completeness,
            verdict: VerdictPart { state, summary: String::new() },
            broken: self.broken,
            recovered: self.recovered,
            breaches,
            running_long: Listed::of(running_long, DIGEST_LISTED_MAX),
            slowest: Listed::of(slowest, DIGEST_LISTED_MAX),
            changed: Listed::of(changed, DIGEST_LISTED_MAX),
            totals: TotalsPart { outcomes, by_status: counts(&self.by_status) },
            open: counts(&self.open),
            alerts: AlertsPart { suppressed_by: suppressed.collect(), ..self.alerts },
            chart: self.slots.chart(&period, &self.zone),
        };
        say_digest(&mut facts, Language::En);
        facts
    }
}

fn counts(by_status: &BTreeMap<Status, u64>) -> Vec<StatusCount> {
    by_status.iter().map(|(&status, &count)| StatusCount { status, count }).collect()
}

fn completeness(sources: BTreeMap<SourceId, (Option<SourceRow>, Outcomes)>, mut gaps: Vec<GapRow>) -> CompletenessPart {
    gaps.sort_by(|one, other| (one.from, &one.source).cmp(&(other.from, &other.source)));
    let sources: Vec<SourceLine> = sources
        .into_iter()
        .map(|(id, (row, totals))| SourceLine {
            id,
            read_until: row.as_ref().and_then(|row| row.read_until),
            unreadable_since: row.and_then(|row| row.unreadable_since),
            totals,
        })
        .collect();
    // The least of all; a source that was never read makes it none, which `min` over options does by itself.
    let read_until = sources.iter().map(|source| source.read_until).min().flatten();
    let mut part = CompletenessPart { complete: false, read_until, gaps: Listed::of(gaps, DIGEST_LISTED_MAX), sources };
    part.complete = is_complete(&part);
    part
}
