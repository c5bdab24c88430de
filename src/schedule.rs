//! Cron schedules as crontab(5) reads them, in a time zone.
//!
//! A leaf: parses an expression and tells the next instant; reads no clock.

use jiff::Timestamp;

/// When something recurs.
#[derive(Debug, Clone)]
pub struct Schedule {}

impl Schedule {
    /// The first instant after `after` at which it is due; `None` when there is none.
    pub fn next_after(&self, _after: Timestamp) -> Option<Timestamp> {
        None
    }
}
