//! What the numbers of the SchedulerX API mean.
//!
//! Pure tables. The numbers are those of the vendor's own worker client, which knows more of them than the API's
//! documents do.

use crate::http::cut_to;
use crate::limits::FIELD_BYTES_MAX;
use crate::model::{InstanceType, Status};

/// The status that a number stands for, and the number with the vendor's word, which is kept beside it. A number that
/// is not known is `unknown`: never a success, never an end.
pub(super) fn of_instance(number: &str) -> (Status, String) {
    let (status, word) = match number.trim() {
        "0" => (Status::Unknown, "unknown"),
        "1" => (Status::Waiting, "waiting"),
        "2" => (Status::Waiting, "ready"),
        "3" => (Status::Running, "running"),
        "4" => (Status::Success, "success"),
        "5" => (Status::Fail, "failed"),
        // Stopped by its timeout or by hand: the work was not done, and nobody should have to guess that.
        "6" => (Status::Fail, "killed"),
        "7" => (Status::Pause, "paused"),
        "8" => (Status::Waiting, "submitted"),
        "9" => (Status::Rejected, "rejected"),
        "10" => (Status::Waiting, "accepted"),
        "11" => (Status::Fail, "partially failed"),
        "12" => (Status::Skip, "skipped"),
        "99" => (Status::ManualStop, "removed"),
        other => return (Status::Unknown, cut_to(other.to_string(), FIELD_BYTES_MAX)),
    };
    (status, format!("{} {word}", number.trim()))
}

/// The same for an instance of a workflow, whose numbers differ in the second.
pub(super) fn of_workflow(number: &str) -> (Status, String) {
    let (status, word) = match number.trim() {
        "1" => (Status::Waiting, "pending"),
        "2" => (Status::Waiting, "preparing"),
        "3" => (Status::Running, "running"),
        "4" => (Status::Success, "success"),
        "5" => (Status::Fail, "failed"),
        other => return (Status::Unknown, cut_to(other.to_string(), FIELD_BYTES_MAX)),
    };
    (status, format!("{} {word}", number.trim()))
}

/// Whether the result beside a status tells why something went wrong.
pub(super) fn is_failure(status: Status) -> bool {
    matches!(status, Status::Fail | Status::Rejected | Status::ManualStop)
}

/// How an instance came to run, by what triggered it and how its job is timed. A run that the system repeats after a
/// trouble of its own (5), or that new data started (2), stands for the schedule's; a call of the API (3) and a rerun
/// by hand (4) do not.
pub(super) fn type_of(trigger: Option<i64>, timing: Option<i64>) -> InstanceType {
    const ONE_TIME: i64 = 5;
    match trigger {
        Some(1) if timing == Some(ONE_TIME) => InstanceType::Once,
        Some(1 | 2 | 5) => InstanceType::Scheduled,
        Some(3 | 4) => InstanceType::Manual,
        _ => InstanceType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_status() {
        let table = [
            ("0", Status::Unknown, "0 unknown"),
            ("1", Status::Waiting, "1 waiting"),
            ("2", Status::Waiting, "2 ready"),
            ("3", Status::Running, "3 running"),
            ("4", Status::Success, "4 success"),
            ("5", Status::Fail, "5 failed"),
            ("6", Status::Fail, "6 killed"),
            ("7", Status::Pause, "7 paused"),
            ("8", Status::Waiting, "8 submitted"),
            ("9", Status::Rejected, "9 rejected"),
            ("10", Status::Waiting, "10 accepted"),
            ("11", Status::Fail, "11 partially failed"),
            ("12", Status::Skip, "12 skipped"),
            ("99", Status::ManualStop, "99 removed"),
            ("13", Status::Unknown, "13"),
            ("-4", Status::Unknown, "-4"),
            ("success", Status::Unknown, "success"),
        ];
        for (number, status, raw) in table {
            assert_eq!(of_instance(number), (status, raw.to_string()), "{number}");
        }
        let workflows = [
            ("1", Status::Waiting, "1 pending"),
            ("2", Status::Waiting, "2 preparing"),
            ("3", Status::Running, "3 running"),
            ("4", Status::Success, "4 success"),
            ("5", Status::Fail, "5 failed"),
            ("6", Status::Unknown, "6"),
        ];
        for (number, status, raw) in workflows {
            assert_eq!(of_workflow(number), (status, raw.to_string()), "{number}");
        }
    }

    #[test]
    fn triggers_tell_how_a_run_came_about() {
        let types = |timing| [1, 2, 3, 4, 5, 6].map(|trigger| type_of(Some(trigger), Some(timing)));
        use InstanceType::{Manual, Once, Scheduled, Unknown};
        assert_eq!(types(1), [Scheduled, Scheduled, Manual, Manual, Scheduled, Unknown]);
        assert_eq!(types(5), [Once, Scheduled, Manual, Manual, Scheduled, Unknown]);
        assert_eq!(type_of(None, Some(1)), Unknown);
    }
}
