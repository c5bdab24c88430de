//! How a period went, in one line.

use super::Language;
use crate::model::{DigestFacts, Outcomes, VerdictState};

/// What a digest says first, in this language: "3 jobs still broken · 1,204 of 1,210 ok". Made of the facts alone, so
/// that it can be said again in another language.
pub fn verdict(facts: &DigestFacts, language: Language) -> String {
    let (broken, recovered) = (facts.broken.total, facts.recovered.total);
    verdict_line(facts.verdict.state, broken, recovered, &facts.totals.outcomes, language)
}

/// The same out of the numbers.
pub fn verdict_line(
    state: VerdictState,
    broken: u64,
    recovered: u64,
    outcomes: &Outcomes,
    language: Language,
) -> String {
    let n = grouped(if state == VerdictState::Broken { broken } else { recovered });
    let (ok, ended) = (grouped(outcomes.ok), grouped(outcomes.ended));
    let counts = [("ok", ok.as_str()), ("ended", ended.as_str())];
    let of_jobs = [("n", n.as_str()), counts[0], counts[1]];
    match state {
        VerdictState::Broken => language.say("digest.verdict_broken", &of_jobs),
        VerdictState::Unknown => language.say("digest.verdict_unknown", &counts),
        VerdictState::Recovered => language.say("digest.verdict_recovered", &of_jobs),
        VerdictState::Well => language.say("digest.verdict_well", &counts),
        VerdictState::Quiet => language.say("digest.verdict_quiet", &[]),
    }
}

/// A number with its thousands apart: `1,204`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_verdict_says_how_many_jobs_and_how_many_runs() {
        let outcomes = Outcomes { ended: 1210, ok: 1204, failed: 5, other: 1 };
        let line = |state, n, language| verdict_line(state, n, n, &outcomes, language);
        assert_eq!(line(VerdictState::Broken, 3, Language::En), "3 jobs still broken · 1,204 of 1,210 ok");
        assert_eq!(line(VerdictState::Recovered, 1, Language::En), "1 job failed and recovered · 1,204 of 1,210 ok");
        assert_eq!(line(VerdictState::Broken, 3, Language::Zh), "3 个任务仍未恢复 · 1,210 次运行中 1,204 次正常");
    }
}
