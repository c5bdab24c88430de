//! For whom something is said, and an instant as they read it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::language::Language;

/// For whom something is said: the language, the zone of the times, and the instant of the message.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// The language.
    pub language: Language,
    /// The zone of the times.
    pub timezone: &'a TimeZone,
    /// When the message is made: times of the same day need no date.
    pub now: Timestamp,
}

impl Listener<'_> {
    pub(super) fn short(&self, instant: Timestamp) -> String {
        short_time(instant, self.now, self.timezone, self.language)
    }
}

/// `08:05` on the day of `now`, `20 Nov 23:10` on another.
pub fn short_time(instant: Timestamp, now: Timestamp, timezone: &TimeZone, language: Language) -> String {
    let there = instant.to_zoned(timezone.clone());
    let same_day = there.date() == now.to_zoned(timezone.clone()).date();
    let form = if same_day { "%H:%M".to_string() } else { language.say("date_short", &[]) };
    there.strftime(&form).to_string()
}
