//! What a message about several alerts says: what they share, one line for those that are alike, all names.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nightbell::model::{AlertFacts, GroupFacts, Message, MessageData, MessageKind, Severity, SourceId};
use nightbell::template::{level, sample_message};
use nightbell::words::{GroupLine, Language, Listener, group_lines, headline};

use super::super::sample::at;

/// A failed run of `job`, which failed at `second` with `error`.
fn failed(job: &str, second: i64, error: Option<&str>) -> AlertFacts {
    let MessageData::Alert(facts) = sample_message(MessageKind::AlertFiring, at(0)).data else { unreachable!() };
    let mut facts = *facts;
    facts.job.name = job.to_string();
    facts.alert.severity = Severity::Error;
    facts.alert.starts_at = at(second);
    facts.alert.summary = format!("{job} failed");
    if let Some(run) = &mut facts.instance {
        run.error = error.map(str::to_string);
    }
    facts
}

fn said(alerts: Vec<AlertFacts>, language: Language) -> (String, Vec<GroupLine>) {
    let (now, timezone) = (at(600), TimeZone::UTC);
    let group = GroupFacts::of(alerts, 0);
    let lines = group_lines(&group, &Listener { language, timezone: &timezone, now });
    let message = Message { kind: MessageKind::AlertGroup, timestamp: now, data: MessageData::Group(Box::new(group)) };
    (headline(&message, level(&message), &timezone, language), lines)
}

fn short(instant: Timestamp) -> String {
    instant.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string()
}

#[test]
fn what_all_of_them_share_is_the_headline() {
    let refused = |second: i64| format!("connection to dws-prod refused after {second} s\nat line 1");
    let alerts: Vec<AlertFacts> =
        (0..30).map(|number| failed(&format!("load_{number}"), number * 10, Some(&refused(number)))).collect();
    let since = short(at(0));
    let (english, lines) = said(alerts.clone(), Language::En);
    assert_eq!(
        english,
        format!("30 load_* jobs failed in warehouse since {since}: connection to dws-prod refused after 0 s")
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].text, format!("30 load_* jobs failed since {since}: connection to dws-prod refused after 0 s"));
    let names: Vec<String> = (0..30).map(|number| format!("load_{number}")).collect();
    assert_eq!(lines[0].names.as_deref(), Some(names.join(", ").as_str()));
    let node = lines[0].node.as_deref().unwrap();
    assert!(node.starts_with("load_0, node ") && node.contains(", log obs://"), "{node}");
    let (chinese, _) = said(alerts, Language::Zh);
    assert_eq!(
        chinese,
        format!("30 个 load_* 作业失败（warehouse，{since} 起）：connection to dws-prod refused after 0 s")
    );
}

#[test]
fn jobs_whose_logs_end_with_one_error_share_a_line_that_says_it() {
    let log = |job: i64| {
        let lines: Vec<String> =
            (0..20).map(|line| format!("INFO job {job} has read part {}", "x".repeat(line))).collect();
        format!("{}\nERROR: connection to dws-prod refused\nINFO job {job} is over", lines.join("\n"))
    };
    let alerts: Vec<AlertFacts> = (0..30).map(|n| failed(&format!("load_{n}"), n, Some(&log(n)))).collect();
    let (headline, lines) = said(alerts, Language::En);
    let since = short(at(0));
    let expected = "ERROR: connection to dws-prod refused";
    assert_eq!(headline, format!("30 load_* jobs failed in warehouse since {since}: {expected}"));
    assert_eq!(
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(),
        [format!("30 load_* jobs failed since {since}: {expected}")]
    );
}

#[test]
fn each_error_has_a_line_with_its_jobs_and_the_worst_stands_first() {
    let mut alerts: Vec<AlertFacts> = (0..4).map(|n| failed(&format!("load_{n}"), n, Some("refused"))).collect();
    alerts.extend((4..7).map(|n| failed(&format!("load_{n}"), n, Some("table is missing"))));
    let mut worst = failed("settlement", 9, Some("killed"));
    worst.alert.severity = Severity::Critical;
    alerts.push(worst);
    let (headline, lines) = said(alerts, Language::En);
    assert_eq!(headline, format!("8 alerts: 1 critical, 7 errors (warehouse, since {})", short(at(0))));
    let texts: Vec<(&str, &str, Option<&str>)> =
        lines.iter().map(|line| (line.level, line.text.as_str(), line.names.as_deref())).collect();
    let (level, text, names) = texts[0];
    assert!(level == "critical" && text.starts_with("settlement failed") && text.ends_with(": killed"), "{texts:?}");
    assert_eq!(names, None);
    assert!(texts[1].1.ends_with(": refused") && texts[1].2 == Some("load_0, load_1, load_2, load_3"), "{texts:?}");
    assert!(texts[2].1.ends_with(": table is missing") && texts[2].2 == Some("load_4, load_5, load_6"), "{texts:?}");
}

/// A rule for what matters most and one for the rest find the same fault: it is one piece of news, as bad as its worst.
#[test]
fn one_error_is_one_line_however_bad_each_of_its_alerts_is() {
    let mut alerts: Vec<AlertFacts> = (0..3).map(|n| failed(&format!("load_{n}"), n, Some("refused"))).collect();
    alerts[2].alert.severity = Severity::Critical;
    alerts.push(failed("sync", 5, Some("table is missing")));
    let (_, lines) = said(alerts.clone(), Language::En);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let since = short(at(0));
    assert_eq!((lines[0].level, lines[0].names.as_deref()), ("critical", Some("load_2, load_0, load_1")));
    assert_eq!(lines[0].text, format!("3 load_* jobs failed since {since} (1 critical, 2 errors): refused"));
    // Of all of them it is the headline; without an error, nobody knows that they have one cause.
    alerts.pop();
    let (chinese, _) = said(alerts.clone(), Language::Zh);
    assert_eq!(chinese, format!("3 个 load_* 作业失败（warehouse，{since} 起，紧急 1，错误 2）：refused"));
    alerts.truncate(2);
    assert_eq!(said(alerts.clone(), Language::En).1.len(), 1, "two of one error share a line");
    for facts in &mut alerts {
        facts.instance.as_mut().unwrap().error = None;
    }
    assert_eq!(said(alerts, Language::En).1.len(), 2);
}

/// Where a log's end is told, each job's last lines differ, and the reason stands below them.
#[test]
fn alerts_share_a_line_by_the_line_of_their_logs_that_says_why() {
    let log = |job: usize| {
        let lines: String = (0..19).map(|line| format!("table {job}: {} rows\n", "x".repeat(line))).collect();
        Some(lines + "ERROR: connection to dws-prod refused")
    };
    let alerts = (0..30).map(|n| failed(&format!("load_{n}"), 0, log(n).as_deref())).collect();
    let (headline, lines) = said(alerts, Language::En);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].text.ends_with(": ERROR: connection to dws-prod refused"), "{}", lines[0].text);
    assert!(headline.ends_with(": ERROR: connection to dws-prod refused"), "{headline}");
}

#[test]
fn alerts_of_many_kinds_keep_to_a_dozen_lines_and_all_are_named() {
    let alerts: Vec<AlertFacts> =
        (0..200).map(|n| failed(&format!("job{n}x"), n, Some(&format!("error {}", "e".repeat(n as usize))))).collect();
    let (_, lines) = said(alerts, Language::En);
    assert!(lines.len() <= 12, "{}", lines.len());
    let all: String =
        lines.iter().map(|line| format!("{} {}\n", line.text, line.names.clone().unwrap_or_default())).collect();
    assert!((0..200).all(|n| all.contains(&format!("job{n}x"))), "{all}");
}

#[test]
fn several_runs_of_one_job_are_told_as_runs_and_several_sources_are_not_named() {
    let (headline, _) = said((0..3).map(|n| failed("etl", n, None)).collect(), Language::En);
    assert_eq!(headline, format!("3 runs of etl failed in warehouse since {}", short(at(0))));
    let mut alerts: Vec<AlertFacts> = ["etl", "abc"].map(|job| failed(job, 0, None)).into();
    alerts[1].source.id = SourceId::new("lake");
    let (headline, lines) = said(alerts, Language::En);
    assert_eq!(headline, format!("2 jobs failed since {}", short(at(0))));
    assert_eq!(lines.len(), 2, "two alerts have their own lines: {lines:?}");
}

/// Which of two alerts of the same instant comes first does not depend on the queue they waited in.
#[test]
fn the_order_is_the_same_at_every_receiver() {
    let alerts: Vec<AlertFacts> = (0..9).map(|n| failed(&format!("job{n}"), 0, Some(&"e".repeat(n + 1)))).collect();
    let mut other = alerts.clone();
    other.reverse();
    assert_eq!(said(alerts, Language::En).1, said(other, Language::En).1);
}
