//! What of everything somebody may see.
//!
//! A token can be for certain labels. Whoever shows one sees the alerts that have them, the jobs that their source or a rule
//! gives them to, and of deliveries, silences and actions those that are about nothing else. Whatever is out of sight is as
//! if it were not there: the same answer is given for it as for an id that nobody has.
//!
//! Every handler asks here and not the store for what it shows. A list reads on until a page is full, within a bound: then
//! the page is short, and its cursor leads on.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::access::Person;
use super::cursor;
use super::fault::Fault;
use super::state::{InForce, Web};
use crate::desk::explain::Explanation;
use crate::desk::{Named, Wrong};
use crate::limits::{API_ROWS_MAX, NIGHT_ALERTS_MAX, PAGE_ROWS, SCOPED_READS_MAX};
use crate::model::{
    Action, ActionKind, Alert, AlertId, AlertState, Concerns, Delivery, DeliveryId, DeliveryState, LabelMatch, Labels,
    ReceiverId, Severity, Silence, SilenceId, SourceId, joined_labels,
};
use crate::notify::ReceiverSettings;
use crate::rule::Rule;
use crate::store::{AlertAsk, Board as _, Counts as _, Deliveries as _, DeliveryAsk, DeliveryRecord, Desk as _, Place};
use crate::words::Saying;
use crate::worker::deliver::receiver_of;
use crate::worker::lease::POLL;

/// What somebody may see.
#[derive(Clone)]
pub(in crate::web) struct Sight {
    scope: LabelMatch,
    in_force: Arc<InForce>,
}

/// Rows, and the cursor that leads to those after them.
pub(in crate::web) type Rows<T> = (Vec<T>, Option<String>);

/// Where the next page of a list begins that goes from the worst on.
pub(in crate::web) struct Rest {
    pub(in crate::web) severity: Severity,
    pub(in crate::web) cursor: Option<String>,
}

impl FromRequestParts<Web> for Sight {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Sight, Fault> {
        Ok(Sight::of(parts.extensions.get::<Person>(), web.in_force()))
    }
}

impl Sight {
    /// What this person may see.
    pub(in crate::web) fn of(person: Option<&Person>, in_force: Arc<InForce>) -> Sight {
        Sight { scope: person.map(|person| person.scope.clone()).unwrap_or_default(), in_force }
    }

    /// Whether it is everything.
    pub(in crate::web) fn is_whole(&self) -> bool {
        self.scope.is_empty()
    }

    /// Refuses what is about everything to who may see a part.
    pub(in crate::web) fn must_be_whole(&self) -> Result<(), Fault> {
        if self.is_whole() {
            return Ok(());
        }
        Err(Fault::new(axum::http::StatusCode::FORBIDDEN, Saying::of("refused.part-alone")))
    }

    /// The labels that it is for, in words.
    pub(in crate::web) fn words(&self) -> String {
        self.scope.to_string()
    }

    /// Whether an alert is in it.
    pub(in crate::web) fn sees(&self, alert: &Alert) -> bool {
        self.holds(&alert.facts.alert.labels)
    }

    fn holds(&self, labels: &Labels) -> bool {
        self.scope.holds(labels)
    }

    fn labels_of(&self, source: &SourceId) -> Option<&Labels> {
        self.in_force.config.sources.iter().find(|settings| settings.id == *source).map(|settings| &settings.labels)
    }

    /// Whether what a rule says of a source's jobs is in it.
    pub(in crate::web) fn sees_rule(&self, source: &SourceId, rule: &Rule) -> bool {
        let is_labelled = |labels: &Labels| self.holds(&joined_labels(labels, &rule.labels));
        self.is_whole() || rule.concerns_source(source) && self.labels_of(source).is_some_and(is_labelled)
    }

    /// Whether a job is in it: by the labels of its source, or by those of a rule that is about it.
    pub(in crate::web) fn sees_job(&self, source: &SourceId, job: &str) -> bool {
        if self.is_whole() || self.labels_of(source).is_some_and(|labels| self.holds(labels)) {
            return true;
        }
        self.rules_about(source, job).next().is_some()
    }

    /// The rules about a job that are in it.
    pub(in crate::web) fn rules_about<'a>(&'a self, source: &'a SourceId, job: &str) -> impl Iterator<Item = &'a Rule> {
        let rules = &self.in_force.config.rules;
        let matching = rules.matched_by(source, job).into_iter().filter_map(|at| rules.rules().get(at));
        matching.filter(move |rule| self.sees_rule(source, rule))
    }

    /// Whether a source is in it: whether any of its jobs can be.
    pub(in crate::web) fn sees_source(&self, source: &SourceId) -> bool {
        if self.is_whole() {
            return true;
        }
        let rules = self.in_force.config.rules.rules();
        self.labels_of(source).is_some_and(|labels| self.holds(labels))
            || rules.iter().any(|rule| self.sees_rule(source, rule))
    }

    /// The rules that are in it.
    pub(in crate::web) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let config = &self.in_force.config;
        let is_seen = |rule: &Rule| config.sources.iter().any(|source| self.sees_rule(&source.id, rule));
        config.rules.rules().iter().filter(move |rule| self.is_whole() || is_seen(rule))
    }

    /// Whether a receiver is in it: whether a rule that is in it notifies that one, or one in whose place it is notified.
    pub(in crate::web) fn sees_receiver(&self, receiver: &ReceiverId) -> bool {
        if self.is_whole() || self.rules().any(|rule| rule.receivers().any(|told| told == receiver)) {
            return true;
        }
        let stands_in = |settings: &&ReceiverSettings| settings.fallback.as_ref().is_some_and(|it| it.to == *receiver);
        // Nobody is his own fallback, however many stand in between.
        self.in_force.config.receivers.iter().filter(stands_in).any(|settings| self.sees_receiver(&settings.id))
    }

    /// Whether a loop is in it, by its name: some are a receiver's, some a source's.
    pub(in crate::web) fn sees_loop(&self, name: &str) -> bool {
        if self.is_whole() {
            return true;
        }
        match name.strip_prefix(POLL) {
            Some(source) => self.sees_source(&SourceId::new(source)),
            None => receiver_of(name).is_none_or(|receiver| self.sees_receiver(&receiver)),
        }
    }

    /// Whether somebody who sees this much may see what concerns alerts with these labels alone.
    fn covers(&self, labels: &LabelMatch) -> bool {
        let is_within = |(name, values): (&String, &Vec<String>)| {
            let wanted = labels.0.get(name).filter(|wanted| !wanted.is_empty());
            wanted.is_some_and(|wanted| wanted.iter().all(|value| values.contains(value)))
        };
        self.scope.0.iter().all(is_within)
    }

    /// The alert of this id.
    pub(in crate::web) async fn alert(&self, web: &Web, id: &str) -> Result<Alert, Fault> {
        let alert = web.store.alert(&AlertId::new(id)).await?;
        alert.filter(|alert| self.sees(alert)).ok_or_else(Fault::not_found)
    }

    /// A page of alerts.
    pub(in crate::web) async fn alerts(&self, web: &Web, ask: AlertAsk, limit: usize) -> Result<Rows<Alert>, Fault> {
        if self.is_whole() {
            let found = web.store.alert_page(&ask, limit + 1).await?;
            return Ok(cursor::page(found, limit, cursor::of_alert));
        }
        let (mut ask, mut seen) = (ask, Vec::new());
        for _ in 0..SCOPED_READS_MAX {
            let read = web.store.alert_page(&ask, API_ROWS_MAX).await?;
            let is_last = read.len() < API_ROWS_MAX;
            for alert in read {
                ask.after = Some(Place { at: alert.created_at, id: alert.id.to_string() });
                if !self.sees(&alert) {
                    continue;
                }
                if seen.len() == limit {
                    let next = seen.last().map(cursor::of_alert);
                    return Ok((seen, next));
                }
                seen.push(alert);
            }
            if is_last {
                return Ok((seen, None));
            }
        }
        Ok((seen, ask.after.as_ref().map(cursor::write)))
    }

    /// A page of alerts that fire, the worst first and of the same severity the newest; `ask` says with which severity it
    /// begins, and behind which place. Returns where the next one begins.
    pub(in crate::web) async fn worst_first(
        &self,
        web: &Web,
        ask: AlertAsk,
        limit: usize,
    ) -> Result<(Vec<Alert>, Option<Rest>), Fault> {
        let begin = ask.severity.unwrap_or(Severity::Critical);
        let (mut found, mut after) = (Vec::new(), ask.after.clone());
        for severity in Severity::ALL.into_iter().filter(|severity| *severity <= begin) {
            if found.len() == limit {
                return Ok((found, Some(Rest { severity, cursor: None })));
            }
            let wanted = AlertAsk { severity: Some(severity), after: after.take(), ..ask.clone() };
            let (mut of_severity, next) = self.alerts(web, wanted, limit - found.len()).await?;
            found.append(&mut of_severity);
            if next.is_some() {
                return Ok((found, Some(Rest { severity, cursor: next })));
            }
        }
        Ok((found, None))
    }

    /// Everything that is known of a delivery.
    pub(in crate::web) async fn delivery(&self, web: &Web, id: &str) -> Result<DeliveryRecord, Fault> {
        let record = web.store.delivery_record(&DeliveryId::new(id)).await?.ok_or_else(Fault::not_found)?;
        let mut seen = self.seen(web, vec![record.delivery.clone()]).await?;
        seen.pop().map(|_| record).ok_or_else(Fault::not_found)
    }

    /// A page of deliveries.
    pub(in crate::web) async fn deliveries(
        &self,
        web: &Web,
        ask: DeliveryAsk,
        limit: usize,
    ) -> Result<Rows<Delivery>, Fault> {
        if self.is_whole() {
            let found = web.store.delivery_page(&ask, limit + 1).await?;
            return Ok(cursor::page(found, limit, cursor::of_delivery));
        }
        let (mut ask, mut seen) = (ask, Vec::new());
        for _ in 0..SCOPED_READS_MAX {
            let read = web.store.delivery_page(&ask, API_ROWS_MAX).await?;
            let is_last = read.len() < API_ROWS_MAX;
            ask.after = read.last().map(|last| Place { at: last.created_at, id: last.id.to_string() });
            seen.extend(self.seen(web, read).await?);
            if seen.len() > limit {
                return Ok(cursor::page(seen, limit, cursor::of_delivery));
            }
            if is_last {
                return Ok((seen, None));
            }
        }
        Ok((seen, ask.after.as_ref().map(cursor::write)))
    }

    /// Of these deliveries those that tell of alerts in sight, and of nothing else.
    async fn seen(&self, web: &Web, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, Fault> {
        if self.is_whole() {
            return Ok(deliveries);
        }
        let groups: Vec<DeliveryId> =
            deliveries.iter().filter(|delivery| delivery.alert.is_none()).map(|delivery| delivery.id.clone()).collect();
        let members = web.store.alerts_told_by(&groups).await?;
        let told = |delivery: &Delivery| match &delivery.alert {
            Some(alert) => vec![alert.clone()],
            None => members.get(&delivery.id).cloned().unwrap_or_default(),
        };
        let ids: Vec<AlertId> = deliveries.iter().flat_map(told).collect();
        let alerts = web.store.alerts_of(&ids).await?;
        let is_seen = |id: &AlertId| alerts.get(id).is_some_and(|alert| self.sees(alert));
        let mut deliveries = deliveries;
        deliveries.retain(|delivery| {
            let told = told(delivery);
            !told.is_empty() && told.iter().all(is_seen)
        });
        Ok(deliveries)
    }

    /// The names of a source's jobs, in order, beginning after one, and the name after which there are more.
    pub(in crate::web) async fn jobs(
        &self,
        web: &Web,
        source: &SourceId,
        after: &str,
        limit: usize,
    ) -> Result<Rows<String>, Fault> {
        if self.is_whole() {
            let found = web.store.job_page(source, after, limit + 1).await?;
            return Ok(cursor::page(found, limit, String::clone));
        }
        let (mut after, mut seen) = (after.to_string(), Vec::new());
        for _ in 0..SCOPED_READS_MAX {
            let read = web.store.job_page(source, &after, API_ROWS_MAX).await?;
            let is_last = read.len() < API_ROWS_MAX;
            after = read.last().cloned().unwrap_or(after);
            seen.extend(read.into_iter().filter(|job| self.sees_job(source, job)));
            if seen.len() > limit {
                return Ok(cursor::page(seen, limit, String::clone));
            }
            if is_last {
                return Ok((seen, None));
            }
        }
        Ok((seen, Some(after)))
    }

    /// The silences, the newest first, each with the number of alerts that it holds back or held back.
    pub(in crate::web) async fn silences(&self, web: &Web) -> Result<Vec<(Silence, u64)>, Fault> {
        let mut found = web.store.silences().await?;
        found.retain(|(silence, _)| self.sees_silence(silence));
        Ok(found)
    }

    /// The silences that hold now, the oldest first.
    pub(in crate::web) async fn active_silences(&self, web: &Web) -> Result<Vec<Silence>, Fault> {
        let mut found = web.store.active_silences(web.now()).await?;
        found.retain(|silence| self.sees_silence(silence));
        Ok(found)
    }

    /// Whether a silence is in it.
    pub(in crate::web) fn sees_silence(&self, silence: &Silence) -> bool {
        self.covers(&silence.concerns.labels)
    }

    /// The silence of this number.
    pub(in crate::web) async fn silence(&self, web: &Web, id: i64) -> Result<(Silence, u64), Fault> {
        let found = self.silences(web).await?;
        found.into_iter().find(|(silence, _)| silence.id == SilenceId(id)).ok_or_else(Fault::not_found)
    }

    /// What somebody wants silenced, as far as they may see it.
    ///
    /// # Errors
    /// When they name labels, a source or a rule that is out of sight.
    pub(in crate::web) fn narrowed(&self, concerns: Concerns) -> Result<Concerns, Wrong> {
        let mut narrowed = concerns;
        if narrowed.is_empty() {
            return Ok(narrowed);
        }
        for (name, values) in &self.scope.0 {
            narrowed.labels.0.entry(name.clone()).or_insert_with(|| values.clone());
        }
        if !self.is_whole() {
            // What is out of sight is as if it were not there, and is not named as what may be meant.
            if let Some(source) = narrowed.sources.iter().find(|source| !self.sees_source(source)) {
                return Err(Wrong::unknown(Named::Source, source.as_str(), None));
            }
            if let Some(name) = narrowed.rules.iter().find(|name| !self.rules().any(|rule| rule.id == **name)) {
                return Err(Wrong::unknown(Named::Rule, name.as_str(), None));
            }
        }
        if self.covers(&narrowed.labels) {
            return Ok(narrowed);
        }
        Err(Wrong { part: None, why: Saying::of("refused.scope").with("labels", self.words()) })
    }

    /// Leaves of an explanation what is in sight.
    pub(in crate::web) fn narrow(&self, explanation: &mut Explanation<'_>) {
        let source = explanation.source.clone();
        explanation.rules.retain(|explained| self.sees_rule(&source, explained.rule));
        explanation.rules.iter_mut().for_each(|explained| explained.told.retain(|told| self.sees(&told.alert)));
        explanation.of_gone_rules.retain(|told| self.sees(&told.alert));
    }

    /// A page of what people did, the latest first.
    pub(in crate::web) async fn actions(
        &self,
        web: &Web,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Rows<Action>, Fault> {
        let write = |action: &Action| cursor::write(&Place { at: action.at, id: action.key() });
        if self.is_whole() {
            let found = web.store.action_page(after.as_ref(), limit + 1).await?;
            return Ok(cursor::page(found, limit, write));
        }
        let silences = self.silences(web).await?;
        let (mut after, mut seen) = (after, Vec::new());
        for _ in 0..SCOPED_READS_MAX {
            let read = web.store.action_page(after.as_ref(), API_ROWS_MAX).await?;
            let is_last = read.len() < API_ROWS_MAX;
            after = read.last().map(|last| Place { at: last.at, id: last.key() });
            let alerts: Vec<AlertId> = read.iter().filter_map(|action| action.alert.clone()).collect();
            let alerts = web.store.alerts_of(&alerts).await?;
            seen.extend(read.into_iter().filter(|action| self.sees_action(action, &alerts, &silences)));
            if seen.len() > limit {
                return Ok(cursor::page(seen, limit, write));
            }
            if is_last {
                return Ok((seen, None));
            }
        }
        Ok((seen, after.as_ref().map(cursor::write)))
    }

    fn sees_action(&self, action: &Action, alerts: &HashMap<AlertId, Alert>, silences: &[(Silence, u64)]) -> bool {
        match (action.kind, &action.alert) {
            (_, Some(id)) => alerts.get(id).is_some_and(|alert| self.sees(alert)),
            (ActionKind::Silence | ActionKind::Expire, None) => {
                silences.iter().any(|(silence, _)| silence.id.to_string() == action.subject)
            }
            (ActionKind::Poll, None) => self.sees_source(&SourceId::new(&action.subject)),
            // A message that told of several alerts.
            (_, None) => false,
        }
    }

    /// How many alerts fire and how many letters are dead; of a part of everything, at most as many as are counted one by one.
    pub(in crate::web) async fn counted(&self, web: &Web) -> Result<(u64, u64), Fault> {
        if self.is_whole() {
            return Ok(web.store.open_counts().await?);
        }
        let firing = AlertAsk { state: Some(AlertState::Firing), ..AlertAsk::default() };
        let (firing, _) = self.alerts(web, firing, NIGHT_ALERTS_MAX).await?;
        let dead = DeliveryAsk { state: Some(DeliveryState::Dead), ..DeliveryAsk::default() };
        let (dead, _) = self.deliveries(web, dead, PAGE_ROWS).await?;
        Ok((firing.len() as u64, dead.len() as u64))
    }
}
