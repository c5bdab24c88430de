//! The verdict: one word, and how sure it is.

use crate::model::{CompletenessPart, GapCause, GapPart, Outcomes, VerdictState};

/// Whether everything up to the end has been read, if late in part: no gap lasts, and nothing was lost for good.
pub fn is_complete(completeness: &CompletenessPart) -> bool {
    let gaps = &completeness.gaps;
    let is_harmless = |gap: &GapPart| gap.until.is_some() && gap.cause != GapCause::Lost;
    completeness.read_until.is_some()
        && gaps.total == gaps.shown.len() as u64
        && gaps.shown.iter().all(is_harmless)
        && completeness.sources.iter().all(|source| source.read_until.is_some() && source.unreadable_since.is_none())
}

/// The verdict on what was counted.
pub(super) fn verdict(complete: bool, broken: u64, recovered: u64, outcomes: &Outcomes) -> VerdictState {
    match (broken, complete, recovered, outcomes.ended) {
        (1.., ..) => VerdictState::Broken,
        (_, false, ..) => VerdictState::Unknown,
        (_, _, 1.., _) => VerdictState::Recovered,
        (.., 0) => VerdictState::Quiet,
        _ => VerdictState::Well,
    }
}
