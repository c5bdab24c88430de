//! One alert: its whole story in order, what was found, and what can be done.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;

use super::alerts::{Row, standing, waits};
use super::frame::{Page, alert_link, encoded, job_link, run_link, shown};
use crate::desk::explain::{TracedDelivery, actions_on, traced_deliveries};
use crate::limits::{EXPLAINED_ALERTS_MAX, EXPLAINED_RUNS_MAX};
use crate::model::{
    Ack, Action, ActionKind, Alert, AlertState, DeliveryState, Instance, MessageKind, NodePart, ReceiverId, Silence,
    Suppression,
};
use crate::store::{Board as _, Desk as _, Inquiry as _, StepRow};
use crate::template::Locale;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::web::waiting::Waiting;

#[derive(Template)]
#[template(path = "web/alert.html")]
struct AlertPage {
    p: Page,
    alert: Alert,
    summary: String,
    said: Said,
    state: &'static str,
    ack: Option<Ack>,
    waits: Option<String>,
    story: Vec<Event>,
    dead: Vec<(String, String)>,
    job_link: String,
    run_link: Option<String>,
    silence_link: String,
    /// What the run said: without the end of a log that stands beside its node.
    error: Option<String>,
    nodes: Vec<NodePart>,
    runs: Vec<Run>,
    others: Vec<Row>,
}

/// What the configuration in force says of it.
struct Said {
    /// The lines of its description.
    description: Vec<String>,
    /// Each with the key of its words.
    links: Vec<(&'static str, String)>,
}

/// One thing that happened.
struct Event {
    at: Timestamp,
    class: String,
    title: String,
    details: Vec<String>,
    link: Option<String>,
}

/// A run of the job.
struct Run {
    id: String,
    link: String,
    status: &'static str,
    at: Option<Timestamp>,
    lasted: String,
}

/// `GET /alerts/{id}`.
pub(in crate::web) async fn alert(State(web): State<Web>, Path(id): Path<String>, p: Page) -> Result<Response, Fault> {
    let alert = p.sight.alert(&web, &id).await?;
    let id = alert.id.clone();
    let ack = web.store.acks_of(std::slice::from_ref(&id)).await?.remove(&id);
    let deliveries = traced_deliveries(&web.store, &id).await?;
    let steps = web.store.steps_of(&id).await?;
    let job = &alert.facts.job.name;
    let actions = actions_on(&web.store, &id, &deliveries).await?;
    // The labels of a job may be others by now than those that the alert was made with.
    let runs = match p.sight.sees_job(&alert.source, job) {
        true => web.store.runs_of(&alert.source, job, EXPLAINED_RUNS_MAX).await?,
        false => Vec::new(),
    };
    let mut others = web.store.alerts_about(&alert.source, job, EXPLAINED_ALERTS_MAX).await?;
    others.retain(|other| other.id != id && p.sight.sees(other));
    others.truncate(EXPLAINED_RUNS_MAX);
    let run_id = alert.facts.instance.as_ref().map(|instance| instance.id.as_str());
    let said = said_of(&p, &alert);
    let acked = ack.as_ref().map(|_| id.clone()).into_iter().collect();
    let silence = match &alert.suppressed_by {
        Some(Suppression::Silence(id)) => web.store.silence(*id).await?.filter(|silence| p.sight.sees_silence(silence)),
        _ => None,
    };
    let waiting = Waiting::of(&web, &p.sight, std::slice::from_ref(&alert), acked).await?;
    let page = AlertPage {
        said,
        summary: p.summary(&alert),
        state: standing(&alert),
        waits: waits(&p, &waiting, &alert),
        story: story(&p, &alert, (ack.as_ref(), &actions, silence.as_ref()), &deliveries, &steps),
        dead: dead(&deliveries),
        job_link: job_link(alert.source.as_str(), job),
        run_link: run_id.map(|run| run_link(alert.source.as_str(), job, run)),
        silence_link: format!("/silences?job={}&rule={}#new", encoded(job), encoded(alert.rule.as_str())),
        error: said_by_run(&alert).map(str::to_string),
        nodes: alert.facts.failing_nodes.clone(),
        runs: runs.iter().map(|run| shown_run(&p, run)).collect(),
        others: super::alerts::rows(&web, &p, &others).await?,
        ack,
        alert,
        p,
    };
    shown(&page.p, &page)
}

/// What is said of alerts like this now, whatever was said when it was told.
fn said_of(p: &Page, alert: &Alert) -> Said {
    let mut facts = alert.facts.clone();
    let locale = Locale { timezone: p.zone.clone(), receiver: ReceiverId::new("page"), language: p.language };
    p.in_force.config.guides.put(&mut facts, p.now, &locale);
    let part = &facts.alert.links;
    let description = part.description.as_ref().map(|prose| prose.text()).unwrap_or_default();
    let links = [("runbook", &part.runbook), ("open_console", &part.console_url)];
    Said {
        description: description.lines().map(|line| p.plain(line)).collect(),
        links: links.into_iter().filter_map(|(key, url)| Some((key, url.clone()?))).collect(),
    }
}

/// What the run said, but for the ends of logs that its nodes have: they stand under it in messages.
fn said_by_run(alert: &Alert) -> Option<&str> {
    let error = alert.facts.instance.as_ref()?.error.as_deref()?;
    let tails = alert.facts.failing_nodes.iter().filter_map(|node| node.log_tail.as_deref());
    let said = tails.fold(error, |said, tail| said.strip_suffix(tail).unwrap_or(said));
    Some(said.trim_end()).filter(|said| !said.is_empty())
}

fn shown_run(p: &Page, run: &Instance) -> Run {
    Run {
        id: p.plain(&run.id),
        link: run_link(run.source.as_str(), &run.job.name, &run.id),
        status: run.status.as_str(),
        at: run.plan_time.or(run.start_time),
        lasted: p.run_lasted(run).unwrap_or_default(),
    }
}

/// The dead letters that can be sent again, each with its receiver.
fn dead(deliveries: &[TracedDelivery]) -> Vec<(String, String)> {
    let tellers = deliveries.iter().map(|traced| &traced.group.as_ref().unwrap_or(&traced.record).delivery);
    let mut dead: Vec<(String, String)> = tellers
        .filter(|delivery| delivery.state == DeliveryState::Dead && delivery.dropped_at.is_none())
        .map(|delivery| (delivery.id.to_string(), delivery.receiver.to_string()))
        .collect();
    dead.dedup();
    dead
}

fn story(
    p: &Page,
    alert: &Alert,
    (ack, actions, silence): (Option<&Ack>, &[Action], Option<&Silence>),
    deliveries: &[TracedDelivery],
    steps: &[StepRow],
) -> Vec<Event> {
    let part = &alert.facts.alert;
    let mut events = vec![event(part.starts_at, part.severity.as_str(), p.say("web.story.began"), Vec::new())];
    // What is over is told of with its end: its summary says how it ended.
    let (firing, over) = match part.ends_at {
        None => (Some(p.summary(alert)), None),
        Some(_) => (None, Some(p.summary(alert))),
    };
    let mut decided: Vec<String> = firing.into_iter().collect();
    if let Some(number) = alert.generation {
        decided.push(p.say_with("web.story.generation", "n", number));
    }
    if part.episode > 1 {
        decided.push(p.say_with("web.story.episode", "n", part.episode));
    }
    events.push(event(alert.created_at, part.severity.as_str(), p.say("web.story.decided"), decided));
    if let Some(by) = &alert.suppressed_by {
        let title = p.say_with("web.waits.held_back", "by", p.held_back_by(&by.to_string()));
        let of_silence = silence.map(|silence| {
            let until = silence.expired.as_ref().map_or(silence.ends_at, |(at, _)| *at);
            let (who, at) = (p.plain(&silence.by), p.clock(&until));
            vec![p.plain(&silence.reason), p.language.say("web.story.silence", &[("who", &who), ("at", &at)])]
        });
        events.push(event(alert.created_at, "warning", title, of_silence.unwrap_or_default()));
    }
    if let Some(held) = &part.held_back {
        let title = p.say_with("web.story.released", "by", p.held_back_by(&held.by));
        events.push(event(held.until, "info", title, held.reason.iter().map(|reason| p.plain(reason)).collect()));
    }
    for step in steps {
        let (n, to) = (step.step.to_string(), step.receiver.to_string());
        let title = p.language.say("web.story.step", &[("n", &n), ("to", &to)]);
        events.push(event(step.taken_at, "info", title, Vec::new()));
    }
    deliveries.iter().for_each(|traced| events.push(of_delivery(p, traced)));
    events.extend(actions.iter().filter(|action| action.kind != ActionKind::Close).map(|action| of_action(p, action)));
    let is_on_record = |ack: &&Ack| {
        let is_it = |action: &Action| action.kind == ActionKind::Ack && action.by == ack.by && action.at == ack.at;
        actions.iter().any(is_it)
    };
    // Who says the same again, later, has done nothing new.
    if let Some(ack) = ack.filter(|ack| !is_on_record(ack)) {
        let reason = ack.reason.iter().map(|reason| p.plain(reason)).collect();
        events.push(event(ack.at, "info", p.say_with("web.acked_by", "who", p.plain(&ack.by)), reason));
    }
    if let Some(at) = alert.suspended_at {
        events.push(event(at, "warning", p.say("web.waits.suspended"), Vec::new()));
    }
    if let Some(ended) = &part.ended {
        let by = ended.by.as_ref().map(|by| p.say_with("web.story.by", "who", p.plain(by)));
        let details = by.into_iter().chain(ended.note.iter().map(|note| p.plain(note))).chain(over).collect();
        events.push(event(ended.at, "ok", p.say(&format!("web.ended.{}", ended.reason.as_str())), details));
    } else if let Some(at) = part.ends_at {
        events.push(event(at, "ok", p.say("web.state.resolved"), over.into_iter().collect()));
    }
    events.sort_by_key(|event| event.at);
    events
}

fn event(at: Timestamp, class: &str, title: String, details: Vec<String>) -> Event {
    Event { at, class: class.to_string(), title, details, link: None }
}

/// What somebody did.
fn of_action(p: &Page, action: &Action) -> Event {
    let title = p.say_with(&format!("web.action.{}", action.kind), "who", p.plain(&action.by));
    let details = action.reason.iter().map(|reason| p.plain(reason)).collect();
    let is_about_delivery = matches!(action.kind, ActionKind::Retry | ActionKind::Drop);
    let link = is_about_delivery.then(|| format!("/deliveries/{}", encoded(&action.subject)));
    Event { link, ..event(action.at, "info", title, details) }
}

/// What became of one message.
fn of_delivery(p: &Page, traced: &TracedDelivery) -> Event {
    let delivery = &traced.record.delivery;
    let teller = traced.group.as_ref().unwrap_or(&traced.record);
    let what = match delivery.kind {
        MessageKind::AlertResolved => "web.story.told_end",
        MessageKind::AlertAcknowledged | MessageKind::AlertUnacknowledged => "web.story.told_ack",
        _ if traced.group.is_some() => "web.story.told_with",
        _ => "web.story.told",
    };
    let state = p.say(&format!("web.delivery.{}", teller.delivery.state.as_str()));
    let (to, id) = (delivery.receiver.to_string(), delivery.id.to_string());
    let title = p.language.say(what, &[("to", &to), ("state", &state)]);
    let mut details: Vec<String> = teller
        .attempts
        .iter()
        .map(|attempt| {
            let answer = p.answer(attempt.status.as_deref(), attempt.error.as_deref());
            let (n, at, outcome) = (
                attempt.number.to_string(),
                p.clock(&attempt.started_at),
                p.say(&format!("web.outcome.{}", attempt.outcome)),
            );
            p.language.say("web.story.attempt", &[("n", &n), ("at", &at), ("outcome", &outcome), ("answer", &answer)])
        })
        .collect();
    if let (DeliveryState::Pending, Some(next)) = (teller.delivery.state, teller.delivery.next_attempt_at) {
        let goes_out = p.ahead(&next);
        details.push(match traced.held_for() {
            Some(window) => p.language.say("web.story.held", &[("window", window), ("in", &goes_out)]),
            None if traced.gathers_until().is_some() => p.say_with("web.story.gathers", "in", goes_out),
            None => p.say_with("web.next_try", "in", goes_out),
        });
    }
    let last_error = teller.delivery.last_error.as_ref().filter(|_| teller.delivery.state == DeliveryState::Dead);
    let is_told = |error: &String| teller.attempts.last().is_some_and(|last| last.error.as_ref() == Some(error));
    details.extend(last_error.filter(|error| !is_told(error)).map(|error| p.reason(error)));
    if traced.record.fallback.is_some() {
        details.push(p.say("web.story.fallback"));
    }
    let class = teller.delivery.state.as_str().to_string();
    Event { at: delivery.created_at, class, title, details, link: Some(format!("/deliveries/{}", encoded(&id))) }
}

impl AlertPage {
    fn is_firing(&self) -> bool {
        self.alert.state() == AlertState::Firing
    }

    /// How long a node took.
    fn took(&self, node: &NodePart) -> Option<String> {
        let took = node.end_time?.duration_since(node.start_time?);
        (!took.is_negative()).then(|| self.p.lasted(took.unsigned_abs()))
    }

    fn here(&self) -> String {
        alert_link(self.alert.id.as_str())
    }
}
