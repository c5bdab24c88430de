//! How a period went, in one line.

use super::language::Language;
use crate::model::{DigestFacts, VerdictState};

/// What a digest says first, in this language: "3 jobs still broken, 2 late · 1,204 of 1,210 ok", and that not everything
/// could be read where that is so. Made of the facts alone, so that it can be said again in another language.
pub fn verdict(facts: &DigestFacts, language: Language) -> String {
    let state = facts.verdict.state;
    let some = |number: u64| if number > 0 { grouped(number) } else { String::new() };
    let outcomes = &facts.totals.outcomes;
    let ended = some(outcomes.ended);
    // Of nothing, nothing was well.
    let ok = if ended.is_empty() { String::new() } else { grouped(outcomes.ok) };
    let n = some(if state == VerdictState::Broken { facts.broken.total } else { facts.recovered.total });
    let late = some(facts.breaches.total);
    // Of a list that is cut nobody knows of the rest whether it is over.
    let is_known = facts.breaches.total == facts.breaches.shown.len() as u64;
    let past = facts.breaches.shown.iter().filter(|part| is_known && !part.is_running).count();
    let past = some(past as u64);
    let unsure = if facts.completeness.complete { String::new() } else { language.say("digest.unsure", &[]) };
    let values =
        [("n", n.as_str()), ("late", &late), ("past", &past), ("ok", &ok), ("ended", &ended), ("unsure", &unsure)];
    match state {
        VerdictState::Broken => language.say("digest.verdict_broken", &values),
        VerdictState::Unknown => language.say("digest.verdict_unknown", &values),
        VerdictState::Late => language.say("digest.verdict_late", &values),
        VerdictState::Recovered => language.say("digest.verdict_recovered", &values),
        VerdictState::Well => language.say("digest.verdict_well", &values),
        VerdictState::Quiet => language.say("digest.verdict_quiet", &values),
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

/// So many of something, in English: `1 alert`, `1,204 alerts`. What ends otherwise than in an `s` does not belong here, but for
/// a `y` behind a consonant: `2 deliveries`.
pub fn count_of(number: u64, noun: &str) -> String {
    let many = match noun.strip_suffix('y') {
        _ if number == 1 => noun.to_string(),
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    };
    format!("{} {many}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_one_or_several() {
        for (number, noun, text) in [
            (0, "alert", "0 alerts"),
            (1, "alert", "1 alert"),
            (1204, "alert", "1,204 alerts"),
            (2, "delivery", "2 deliveries"),
        ] {
            assert_eq!(count_of(number, noun), text);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }
}
