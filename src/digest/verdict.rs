//! The verdict: one word, and how sure it is.

use crate::model::{CompletenessPart, GapCause, GapPart, Outcomes, VerdictState};

/// Whether everything up to the end has been read, if late in part: no gap lasts, and nothing was lost for good.
pub fn is_complete(completeness: &CompletenessPart) -> bool {
    let gaps = &completeness.gaps;
    let is_harmless = |gap: &GapPart| gap.until.is_some() && !matches!(gap.cause, GapCause::Lost | GapCause::Purged);
    completeness.read_until.is_some()
        && gaps.total == gaps.shown.len() as u64
        && gaps.shown.iter().all(is_harmless)
        && completeness.sources.iter().all(|source| source.read_until.is_some() && source.unreadable_since.is_none())
}

/// The verdict on what was counted.
pub(super) fn verdict(complete: bool, broken: u64, late: u64, recovered: u64, outcomes: &Outcomes) -> VerdictState {
    match () {
        () if broken > 0 => VerdictState::Broken,
        () if !complete => VerdictState::Unknown,
        () if late > 0 => VerdictState::Late,
        () if recovered > 0 => VerdictState::Recovered,
        () if outcomes.ended == 0 => VerdictState::Quiet,
        () => VerdictState::Well,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever was late, or may be, is never told as "all well".
    #[test]
    fn the_worst_counts() {
        use VerdictState::{Broken, Late, Quiet, Recovered, Unknown, Well};
        let ran = Outcomes { ended: 5, ok: 5, ..Outcomes::default() };
        let cases = [
            (true, 1, 1, 1, Broken),
            (false, 1, 0, 0, Broken),
            (false, 0, 1, 1, Unknown),
            (true, 0, 1, 1, Late),
            (true, 0, 0, 1, Recovered),
            (true, 0, 0, 0, Well),
        ];
        for (complete, broken, late, recovered, expected) in cases {
            assert_eq!(verdict(complete, broken, late, recovered, &ran), expected);
        }
        assert_eq!(verdict(true, 0, 0, 0, &Outcomes::default()), Quiet);
        assert_eq!(verdict(true, 0, 1, 0, &Outcomes::default()), Late);
    }
}
