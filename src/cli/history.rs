//! `nightbell check --history`: what the past says of the rules. Which match nothing, which say the same as others, which
//! cry too often, which receivers nobody needs. Reads the store beside a running process.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ground::{Exit, Failure, now_of};
use super::output::{complain, local, print};
use crate::config::Config;
use crate::limits::{NOISY_ALERTS_A_DAY, OVERLAP_SHARE_PERCENT, OVERLAP_TELLINGS_MIN};
use crate::model::{ReceiverId, RuleId};
use crate::rule::{Rule, RuleSet, Trigger};
use crate::store::{Archive as _, Inquiry as _, MessageRecord, Mode, SqlStore, Telling};
use crate::words::count_of;
use crate::yaml::duration_text;

/// Something that the past says of the rules.
#[derive(Debug, Clone, PartialEq)]
enum Finding {
    /// The rule matched no job.
    MatchesNothing { rule: RuleId },
    /// Nothing was ever pending for the receiver.
    NeverTold { receiver: ReceiverId },
    /// Two rules told the same people of the same runs.
    Overlap { rules: [RuleId; 2], receivers: Vec<ReceiverId>, both: usize, of: usize },
    /// Somebody was sent too many messages of the rule on its worst day.
    Noisy { rule: RuleId, receiver: ReceiverId, day: Date, on_that_day: usize, in_all: usize },
}

/// What is looked at.
struct Past {
    /// The sources with their jobs.
    jobs: Vec<(crate::model::SourceId, Vec<String>)>,
    tellings: Vec<Telling>,
    messages: Vec<MessageRecord>,
}

pub(super) async fn history(config: &Config, noise: Option<usize>, as_json: bool) -> Result<Exit, Failure> {
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = now_of(&store).await?;
    let earliest = now.checked_sub(SignedDuration::try_from(config.retention)?).unwrap_or(Timestamp::MIN);
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
    let past = Past { jobs, tellings: store.tellings(since).await?, messages: store.messages(since).await? };
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
        "the last {reach}, since {}: {}, {}, {}",
        local(since, &config.timezone),
        count_of(number as u64, "job"),
        count_of(past.tellings.len() as u64, "alert"),
        count_of(past.messages.len() as u64, "message")
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
    let told: BTreeSet<&str> = past.messages.iter().map(|message| message.receiver.as_str()).collect();
    let silent = config.receivers.iter().filter(|receiver| !told.contains(receiver.id.as_str()));
    findings.extend(silent.map(|receiver| Finding::NeverTold { receiver: receiver.id.clone() }));
    findings.extend(overlaps(&past.tellings));
    findings.extend(noisy(&past.messages, noise, zone));
    findings
}

fn match_nothing(rules: &RuleSet, past: &Past) -> Vec<Finding> {
    let mut matched = vec![false; rules.rules().len()];
    for (source, names) in &past.jobs {
        for name in names {
            rules.matched_by(source, name).into_iter().for_each(|index| matched[index] = true);
        }
    }
    let fired: BTreeSet<&RuleId> = past.tellings.iter().map(|telling| &telling.rule).collect();
    // That a job was never seen is what a rule about a missing run waits for, and of jobs without runs nobody noted any.
    let waits = |rule: &Rule| rule.is_about_jobs() || rule.when.trigger.as_ref().is_some_and(Trigger::misses_runs);
    let is_dead = |rule: &Rule, matched: bool| !matched && !fired.contains(&rule.id) && !waits(rule);
    let dead = rules.rules().iter().zip(matched).filter(|(rule, matched)| is_dead(rule, *matched));
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

/// Rules of which somebody was sent more than `noise` messages on a day, with the worst of their days, and how many that
/// receiver was sent in all.
fn noisy(messages: &[MessageRecord], noise: usize, zone: &TimeZone) -> Vec<Finding> {
    let mut days: BTreeMap<&RuleId, BTreeMap<&ReceiverId, BTreeMap<Date, usize>>> = BTreeMap::new();
    for message in messages {
        let day = message.at.to_zoned(zone.clone()).date();
        for rule in &message.rules {
            let of_receiver = days.entry(rule).or_default().entry(&message.receiver).or_default();
            *of_receiver.entry(day).or_default() += 1;
        }
    }
    let worst = |(rule, receivers): (&RuleId, BTreeMap<&ReceiverId, BTreeMap<Date, usize>>)| {
        let each = receivers.iter().flat_map(|(receiver, days)| {
            let in_all: usize = days.values().sum();
            days.iter().map(move |(day, count)| (*count, *day, *receiver, in_all))
        });
        let (on_that_day, day, receiver, in_all) = each.max_by_key(|(count, ..)| *count)?;
        let (rule, receiver) = (rule.clone(), receiver.clone());
        (on_that_day > noise).then_some(Finding::Noisy { rule, receiver, day, on_that_day, in_all })
    };
    days.into_iter().filter_map(worst).collect()
}

fn words(finding: &Finding) -> String {
    match finding {
        Finding::MatchesNothing { rule } => {
            format!("dead: {rule} matched no job\n  mend its match, or remove it")
        }
        Finding::NeverTold { receiver } => format!("unused: {receiver} was never notified"),
        Finding::Overlap { rules: [one, other], receivers, both, of } => {
            let receivers: Vec<&str> = receivers.iter().map(|receiver| receiver.as_str()).collect();
            format!(
                "overlap: {one} and {other} notified {} of the same {both} of {of}\n  let one of them leave the other's \
                 jobs out (match.not), or notify others",
                receivers.join(", ")
            )
        }
        Finding::Noisy { rule, receiver, day, on_that_day, in_all } => format!(
            "noisy: {rule} sent {receiver} {on_that_day} messages on {day}, {in_all} in all\n  narrow its match, group \
             its alerts, or ask for consecutive failures"
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
        Finding::Noisy { rule, receiver, day, on_that_day, in_all } => json!({
            "finding": "noisy", "rule": rule, "receiver": receiver, "day": day, "messages": on_that_day, "in_all": in_all,
        }),
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
        let message = |receiver: &str, rules: &[&str], at: &str| MessageRecord {
            receiver: ReceiverId::new(receiver),
            rules: rules.iter().map(RuleId::new).collect(),
            at: at.parse().unwrap(),
        };
        let mut messages: Vec<MessageRecord> =
            (0..5).map(|_| message("a", &["r", "other"], "2026-11-21T15:59:00Z")).collect();
        messages.extend((5..9).map(|_| message("a", &["r"], "2026-11-21T16:00:00Z")));
        // Another receiver heard of it less often; and a digest is no rule's.
        messages.extend((0..4).map(|_| message("b", &["r"], "2026-11-21T15:59:00Z")));
        messages.extend((0..9).map(|_| message("a", &[], "2026-11-21T15:59:00Z")));
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let found = noisy(&messages, 4, &shanghai);
        let day = "2026-11-21".parse().unwrap();
        let (rule, receiver) = (RuleId::new("r"), ReceiverId::new("a"));
        let of = |rule: &str, in_all| {
            let (rule, receiver) = (RuleId::new(rule), receiver.clone());
            Finding::Noisy { rule, receiver, day, on_that_day: 5, in_all }
        };
        assert_eq!(found, [of("other", 5), of(rule.as_str(), 9)]);
        assert_eq!(noisy(&messages, 5, &shanghai), []);
        assert_eq!(noisy(&messages, 5, &TimeZone::UTC).len(), 1);
    }
}
