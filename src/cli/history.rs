//! `nightbell check --history`: what the past says of the rules. Which match nothing, which say the same as others, which
//! cry too often, which receivers nobody needs. Reads the store beside a running process.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::output::{complain, local, print};
use super::{Exit, Failure};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::limits::{NOISY_ALERTS_A_DAY, OVERLAP_SHARE_PERCENT, OVERLAP_TELLINGS_MIN, RETENTION};
use crate::model::{ReceiverId, RuleId};
use crate::rule::RuleSet;
use crate::store::{Archive as _, Inquiry as _, Mode, SqlStore, Telling};
use crate::yaml::duration_text;

/// Something that the past says of the rules.
#[derive(Debug, Clone, PartialEq)]
enum Finding {
    /// The rule matched no job.
    MatchesNothing { rule: RuleId },
    /// Nothing was ever owed to the receiver.
    NeverTold { receiver: ReceiverId },
    /// Two rules told the same people of the same runs.
    Overlap { rules: [RuleId; 2], receivers: Vec<ReceiverId>, both: usize, of: usize },
    /// The rule told too often on its worst day.
    Noisy { rule: RuleId, day: Date, on_that_day: usize, in_all: usize },
}

/// What is looked at.
struct Past {
    /// The sources with their jobs.
    jobs: Vec<(crate::model::SourceId, Vec<String>)>,
    tellings: Vec<Telling>,
    owed: Vec<(ReceiverId, u64)>,
}

pub(super) async fn history(config: &Config, noise: Option<usize>, as_json: bool) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = SystemClock.now();
    let earliest = now.checked_sub(SignedDuration::try_from(RETENTION)?).unwrap_or(Timestamp::MIN);
    let Some(begins) = store.history_begins().await? else {
        complain("nothing is remembered yet: let nightbell run for some days first");
        return Ok(Exit::Done);
    };
    let since = begins.max(earliest);
    let mut jobs = Vec::new();
    for source in store.sources().await? {
        let names = store.jobs_of(&source.id).await?;
        jobs.push((source.id, names));
    }
    let past = Past { jobs, tellings: store.tellings(since).await?, owed: store.owed_by_receiver(since).await? };
    let findings = findings(config, &past, noise.unwrap_or(NOISY_ALERTS_A_DAY), &config.timezone);
    if as_json {
        for finding in &findings {
            print(object(finding, since))?;
        }
        return Ok(Exit::Done);
    }
    let reach = duration_text(std::time::Duration::try_from(now.duration_since(since)).unwrap_or_default());
    let number: usize = past.jobs.iter().map(|(_, names)| names.len()).sum();
    print(format_args!(
        "the last {reach}, since {}: {number} jobs, {} alerts",
        local(since, &config.timezone),
        past.tellings.len()
    ))?;
    for finding in &findings {
        print(words(finding))?;
    }
    if findings.is_empty() {
        print("every rule matched a job, none is noisy, none says what another one says")?;
    }
    Ok(Exit::Done)
}

fn findings(config: &Config, past: &Past, noise: usize, zone: &TimeZone) -> Vec<Finding> {
    let mut findings = match_nothing(&config.rules, past);
    let told: BTreeSet<&str> = past.owed.iter().map(|(receiver, _)| receiver.as_str()).collect();
    let silent = config.receivers.iter().filter(|receiver| !told.contains(receiver.id.as_str()));
    findings.extend(silent.map(|receiver| Finding::NeverTold { receiver: receiver.id.clone() }));
    findings.extend(overlaps(&past.tellings));
    findings.extend(noisy(&past.tellings, noise, zone));
    findings
}

fn match_nothing(rules: &RuleSet, past: &Past) -> Vec<Finding> {
    let mut matched = vec![false; rules.rules().len()];
    for (source, names) in &past.jobs {
        for name in names {
            rules.matched_by(source, name).into_iter().for_each(|index| matched[index] = true);
        }
    }
    let dead = rules.rules().iter().zip(matched).filter(|(_, matched)| !matched);
    dead.map(|(rule, _)| Finding::MatchesNothing { rule: rule.id.clone() }).collect()
}

/// Pairs of rules that told the same people of the same runs, often enough to be no accident.
fn overlaps(tellings: &[Telling]) -> Vec<Finding> {
    let mut by_subject: BTreeMap<&(String, String, String), BTreeMap<&RuleId, &[ReceiverId]>> = BTreeMap::new();
    let mut subjects_of: BTreeMap<&RuleId, usize> = BTreeMap::new();
    for telling in tellings.iter().filter(|telling| !telling.receivers.is_empty()) {
        let rules = by_subject.entry(&telling.subject).or_default();
        if rules.insert(&telling.rule, &telling.receivers).is_none() {
            *subjects_of.entry(&telling.rule).or_default() += 1;
        }
    }
    let mut pairs: BTreeMap<(&RuleId, &RuleId), (usize, BTreeSet<&ReceiverId>)> = BTreeMap::new();
    for rules in by_subject.values() {
        let rules: Vec<(&RuleId, &[ReceiverId])> = rules.iter().map(|(rule, receivers)| (*rule, *receivers)).collect();
        for (index, (one, told)) in rules.iter().enumerate() {
            for (other, also) in &rules[index + 1..] {
                let shared: Vec<&ReceiverId> = told.iter().filter(|receiver| also.contains(receiver)).collect();
                if !shared.is_empty() {
                    let pair = pairs.entry((one, other)).or_default();
                    pair.0 += 1;
                    pair.1.extend(shared);
                }
            }
        }
    }
    let overlap = |((one, other), (both, receivers)): ((&RuleId, &RuleId), (usize, BTreeSet<&ReceiverId>))| {
        let of = subjects_of[one].min(subjects_of[other]);
        let is_much = both >= OVERLAP_TELLINGS_MIN && both * 100 >= of * OVERLAP_SHARE_PERCENT;
        let receivers = receivers.into_iter().cloned().collect();
        is_much.then(|| Finding::Overlap { rules: [one.clone(), other.clone()], receivers, both, of })
    };
    pairs.into_iter().filter_map(overlap).collect()
}

/// Rules that told more than `noise` times on a day, with the worst of their days.
fn noisy(tellings: &[Telling], noise: usize, zone: &TimeZone) -> Vec<Finding> {
    let mut days: BTreeMap<&RuleId, BTreeMap<Date, usize>> = BTreeMap::new();
    for telling in tellings.iter().filter(|telling| !telling.receivers.is_empty()) {
        let day = telling.at.to_zoned(zone.clone()).date();
        *days.entry(&telling.rule).or_default().entry(day).or_default() += 1;
    }
    let worst = |(rule, days): (&RuleId, BTreeMap<Date, usize>)| {
        let (day, on_that_day) = days.iter().max_by_key(|(_, count)| **count).map(|(day, count)| (*day, *count))?;
        let in_all = days.values().sum();
        (on_that_day > noise).then(|| Finding::Noisy { rule: rule.clone(), day, on_that_day, in_all })
    };
    days.into_iter().filter_map(worst).collect()
}

fn words(finding: &Finding) -> String {
    match finding {
        Finding::MatchesNothing { rule } => {
            format!("dead: {rule} matched no job\n  mend its match, or remove it")
        }
        Finding::NeverTold { receiver } => format!("unused: {receiver} was told nothing"),
        Finding::Overlap { rules: [one, other], receivers, both, of } => {
            let receivers: Vec<&str> = receivers.iter().map(|receiver| receiver.as_str()).collect();
            format!(
                "overlap: {one} and {other} told {} of the same {both} of {of}\n  let one of them leave the other's \
                 jobs out (match.not), or notify others",
                receivers.join(", ")
            )
        }
        Finding::Noisy { rule, day, on_that_day, in_all } => format!(
            "noisy: {rule} told {on_that_day} times on {day}, {in_all} in all\n  narrow its match, or ask for \
             consecutive failures"
        ),
    }
}

/// A finding as one JSON object.
fn object(finding: &Finding, since: Timestamp) -> Value {
    let mut object = match finding {
        Finding::MatchesNothing { rule } => json!({ "finding": "dead", "rule": rule }),
        Finding::NeverTold { receiver } => json!({ "finding": "unused", "receiver": receiver }),
        Finding::Overlap { rules, receivers, both, of } => {
            json!({ "finding": "overlap", "rules": rules, "receivers": receivers, "both": both, "of": of })
        }
        Finding::Noisy { rule, day, on_that_day, in_all } => {
            json!({ "finding": "noisy", "rule": rule, "day": day, "alerts": on_that_day, "in_all": in_all })
        }
    };
    object["since"] = json!(since);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(rule: &str, run: usize, receivers: &[&str], at: &str) -> Telling {
        Telling {
            rule: RuleId::new(rule),
            subject: ("warehouse".into(), "etl".into(), run.to_string()),
            receivers: receivers.iter().map(ReceiverId::new).collect(),
            at: at.parse().unwrap(),
        }
    }

    const NOON: &str = "2026-11-21T12:00:00Z";

    #[test]
    fn rules_that_tell_the_same_people_of_the_same_runs_overlap() {
        let mut tellings = Vec::new();
        for run in 0..6 {
            tellings.push(telling("wide", run, &["oncall", "team"], NOON));
            tellings.push(telling("narrow", run, &["oncall"], NOON));
            tellings.push(telling("elsewhere", run, &["other"], NOON));
            tellings.push(telling("muted", run, &[], NOON));
        }
        (6..40).for_each(|run| tellings.push(telling("wide", run, &["oncall"], NOON)));
        let expected = Finding::Overlap {
            rules: [RuleId::new("narrow"), RuleId::new("wide")],
            receivers: vec![ReceiverId::new("oncall")],
            both: 6,
            of: 6,
        };
        assert_eq!(overlaps(&tellings), [expected]);
        assert_eq!(overlaps(&tellings[..8]), [], "twice may be an accident");
    }

    #[test]
    fn the_worst_day_of_a_noisy_rule_is_one_of_the_zone() {
        let mut tellings: Vec<Telling> = (0..5).map(|run| telling("r", run, &["a"], "2026-11-21T15:59:00Z")).collect();
        tellings.extend((5..9).map(|run| telling("r", run, &["a"], "2026-11-21T16:00:00Z")));
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let found = noisy(&tellings, 4, &shanghai);
        let day = "2026-11-21".parse().unwrap();
        assert_eq!(found, [Finding::Noisy { rule: RuleId::new("r"), day, on_that_day: 5, in_all: 9 }]);
        assert_eq!(noisy(&tellings, 5, &shanghai), []);
        assert_eq!(noisy(&tellings, 5, &TimeZone::UTC).len(), 1);
    }
}
