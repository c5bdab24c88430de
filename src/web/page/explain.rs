//! Why somebody was told of a run or a job, or why not: every rule, what it measured, and the one reason.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Page, alert_link, encoded, job_link, shown};
use super::job::{RunRow, run_row};
use crate::desk::explain::{Explanation, Outcome, RuleExplained, Told, explain as explained};
use crate::limits::{EXPLAINED_OTHERS_MAX, EXPLAINED_RUNS_MAX};
use crate::web::fault::Fault;
use crate::web::meant::{meant, named};
use crate::web::state::Web;

#[derive(Debug, Deserialize)]
pub(in crate::web) struct Asked {
    /// A job, a run's id, or both, as on the command line.
    subject: Option<String>,
    source: Option<String>,
    job: Option<String>,
    run: Option<String>,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "web/explain.html")]
struct ExplainPage {
    p: Page,
    asked: String,
    near: Option<String>,
    subjects: Vec<Shown>,
    next: Option<String>,
}

/// What is said of one run or job.
struct Shown {
    title: String,
    job_link: String,
    source: String,
    run: Option<RunRow>,
    transitions: Vec<(Timestamp, &'static str, String)>,
    polled_at: Option<Timestamp>,
    /// Since when its source cannot be read, and why: what is told is as old as that.
    unreadable: Option<(Timestamp, String)>,
    rules: Vec<Ruled>,
    others: Vec<(String, String)>,
    others_more: usize,
}

/// What one rule makes of it.
struct Ruled {
    id: String,
    severity: &'static str,
    class: &'static str,
    outcome: String,
    measured: Option<String>,
    alerts: Vec<(String, String, Timestamp)>,
}

/// `GET /explain`.
pub(in crate::web) async fn explain(
    State(web): State<Web>,
    Query(asked): Query<Asked>,
    p: Page,
) -> Result<Response, Fault> {
    let rules = &p.in_force.config.rules;
    let ((found, next), near, text) = match (&asked.source, &asked.job) {
        (Some(source), Some(job)) => {
            let found = named(&web, &p.sight, (source, job), asked.run.as_deref()).await?;
            ((found.into_iter().collect(), None), None, job.clone())
        }
        _ => {
            let text = asked.subject.clone().unwrap_or_default().trim().to_string();
            match meant(&web, &p.sight, &text, asked.cursor.as_deref(), EXPLAINED_RUNS_MAX).await? {
                Ok(found) => (found, None, text),
                Err(near) => ((Vec::new(), None), near, text),
            }
        }
    };
    let mut subjects = Vec::new();
    for subject in found {
        let mut explanation = explained(&web.store, rules, subject, p.now).await?;
        p.sight.narrow(&mut explanation);
        subjects.push(said(&p, &explanation));
    }
    let next = next.map(|cursor| format!("/explain?subject={}&cursor={cursor}", encoded(&text)));
    let page = ExplainPage { asked: p.plain(&text), near, subjects, next, p };
    shown(&page.p, &page)
}

fn said(p: &Page, explanation: &Explanation<'_>) -> Shown {
    let (about, others) = explanation.matching();
    let name = p.plain(&explanation.job);
    let run = explanation.run.as_ref();
    Shown {
        title: match run.filter(|_| !explanation.is_about_job) {
            Some(run) => format!("{name} / {}", p.plain(&run.id)),
            None => name,
        },
        job_link: job_link(explanation.source.as_str(), &explanation.job),
        source: explanation.source.to_string(),
        run: run.map(|run| run_row(p, run)),
        transitions: explanation
            .transitions
            .iter()
            .map(|it| (it.seen_at, it.instance.status.as_str(), p.plain(&it.instance.raw_status)))
            .collect(),
        polled_at: explanation.polled_at,
        unreadable: explanation.unreadable.as_ref().map(|(since, why)| (*since, p.reason(why))),
        rules: about.into_iter().map(|rule| ruled(p, rule)).collect(),
        others_more: others.len().saturating_sub(EXPLAINED_OTHERS_MAX),
        others: others
            .into_iter()
            .take(EXPLAINED_OTHERS_MAX)
            .map(|rule| {
                let why = rule.measured().map(|why| p.says(&why)).unwrap_or_default();
                (rule.rule.id.to_string(), why)
            })
            .collect(),
    }
}

fn ruled(p: &Page, explained: &RuleExplained<'_>) -> Ruled {
    let (class, outcome) = match &explained.outcome {
        Outcome::Told => ("ok", p.say("web.explain.told")),
        Outcome::Pending => ("pending", p.say("web.explain.pending")),
        Outcome::NotTold { why, .. } => ("", p.say_with("web.explain.not_told", "why", p.says(why))),
    };
    let measured = explained.measured();
    let is_said = matches!(&explained.outcome, Outcome::NotTold { why, .. } if Some(why) == measured.as_ref());
    let alert =
        |told: &Told| (alert_link(told.alert.id.as_str()), p.summary(&told.alert), told.alert.facts.alert.starts_at);
    Ruled {
        id: explained.rule.id.to_string(),
        severity: explained.rule.severity.as_str(),
        class,
        outcome,
        measured: measured.filter(|_| !is_said).map(|found| p.says(&found)),
        alerts: explained.told.iter().map(alert).collect(),
    }
}

impl ExplainPage {
    fn near_link(&self) -> String {
        format!("/explain?subject={}", encoded(self.near.as_deref().unwrap_or_default()))
    }
}
