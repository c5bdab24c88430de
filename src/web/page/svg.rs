//! Places on a time axis, in percent of its width: what bars, lines and ticks are drawn at.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A span of time, drawn from the left to the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// A line across the axis with its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) label: String,
}

/// A bar from one place to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) x: String,
    pub(super) width: String,
}

impl Axis {
    /// Where an instant stands, from 0 to 100; what is outside stands at the edge.
    pub(super) fn place(&self, at: Timestamp) -> f64 {
        let whole = self.until.duration_since(self.from).as_secs_f64();
        let part = at.duration_since(self.from).as_secs_f64();
        if whole <= 0.0 { 0.0 } else { (part / whole * 100.0).clamp(0.0, 100.0) }
    }

    /// Whether an instant is on the axis.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }

    /// The same as text for an attribute.
    pub(super) fn x(&self, at: Timestamp) -> String {
        percent(self.place(at))
    }

    /// From one instant to another; wide enough to be seen.
    pub(super) fn extent(&self, from: Timestamp, until: Timestamp) -> Extent {
        const THINNEST: f64 = 0.5;
        let (left, right) = (self.place(from), self.place(until));
        let width = (right - left).max(THINNEST);
        Extent { x: percent(left.min(100.0 - THINNEST)), width: percent(width) }
    }

    /// Lines at round hours of the zone: so many that they can be told apart.
    pub(super) fn ticks(&self, zone: &TimeZone) -> Vec<Tick> {
        let hours = self.until.duration_since(self.from).as_hours().max(1);
        let step = [1, 2, 3, 4, 6, 12, 24].into_iter().find(|step| hours / step <= 8).unwrap_or(24);
        let mut at = self.from.to_zoned(zone.clone());
        let mut ticks = Vec::new();
        let Ok(begin) = at.start_of_day() else { return ticks };
        at = begin;
        while at.timestamp() <= self.until {
            if at.timestamp() >= self.from {
                let place = self.place(at.timestamp());
                // A label at the very edge would be cut.
                if (1.5..=96.0).contains(&place) {
                    ticks.push(Tick { x: percent(place), label: at.strftime("%H:%M").to_string() });
                }
            }
            let Ok(next) = at.checked_add(SignedDuration::from_hours(step)) else { break };
            at = next;
        }
        ticks
    }
}

/// A share as an attribute has it.
pub(super) fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_outside_stands_at_the_edge_and_what_is_short_can_be_seen() {
        let axis = Axis { from: at("2026-11-21T00:00:00Z"), until: at("2026-11-21T10:00:00Z") };
        assert_eq!(axis.x(at("2026-11-21T05:00:00Z")), "50.00%");
        assert_eq!(axis.x(at("2026-11-20T05:00:00Z")), "0.00%");
        let second = axis.extent(at("2026-11-21T10:00:00Z"), at("2026-11-21T10:00:01Z"));
        assert_eq!((second.x.as_str(), second.width.as_str()), ("99.50%", "0.50%"));
        let ticks = axis.ticks(&TimeZone::get("Asia/Shanghai").unwrap());
        assert_eq!(ticks.first().map(|tick| tick.label.as_str()), Some("10:00"));
        assert!(ticks.len() >= 4 && ticks.len() <= 9, "{ticks:?}");
    }
}
