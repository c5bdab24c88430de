//! An alert in one line: what happened, and how long it took.

use std::time::Duration;

use crate::model::{Instance, Status};
use crate::yaml::duration_text;

/// What an alert that fires says: "etl_orders failed after 1m 0s", "settlement has been running for 46m 3s (limit 45m)".
pub fn firing(instance: &Instance, lasted: Option<Duration>, limit: Option<Duration>) -> String {
    let job = &instance.job.name;
    let after = lasted.map(|lasted| format!(" after {}", duration_text(lasted))).unwrap_or_default();
    let for_so_long = lasted.map(|lasted| format!(" for {}", duration_text(lasted))).unwrap_or_default();
    let what = match instance.status {
        Status::Fail => format!("failed{after}"),
        Status::Success => format!("succeeded{after}"),
        Status::IgnoredFailure => format!("succeeded{after}, a failure in it ignored"),
        Status::ForcedSuccess => "was set to success by hand".to_string(),
        Status::ManualStop => format!("was cancelled{after}"),
        Status::Rejected => "was rejected by the scheduler".to_string(),
        Status::Skip => "was skipped".to_string(),
        Status::RunningException => format!("is suspended by an exception{after}"),
        Status::Running => format!("has been running{for_so_long}"),
        Status::Waiting => format!("has been waiting to start{for_so_long}"),
        Status::Pause => format!("is paused{after}"),
        Status::Freeze => "is frozen".to_string(),
        Status::Unknown => format!("is in a state Nightbell does not know: {}", instance.raw_status),
    };
    match limit {
        Some(limit) => format!("{job} {what} (limit {})", limit_text(limit)),
        None => format!("{job} {what}"),
    }
}

/// A threshold as its rule writes it: "45m", not "45m 0s".
fn limit_text(limit: Duration) -> String {
    let text = duration_text(limit);
    let round = [" 0s", " 0m", " 0h"].iter().find_map(|zero| text.strip_suffix(zero));
    round.map_or(text.clone(), str::to_string)
}

/// Why an alert ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The same run was seen in a state that counts as recovery.
    SameInstance,
    /// A later run of the job succeeded.
    LaterInstance,
    /// The run ended, however it did; ends duration alerts.
    Ended,
}

/// What an alert that ends says. `instance` is the one that ended it.
pub fn resolved(instance: &Instance, lasted: Option<Duration>, ending: Ending) -> String {
    let job = &instance.job.name;
    let after = lasted.map(|lasted| format!(" after {}", duration_text(lasted))).unwrap_or_default();
    match ending {
        Ending::SameInstance if instance.status == Status::ForcedSuccess => {
            format!("{job} is settled: it was set to success by hand")
        }
        Ending::SameInstance => format!("{job} recovered: it succeeded{after}"),
        Ending::LaterInstance => format!("{job} recovered: a later run succeeded{after}"),
        Ending::Ended => format!("{job} ended ({}){after}", instance.status),
    }
}
