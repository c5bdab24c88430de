//! Outcomes over time: by the hour, or by the day where hours would be too many.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit, Zoned};

use crate::model::{BarPart, ChartPart, Outcomes, PeriodPart, Status};

/// Outcomes are collected by the quarter of an hour: every zone's hours begin on one.
const SLOT_MS: i64 = 15 * 60 * 1000;
/// More hours than this are told by the day.
const HOURS_MAX: i64 = 49;
/// Days before the end of the period that a chart reaches back to, at most.
const DAYS_MAX: i64 = 35;

/// What ended when.
#[derive(Default)]
pub(super) struct Slots {
    slots: BTreeMap<i64, Outcomes>,
}

impl Slots {
    pub(super) fn add(&mut self, at: Timestamp, status: Status) {
        self.slots.entry(at.as_millisecond().div_euclid(SLOT_MS)).or_default().add(status);
    }

    /// The bars of the period. What ended before it and was read late stands in the first bar that the chart has, what
    /// ended after it by a source's own clock in the last, so that the bars hold everything that the totals count.
    pub(super) fn chart(&self, period: &PeriodPart, zone: &TimeZone) -> ChartPart {
        let start_of = |slot: i64| Timestamp::from_millisecond(slot * SLOT_MS).unwrap_or(period.until);
        let reach = period.until.checked_sub(jiff::SignedDuration::from_hours(24 * DAYS_MAX)).unwrap_or(period.from);
        let earliest = self.slots.keys().next().map_or(period.from, |slot| start_of(*slot).min(period.from));
        let from = earliest.max(reach).min(period.until);
        let hours = period.until.duration_since(from).as_hours() + 1;
        // What a first poll read back, or an outage kept for later, may lie long before the period: then the period alone
        // is drawn by the hour when it is short enough.
        let own_hours = period.until.duration_since(period.from.min(period.until)).as_hours() + 1;
        let (unit, from, name) = match (hours, own_hours) {
            (..=HOURS_MAX, _) => (Unit::Hour, from, "hour"),
            (_, ..=HOURS_MAX) => (Unit::Hour, period.from.min(period.until), "hour"),
            _ => (Unit::Day, from, "day"),
        };
        let starts = starts(from, period.until, unit, zone);
        let mut bars: Vec<BarPart> = starts
            .iter()
            .map(|start| BarPart {
                starts_at: start.timestamp(),
                label: start.strftime(if unit == Unit::Hour { "%H" } else { "%d" }).to_string(),
                outcomes: Outcomes::default(),
            })
            .collect();
        for (slot, outcomes) in &self.slots {
            let after = bars.partition_point(|bar| bar.starts_at <= start_of(*slot));
            if let Some(bar) = bars.get_mut(after.saturating_sub(1)) {
                bar.outcomes.merge(outcomes);
            }
        }
        ChartPart { unit: name.to_string(), bars }
    }
}

/// The local hours or days from that of `from` to that of `until`.
fn starts(from: Timestamp, until: Timestamp, unit: Unit, zone: &TimeZone) -> Vec<Zoned> {
    let whole = |at: Timestamp| {
        let there = at.to_zoned(zone.clone());
        match unit {
            Unit::Day => there.start_of_day().unwrap_or(there),
            // Zones whose hours begin on a half are rounded by their own clock.
            _ => {
                there.round(jiff::ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc)).unwrap_or(there)
            }
        }
    };
    let mut starts = vec![whole(from)];
    while let Some(last) = starts.last() {
        let step = if unit == Unit::Day { jiff::Span::new().days(1) } else { jiff::Span::new().hours(1) };
        match last.checked_add(step) {
            // The end itself begins no bar of its own.
            Ok(next) if next.timestamp() < until && starts.len() < 100 => starts.push(next),
            _ => break,
        }
    }
    starts
}
