//! What `doctor` asks a SchedulerX account: can it sign in, does it see its groups, can a group be listed as a whole, and
//! which zone the time strings are in.
//!
//! A handful of read-only calls. What is found is learnt by the source itself, as a poll would learn it.

use jiff::{SignedDuration, Timestamp};

use super::answer::Row;
use super::service::SchedulerX;
use super::state::Way;
use super::{listing, workflow};
use crate::limits::SCHEDULERX_PAGE_RECORDS;
use crate::model::Window;
use crate::source::contract::{Finding, Grade};

/// How far back the examination looks.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// Half the span in which an instance must be found again by its own times.
const NEAR: SignedDuration = SignedDuration::from_mins(10);

/// Asks, and tells what was found; the first answer that ends everything ends the examination.
pub(super) async fn examine(source: &SchedulerX) -> Vec<Finding> {
    let mut findings: Vec<Finding> = host(source).into_iter().collect();
    let seen = match source.seen_groups().await {
        Ok(seen) => seen,
        Err(error) => {
            findings.push(Finding::of_error("Can it sign in?", error));
            return findings;
        }
    };
    findings.push(Finding::new("Can it sign in?", "yes", Grade::Good));
    if let Err(error) = source.check_groups(&seen) {
        findings.push(Finding::of_error("Does it see its groups?", error));
        return findings;
    }
    let groups = source.client.api.settings.groups.join(", ");
    findings.push(Finding::new("Does it see its groups?", format!("yes: {groups}"), Grade::Good));

    let now = source.client.clock.now();
    let window = Window { from: now.saturating_sub(LOOK_BACK).unwrap_or(now), to: now };
    match listing::peek(source, window).await {
        Err(error) => findings.push(Finding::of_error("Can instances be listed?", error)),
        Ok(found) => {
            for (group, rows) in &found {
                findings.push(group_list(source, group, rows.len()));
            }
            findings.push(time_zone(source, &found).await);
        }
    }
    findings.push(workflows(source).await);
    findings.push(calls(source));
    findings
}

/// Whether the address is a guess: of four regions the hosts are known, and the others are said to share one.
fn host(source: &SchedulerX) -> Option<Finding> {
    let settings = &source.client.api.settings;
    let region = settings.region.as_ref().filter(|_| settings.has_shared_host())?;
    let answer = format!(
        "{} is asked, which {region} is said to share with other regions; it may have a host of its own",
        settings.endpoint
    );
    let mut found = Finding::new("Which host is asked?", answer, Grade::Notice);
    found.help = Some(
        "if groups or jobs are missing here, set \"endpoint\" to the host that the console's API page names".into(),
    );
    Some(found)
}

fn group_list(source: &SchedulerX, group: &str, rows: usize) -> Finding {
    let question = format!("Can the group {group} be listed as a whole?");
    let way = source.state().ways.get(group).copied();
    match way {
        Some(Way::ByGroup) => {
            let answer = format!("yes: a poll makes one call for each {SCHEDULERX_PAGE_RECORDS} instances");
            Finding::new(&question, answer, Grade::Good)
        }
        Some(Way::ByJob) => {
            let jobs = source.state().directory.ids_of(group, source.client.clock.now()).len();
            let mut found = Finding::new(&question, format!("no: its {jobs} jobs are asked one by one"), Grade::Notice);
            let minutes = jobs.div_ceil(source.client.api.settings.calls_per_minute.max(1));
            found.help = (minutes > 1).then(|| {
                format!(
                    "a poll takes about {minutes} minutes: poll less often, or name the jobs that matter in \"jobs\""
                )
            });
            found
        }
        None if rows == 0 => {
            Finding::new(&question, "no instance was found in 24 hours to tell by; polls find out", Grade::Open)
        }
        None => Finding::new(&question, "it is not known", Grade::Open),
    }
}

/// Looks for one instance by the times it shows: in the right zone it is found there.
async fn time_zone(source: &SchedulerX, found: &[(String, Vec<Row>)]) -> Finding {
    const QUESTION: &str = "Which zone are its times in?";
    let name = source.client.api.settings.timezone.iana_name().unwrap_or("the configured zone");
    let timed = |rows: &[Row]| rows.iter().find_map(|row| Some((row.clone(), row.plan_time.or(row.start_time)?)));
    let Some((group, row, time)) =
        found.iter().find_map(|(group, rows)| timed(rows).map(|(row, time)| (group, row, time)))
    else {
        return Finding::new(QUESTION, format!("{name} is assumed: there was no instance to tell by"), Grade::Open);
    };
    let near = Window {
        from: time.saturating_sub(NEAR).unwrap_or(Timestamp::MIN),
        to: time.saturating_add(NEAR).unwrap_or(Timestamp::MAX),
    };
    let is_by_job = source.state().ways.get(group) == Some(&Way::ByJob);
    let job = is_by_job.then_some(row.job_id.as_str());
    match listing::fetch(source, near, group, job, 1, &mut 0).await {
        Err(error) => Finding::of_error(QUESTION, error),
        Ok(again) if again.iter().flatten().any(|other| other.id == row.id) => {
            Finding::new(QUESTION, format!("{name}: an instance is found at the time it shows, {time}"), Grade::Good)
        }
        // So many in twenty minutes that the one looked for may stand on another page.
        Ok(again) if again.len() >= SCHEDULERX_PAGE_RECORDS => Finding::new(
            QUESTION,
            format!("{name} is assumed: too many instances around {time} to tell by"),
            Grade::Open,
        ),
        Ok(_) => {
            let answer = format!("not {name}: an instance that would be of {time} is not found at that time");
            let mut bad = Finding::new(QUESTION, answer, Grade::Bad);
            bad.help =
                Some("set the source's \"timezone\" to the zone that the SchedulerX console shows times in".into());
            bad
        }
    }
}

/// Whether workflows can be read: the edition may not have them, and the documents do not say how that is told.
async fn workflows(source: &SchedulerX) -> Finding {
    const QUESTION: &str = "Can workflows be read?";
    let settings = &source.client.api.settings;
    let mut count = 0;
    for group in &settings.groups {
        match workflow::all_of(source, group, &mut 0).await {
            Ok(told) => count += told.items.len(),
            Err(error) if settings.workflows || error.is_passing() => {
                return Finding::of_error(QUESTION, error);
            }
            Err(error) => {
                let answer = format!("no: {}", error.message);
                let mut found = Finding::new(QUESTION, answer, Grade::Notice);
                found.help =
                    Some("they are a part of the Professional edition; the runs of their jobs are read".into());
                return found;
            }
        }
    }
    let mut found = Finding::new(QUESTION, format!("yes: there are {count}"), Grade::Good);
    found.help = (count > 0 && !settings.workflows)
        .then(|| "\"workflows: true\" tells of them too, beside the runs of their jobs".to_string());
    found
}

fn calls(source: &SchedulerX) -> Finding {
    let allowed = source.client.api.settings.calls_per_minute;
    let answer = format!("all sources of this key together keep to {allowed} a minute; the service bears 100");
    Finding::new("How many calls of one operation?", answer, Grade::Good)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::model::SourceId;
    use crate::source::schedulerx::settings::{KEYS, Settings};
    use crate::yaml::{Diagnostics, Environment, Section, parse};

    #[test]
    fn a_host_that_is_a_guess_is_said_to_be_one() {
        for (place, is_doubtful) in [
            ("region: ap-southeast-1", true),
            ("region: cn-beijing", false),
            ("region: ap-southeast-1\nendpoint: https://schedulerx.ap-southeast-1.aliyuncs.com", false),
        ] {
            let findings = Diagnostics::new("");
            let text = format!("{place}\nnamespace: n\ngroups: g\nauth: {{ access_key: a, secret_key: s }}");
            let node = parse(&text, &Environment { lookup: &|_| None, required: false }, &findings).unwrap();
            let settings = Settings::read(&Section::of(&KEYS, &node, "sources.x", &findings).unwrap()).unwrap();
            let source = SchedulerX::open(SourceId::new("x"), &settings, Arc::new(SystemClock)).unwrap();
            let found = host(&source);
            assert_eq!(found.is_some(), is_doubtful, "{place}");
            if let Some(found) = found {
                assert_eq!(found.grade, Grade::Notice);
                assert!(found.answer.contains("ap-southeast-1") && found.help.unwrap().contains("endpoint"));
            }
        }
    }
}
