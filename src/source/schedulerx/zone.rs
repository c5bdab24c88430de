//! Whether the service's time strings are read in the right zone.
//!
//! Pure. The strings name no zone, but the calls that ask for them do: their bounds are instants. Times that lie where
//! nobody asked, or in the future, were read in the wrong zone.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::{Instance, Window};

/// Times may lie so far outside and still be right: clocks differ, and so may which time the service compares.
const MARGIN: SignedDuration = SignedDuration::from_mins(15);

/// What is to be said when the instances of a listing contradict the window that was asked for.
pub(super) fn doubt(instances: &[Instance], window: Window, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let past = |instant: Timestamp| instant.saturating_sub(MARGIN).unwrap_or(instant);
    let beyond = |instant: Timestamp| instant.saturating_add(MARGIN).unwrap_or(instant);
    let begun = |instance: &Instance| instance.start_time.or(instance.end_time);
    let name = zone.iana_name().unwrap_or("the configured zone");
    let help = "set the source's \"timezone\" to the zone that the SchedulerX console shows times in";
    // Nothing has started in the future.
    if let Some((instance, begun)) = instances
        .iter()
        .filter_map(|instance| Some((instance, begun(instance)?)))
        .filter(|(_, begun)| *begun > beyond(now))
        .max_by_key(|(_, begun)| *begun)
    {
        return Some(format!(
            "times read as {name} lie in the future: instance {} of {} would have begun at {begun}; {help}",
            instance.id, instance.job.name
        ));
    }
    let is_outside = |instance: &Instance| {
        let mut times = [instance.plan_time, instance.start_time, instance.end_time].into_iter().flatten().peekable();
        times.peek().is_some() && times.all(|time| time < past(window.from) || time > beyond(window.to))
    };
    let first = instances.first().filter(|_| instances.iter().all(is_outside))?;
    let time = first.plan_time.or(first.start_time).or(first.end_time)?;
    Some(format!(
        "times read as {name} all lie outside the span that was asked for ({} to {}): instance {} of {} at {time}; {help}",
        window.from, window.to, first.id, first.job.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InstanceType, JobRef, SourceId, Status};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_795_219_200 + hour * 3600).unwrap()
    }

    fn instance(plan: Option<i64>, start: Option<i64>) -> Instance {
        Instance {
            source: SourceId::new("x"),
            id: "1".into(),
            job: JobRef { name: "load".into(), id: None },
            name: None,
            status: Status::Running,
            raw_status: "3 running".into(),
            kind: InstanceType::Scheduled,
            plan_time: plan.map(at),
            start_time: start.map(at),
            end_time: None,
            error: None,
        }
    }

    #[test]
    fn times_that_cannot_be_are_told() {
        let (now, zone) = (at(0), TimeZone::UTC);
        let window = |hours: i64| Window { from: at(-hours), to: now };
        let doubt =
            |instances: &[Instance], hours: i64| doubt(instances, window(hours), now, &zone).unwrap_or_default();
        assert_eq!(doubt(&[], 24), "");
        assert_eq!(doubt(&[instance(Some(-2), Some(-1))], 24), "");
        // Planned ahead is no wonder, begun ahead is.
        assert_eq!(doubt(&[instance(Some(-1), None), instance(Some(8), None)], 24), "");
        assert!(doubt(&[instance(Some(-1), None), instance(Some(7), Some(7))], 24).contains("in the future"));
        // Asked for one hour, got what is eight hours older.
        assert!(doubt(&[instance(Some(-8), Some(-8)), instance(Some(-9), None)], 1).contains("all lie outside"));
        assert_eq!(doubt(&[instance(Some(-8), Some(-8)), instance(Some(-1), None)], 1), "");
        // Planned before the window and started in it: whichever the service compares, it fits.
        assert_eq!(doubt(&[instance(Some(-8), Some(-1))], 1), "");
        assert_eq!(doubt(&[instance(None, None)], 1), "");
    }
}
