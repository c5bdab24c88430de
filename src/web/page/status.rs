//! How Nightbell itself fares: its loops, the configuration in force, its sources and receivers; and how the reader reads.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::action::Done;
use super::frame::{Page, encoded, shown};
use crate::limits::{ACTIONS_SHOWN, REPLICA_GONE_AFTER};
use crate::store::{
    Archive as _, Counted, Counts as _, Lease, Leases as _, OwnAlerts as _, PollLedger as _, Present, SourceCondition,
    Standing,
};
use crate::template::display_text;
use crate::web::fault::Fault;
use crate::web::state::Web;
use crate::words::Language;
use crate::worker::turn::Status;

#[derive(Template)]
#[template(path = "web/status.html")]
struct StatusPage {
    p: Page,
    started_at: Timestamp,
    refusal: Option<(Timestamp, String)>,
    loops: Vec<(String, Status)>,
    replicas: Vec<Replica>,
    sources: Vec<Source>,
    receivers: Vec<Receiver>,
    actions: Vec<Done>,
    rules: usize,
    languages: [(&'static str, &'static str); 2],
    is_zone_chosen: bool,
}

/// One of the processes that share the store.
struct Replica {
    name: String,
    seen_at: Timestamp,
    is_there: bool,
    is_outdated: bool,
    clock_ahead: String,
    /// The loops that it runs.
    loops: String,
}

struct Source {
    id: String,
    condition: Option<SourceCondition>,
    learnt: Vec<(String, String)>,
}

struct Receiver {
    id: String,
    kind: &'static str,
    link: String,
    pending: u64,
    oldest: Option<Timestamp>,
    dead: u64,
    error: Option<(Timestamp, String)>,
}

/// `GET /status`.
pub(in crate::web) async fn status(
    State(web): State<Web>,
    headers: axum::http::HeaderMap,
    p: Page,
) -> Result<Response, Fault> {
    let conditions = web.store.sources().await?;
    let counted = web.store.gauges(p.now).await?;
    let own = web.store.own_state(p.now).await?;
    let (done, _) = p.sight.actions(&web, None, ACTIONS_SHOWN).await?;
    let config = &p.in_force.config;
    let mut sources = Vec::new();
    for settings in config.sources.iter().filter(|settings| p.sight.sees_source(&settings.id)) {
        let learnt = web.store.load_learnt(&settings.id).await?;
        sources.push(Source {
            id: settings.id.to_string(),
            condition: conditions.iter().find(|condition| condition.id == settings.id).cloned(),
            learnt: learnt.iter().map(|(what, value)| (what.clone(), p.plain(value))).collect(),
        });
    }
    let is_whole = p.sight.is_whole();
    let receivers = config.receivers.iter().filter(|_| is_whole).map(|settings| {
        let health = own.health.iter().find(|health| health.receiver == settings.id);
        let error = health.filter(|health| health.is_bad()).map(|health| (health.since, p.reason(&health.error)));
        receiver(settings.id.as_str(), settings.channel.kind().word, &counted, error)
    });
    let page = StatusPage {
        started_at: web.started_at,
        refusal: web.reloads.refusal().map(|(since, why)| (since, if is_whole { why } else { String::new() })),
        loops: loops(&web, &p),
        actions: done.iter().map(|action| Done::of(&p, action)).collect(),
        replicas: if is_whole && web.store.is_shared() { replicas(&web.store.look(None).await?) } else { Vec::new() },
        receivers: receivers.collect(),
        sources,
        rules: p.sight.rules().count(),
        languages: Language::ALL.map(|language| match language {
            Language::En => ("en", "English"),
            Language::Zh => ("zh", "简体中文"),
        }),
        is_zone_chosen: crate::web::access::cookie(&headers, "zone_chosen").is_some(),
        p,
    };
    shown(&page.p, &page)
}

/// The loops that the reader sees; what went wrong in one may be about anything.
fn loops(web: &Web, p: &Page) -> Vec<(String, Status)> {
    let mut loops: Vec<_> = web.statuses.all().into_iter().filter(|(name, _)| p.sight.sees_loop(name)).collect();
    if !p.sight.is_whole() {
        let failing = loops.iter_mut().filter_map(|(_, status)| status.failing.as_mut());
        failing.for_each(|failing| failing.error.clear());
    }
    loops
}

fn replicas(standing: &Standing) -> Vec<Replica> {
    let age = |then| Duration::try_from(standing.now.duration_since(then)).unwrap_or_default();
    let of = |it: &Present| {
        let held = |lease: &&Lease| lease.holder.as_ref() == Some(&it.replica.id) && lease.until > standing.now;
        let loops: Vec<&str> = standing.leases.iter().filter(held).map(|lease| lease.name.as_str()).collect();
        Replica {
            name: format!("{} {}", display_text(&it.replica.host), it.replica.pid),
            seen_at: it.seen_at,
            is_there: age(it.seen_at) < REPLICA_GONE_AFTER,
            is_outdated: it.replica.fingerprint != standing.in_force.1,
            clock_ahead: format!("{:+}", it.replica.clock_ahead_ms),
            loops: loops.join(", "),
        }
    };
    standing.replicas.iter().map(of).collect()
}

fn receiver(id: &str, kind: &'static str, counted: &Counted, error: Option<(Timestamp, String)>) -> Receiver {
    let pending = counted.pending.iter().find(|(receiver, ..)| receiver.as_str() == id);
    Receiver {
        id: id.to_string(),
        kind,
        link: format!("/deliveries?receiver={}", encoded(id)),
        pending: pending.map_or(0, |(_, count, _)| *count),
        oldest: pending.map(|(.., made)| *made),
        dead: counted.dead.iter().find(|(receiver, _)| receiver.as_str() == id).map_or(0, |(_, count)| *count),
        error,
    }
}

impl StatusPage {
    fn mark(&self, status: &Status) -> &'static str {
        match (status.fault(self.p.now), &status.failing) {
            (Some(_), _) => "bad",
            (None, Some(_)) => "warn",
            (None, None) if status.looked_at.is_none() => "none",
            _ => "",
        }
    }

    fn is_language(&self, word: &str) -> bool {
        self.p.language.as_str() == word
    }

    fn zone(&self) -> String {
        if self.is_zone_chosen { self.p.zone.iana_name().unwrap_or_default().to_string() } else { String::new() }
    }
}
