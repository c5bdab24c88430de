//! What the file says for all of its rules, where they go by it.
//!
//! Data only.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::calendars::Calendars;
use super::hours::Windows;

/// What rules take from the rest of the file.
pub(super) struct Shared<'a> {
    /// What `calendar` can name.
    pub(super) calendars: &'a Calendars,
    /// What `during` and `hold` can name.
    pub(super) windows: &'a Windows,
    /// The zone of rules that name none.
    pub(super) timezone: &'a TimeZone,
    /// How long past runs are kept.
    pub(super) retention: Duration,
}
