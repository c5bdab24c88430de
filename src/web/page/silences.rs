//! Silences: those that there are, and a new one, whose hits are shown before it is made.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::act::doer;
use super::frame::{Page, shown};
use crate::desk::{Hits, Wrong, check_silence, ends_after, preview_silence};
use crate::limits::SILENCES_SHOWN_MAX;
use crate::model::{Alert, Concerns, RuleId, Severity, Silence, SourceId};
use crate::store::NewSilence;
use crate::web::deeds;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::words;
use crate::yaml::parse_duration;

/// A silence as the form has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wish {
    job: String,
    rule: String,
    source: String,
    severity: String,
    #[serde(rename = "for")]
    lasts: String,
    reason: String,
    /// What was pressed: `preview` or `make`.
    step: String,
    /// Whether it may hit everything.
    everything: String,
}

#[derive(Template)]
#[template(path = "web/silences.html")]
struct SilencesPage {
    p: Page,
    wish: Wish,
    wrong: Option<String>,
    hits: Option<Hits>,
    active: Vec<Row>,
    over: Vec<Row>,
    rules: Vec<String>,
    sources: Vec<String>,
    severities: [&'static str; 4],
}

struct Row {
    silence: Silence,
    concerns: String,
    alerts: u64,
}

impl Wish {
    fn concerns(&self) -> Concerns {
        let some = |text: &str| Some(text.trim().to_string()).filter(|text| !text.is_empty());
        Concerns {
            sources: some(&self.source).map(SourceId::new).into_iter().collect(),
            // Commas inside braces belong to a pattern.
            jobs: self.job.split_whitespace().map(str::to_string).collect(),
            rules: some(&self.rule).map(RuleId::new).into_iter().collect(),
            severities: Severity::from_word(self.severity.trim()).into_iter().collect(),
            labels: crate::model::LabelMatch::default(),
        }
    }
}

/// `GET /silences`.
pub(in crate::web) async fn silences(
    State(web): State<Web>,
    Query(wish): Query<Wish>,
    p: Page,
) -> Result<Response, Fault> {
    show(&web, p, wish, None, None).await
}

/// `POST /silences`: shows what it would hit, or makes it.
pub(in crate::web) async fn add(State(web): State<Web>, p: Page, Form(wish): Form<Wish>) -> Result<Response, Fault> {
    let said = |p: &Page, wrong: Wrong| p.says(&wrong.saying());
    let lasts = match parse_duration(wish.lasts.trim()) {
        Some(lasts) => lasts,
        None if wish.step == "preview" => Duration::from_secs(2 * 3600),
        None => {
            let wrong = p.say("web.silence.duration_help");
            return show(&web, p, wish, Some(wrong), None).await;
        }
    };
    let concerns = wish.concerns();
    let sees = |alert: &Alert| p.sight.sees(alert);
    let hits = match preview_silence(&*web.store, &p.in_force.config, &concerns, sees, p.now).await? {
        Ok(hits) => hits,
        Err(wrong) => {
            let text = said(&p, wrong);
            return show(&web, p, wish, Some(text), None).await;
        }
    };
    let may_make = wish.step == "make" && (!hits.is_everything || wish.everything == "yes");
    let reason = if may_make || !wish.reason.trim().is_empty() { wish.reason.clone() } else { "-".into() };
    let (by, config) = (p.who(), &p.in_force.config);
    let checked = ends_after(lasts, p.now).and_then(|ends_at| {
        let concerns = p.sight.narrowed(concerns)?;
        check_silence(config, NewSilence { concerns, reason, by, ends_at }, p.now)
    });
    match checked {
        Err(wrong) => {
            let text = said(&p, wrong);
            show(&web, p, wish, Some(text), None).await
        }
        Ok(new) if may_make => {
            deeds::silence(&web, &doer(&p, &p.who()), new).await?;
            Ok(Redirect::to("/silences").into_response())
        }
        Ok(_) => {
            let refused = (wish.step == "make").then(|| p.say("web.silence.everything_refused"));
            show(&web, p, wish, refused, Some(hits)).await
        }
    }
}

/// `POST /silences/{id}/expire`.
pub(in crate::web) async fn expire(State(web): State<Web>, Path(id): Path<i64>, p: Page) -> Result<Response, Fault> {
    deeds::expire(&web, &doer(&p, &p.who()), id).await?;
    Ok(Redirect::to("/silences").into_response())
}

async fn show(web: &Web, p: Page, wish: Wish, wrong: Option<String>, hits: Option<Hits>) -> Result<Response, Fault> {
    let all = p.sight.silences(web).await?.into_iter().map(|(silence, alerts)| {
        let concerns = p.plain(&words::concerns(&silence.concerns, p.language));
        Row { silence, concerns, alerts }
    });
    let (active, mut over): (Vec<Row>, Vec<Row>) = all.partition(|row| row.silence.is_active(p.now));
    over.truncate(SILENCES_SHOWN_MAX);
    let config = &p.in_force.config;
    let seen = config.sources.iter().filter(|source| p.sight.sees_source(&source.id));
    let page = SilencesPage {
        rules: p.sight.rules().map(|rule| rule.id.to_string()).collect(),
        sources: seen.map(|source| source.id.to_string()).collect(),
        severities: Severity::ALL.map(Severity::as_str),
        // What somebody typed comes back without what cannot be seen.
        wish: Wish { job: p.plain(&wish.job), lasts: p.plain(&wish.lasts), reason: p.plain(&wish.reason), ..wish },
        wrong,
        hits,
        active,
        over,
        p,
    };
    shown(&page.p, &page)
}
