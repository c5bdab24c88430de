//! What a backtest prints: messages or differences, then the counts, then what it cannot know.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::super::ground::Failure;
use super::super::output::{complain, local, print, table};
use super::super::test::told_line;
use crate::app::OnRecord;
use crate::config::Config;
use crate::model::ReceiverId;
use crate::template::display_text;
use crate::words::count_of;
use crate::worker::replay::Played;
use crate::worker::replay::{Difference, How, Sent, Telling, differences};

/// What one version of the rules tells.
pub(super) struct Version {
    tellings: Vec<Telling>,
    /// The messages that go out.
    sent: Vec<Sent>,
    /// Messages by receiver; every receiver of the configuration is there.
    counts: BTreeMap<ReceiverId, u64>,
    /// Alerts that were never told, by what held them back.
    untold: BTreeMap<String, u64>,
}

impl Version {
    /// What was played, from `since` on.
    pub(super) fn of(config: &Config, played: Played, since: Timestamp) -> Version {
        let tellings: Vec<Telling> = played.tellings.into_iter().filter(|telling| telling.at >= since).collect();
        let mut counts: BTreeMap<ReceiverId, u64> = config.receivers.iter().map(|it| (it.id.clone(), 0)).collect();
        let sent: Vec<Sent> = played.sent.into_iter().filter(|sent| sent.at >= since).collect();
        for message in &sent {
            *counts.entry(message.receiver.clone()).or_default() += 1;
        }
        let mut untold: BTreeMap<String, u64> = BTreeMap::new();
        for alert in played.alerts.iter().filter(|alert| alert.created_at >= since) {
            if let Some(by) = &alert.suppressed_by {
                *untold.entry(by.to_string()).or_default() += 1;
            }
        }
        Version { tellings, sent, counts, untold }
    }

    /// What it tells, the earliest first.
    pub(super) fn tellings(&self) -> &[Telling] {
        &self.tellings
    }

    fn messages(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Messages by hour, in the order of time, and by receiver.
    fn by_hour(&self) -> BTreeMap<Timestamp, BTreeMap<ReceiverId, u64>> {
        let mut hours: BTreeMap<Timestamp, BTreeMap<ReceiverId, u64>> = BTreeMap::new();
        for Sent { at, receiver, .. } in &self.sent {
            let Ok(hour) = Timestamp::from_second(at.as_second().div_euclid(3600) * 3600) else { continue };
            *hours.entry(hour).or_default().entry(receiver.clone()).or_default() += 1;
        }
        hours
    }
}

/// Everything that a backtest found.
pub(super) struct Report {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    pub(super) timezone: TimeZone,
    pub(super) sources: Vec<OnRecord>,
    pub(super) notes: Vec<String>,
    pub(super) old: Version,
    pub(super) new: Option<Version>,
}

impl Report {
    pub(super) fn print(&self) -> Result<(), Failure> {
        for source in &self.sources {
            let (id, polls, changes) = (&source.source, source.polls, source.transitions);
            let (polls, changes) = (count_of(polls as u64, "poll"), count_of(changes as u64, "status change"));
            complain(format_args!("{id}: replaying {polls} and {changes}"));
        }
        match &self.new {
            None => self.print_messages()?,
            Some(new) => self.print_differences(new)?,
        }
        for note in &self.notes {
            complain(format_args!("note: {note}"));
        }
        Ok(())
    }

    fn print_messages(&self) -> Result<(), Failure> {
        let (since, until) = (self.time(self.since), self.time(self.until));
        if self.old.tellings.is_empty() {
            print(format_args!("from {since} to {until} nobody would have been notified"))?;
        } else {
            let rows = self.old.tellings.iter().map(|telling| self.row(telling, &telling.receivers())).collect();
            print(table(&["TIME", "SEVERITY", "RULE", "TO", "WHAT"], rows))?;
            print("")?;
            let by_hour = self.old.by_hour();
            let receivers: Vec<&ReceiverId> = self.old.counts.keys().collect();
            let mut header = vec!["HOUR"];
            header.extend(receivers.iter().map(|receiver| receiver.as_str()));
            let count = |number: Option<&u64>| number.map_or_else(|| "-".to_string(), u64::to_string);
            let mut rows: Vec<Vec<String>> = Vec::new();
            for (hour, counts) in &by_hour {
                let mut row = vec![self.time(*hour)];
                row.extend(receivers.iter().map(|receiver| count(counts.get(*receiver))));
                rows.push(row);
            }
            let mut sum = vec!["all".to_string()];
            sum.extend(receivers.iter().map(|receiver| count(self.old.counts.get(*receiver))));
            rows.push(sum);
            print(table(&header, rows))?;
            print(format_args!("\n{} from {since} to {until}", count_of(self.old.messages(), "message")))?;
        }
        for (by, count) in &self.old.untold {
            print(format_args!("{} not sent: {by}", count_of(*count, "alert")))?;
        }
        Ok(())
    }

    fn print_differences(&self, new: &Version) -> Result<(), Failure> {
        let differences = differences(&self.old.tellings, &new.tellings);
        if differences.is_empty() {
            print("both versions notify the same")?;
        } else {
            let rows = differences.iter().map(|difference| self.difference_row(difference)).collect();
            print(table(&["", "TIME", "SEVERITY", "RULE", "TO", "WHAT"], rows))?;
        }
        print("")?;
        let receivers: BTreeSet<&ReceiverId> = self.old.counts.keys().chain(new.counts.keys()).collect();
        let rows = receivers.into_iter().map(|receiver| {
            let of = |version: &Version| version.counts.get(receiver).copied().unwrap_or(0);
            let only = |how: How| {
                let concerns = |it: &&Difference| it.how == how && it.receivers.contains(receiver);
                differences.iter().filter(concerns).count()
            };
            let numbers = [of(&self.old), of(new), only(How::OnlyOld) as u64, only(How::OnlyNew) as u64];
            let mut row = vec![receiver.to_string()];
            row.extend(numbers.map(|number| number.to_string()));
            row
        });
        print(table(&["RECEIVER", "OLD", "NEW", "ONLY OLD", "ONLY NEW"], rows.collect()))?;
        Ok(())
    }

    fn difference_row(&self, difference: &Difference) -> Vec<String> {
        let mark = match difference.how {
            How::OnlyOld => "-",
            How::OnlyNew => "+",
            How::Moved(_) => "~",
        };
        let mut row = vec![mark.to_string()];
        row.extend(self.row(&difference.telling, &difference.receivers));
        if let How::Moved(from) = difference.how
            && let Some(what) = row.last_mut()
        {
            what.push_str(&format!(" (by the old version at {})", self.time(from)));
        }
        row
    }

    fn row(&self, telling: &Telling, receivers: &BTreeSet<ReceiverId>) -> Vec<String> {
        let severity = if telling.is_end() { "resolved".to_string() } else { telling.severity.to_string() };
        let names: Vec<&str> = receivers.iter().map(ReceiverId::as_str).collect();
        let step = telling.step.map(|step| format!("step {step}: ")).unwrap_or_default();
        let what = format!("{step}{}", display_text(&telling.summary));
        vec![self.time(telling.at), severity, telling.rule.to_string(), names.join(", "), what]
    }

    fn time(&self, at: Timestamp) -> String {
        local(at, &self.timezone)
    }

    /// The messages or the differences, a line each, and what they add up to.
    pub(super) fn print_json(&self) -> Result<(), Failure> {
        let mut summary = json!({
            "since": self.since,
            "until": self.until,
            "messages": self.old.messages(),
            "receivers": self.old.counts,
            "untold": self.old.untold,
            "notes": self.notes,
        });
        match &self.new {
            None => {
                for telling in &self.old.tellings {
                    print(told_line(telling))?;
                }
                let hours: Vec<serde_json::Value> = self
                    .old
                    .by_hour()
                    .iter()
                    .map(|(hour, counts)| json!({ "hour": hour, "receivers": counts }))
                    .collect();
                summary["hours"] = hours.into();
            }
            Some(new) => {
                for difference in differences(&self.old.tellings, &new.tellings) {
                    let mut line = told_line(&difference.telling);
                    line["receivers"] = json!(difference.receivers);
                    let (change, before) = match difference.how {
                        How::OnlyOld => ("only-old", None),
                        How::OnlyNew => ("only-new", None),
                        How::Moved(from) => ("moved", Some(from)),
                    };
                    line["change"] = change.into();
                    line["old_at"] = json!(before);
                    print(line)?;
                }
                summary["new"] = json!({ "messages": new.messages(), "receivers": new.counts, "untold": new.untold });
            }
        }
        print(json!({ "summary": summary }))?;
        Ok(())
    }
}
