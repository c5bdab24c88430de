//! Cron schedules as crontab(5) reads them, in a time zone; windows of time, and calendars of working days.
//!
//! A leaf: takes an expression and a zone, tells the next instant; reads no clock and knows nothing of what recurs.
//!
//! # Design
//! The `cron` crate matches fields; three things it does differently from crontab(5) are kept away from it. Expressions
//! are read here and handed over as plain lists (its weekdays count from another day, and it joins the two day fields
//! by AND). It is asked about wall-clock time only, as if that were UTC, for it can answer with the past around a
//! change of the clocks; the way from wall-clock time to an instant is ours.

mod calendar;
mod cron;
mod days;
mod fields;
mod quartz;
mod window;

pub use calendar::{CN, Calendar};
pub use cron::{Schedule, first_pass};
pub use days::Days;
pub use window::{DAY_SECONDS, DailyWindow, RecurringWindow};
