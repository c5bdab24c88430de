//! Why somebody was told of a run, or why not: what each rule makes of it, and what became of what was told.
//!
//! Reads the store, beside a process that works, by a bounded number of indexed queries; what each rule makes of a run
//! it asks the rules themselves. Writes nothing and contacts nobody.

mod find;
mod outcome;
mod told;
mod traced;

pub use find::{Found, Question, find, find_matching, named};
pub use outcome::{Outcome, fate};
pub use told::{Asked, Explanation, RuleExplained};
pub use traced::{Told, TracedDelivery};

use jiff::Timestamp;

use crate::limits::{
    EXPLAINED_ALERTS_MAX, EXPLAINED_DELIVERIES_MAX, EXPLAINED_RUNS_MAX, EXPLAINED_TRANSITIONS_MAX, HISTORY_RUNS_MAX,
};
use crate::model::{Ack, Action, Alert, AlertId, DeliveryId, RuleId};
use crate::rule::history::Past;
use crate::rule::{Objection, Rule, RuleSet, Standing};
use crate::store::{Archive as _, Deliveries as _, Desk as _, Inquiry as _, SqlStore, StoreError};
use crate::words::Saying;

/// Everything that can be said of what is asked after, at `now`.
///
/// # Errors
/// [`StoreError`].
pub async fn explain<'a>(
    store: &SqlStore,
    rules: &'a RuleSet,
    asked: Asked,
    now: Timestamp,
) -> Result<Explanation<'a>, StoreError> {
    let (source, job, asked_run) = match asked {
        Asked::Run(run) => (run.source.clone(), run.job.name.clone(), Some(*run)),
        Asked::Job(source, job) => (source, job, None),
    };
    let mut runs = store.runs_of(&source, &job, HISTORY_RUNS_MAX).await?;
    let mut past = Past::default();
    runs.iter().for_each(|run| past.enter(&run.id, &run.snapshot()));
    let is_about_job = asked_run.is_none();
    let run = asked_run.or_else(|| runs.first().cloned());
    runs.truncate(EXPLAINED_RUNS_MAX);
    let of_job = store.alerts_about(&source, &job, EXPLAINED_ALERTS_MAX).await?;
    let own = match &run {
        Some(run) if !is_about_job => store.alerts_about_run(run, EXPLAINED_ALERTS_MAX).await?,
        _ => of_job.clone(),
    };
    let mut transitions = match &run {
        Some(run) if !is_about_job => store.transitions(&source, &job, &run.id).await?,
        _ => Vec::new(),
    };
    let transitions_before = transitions.len().saturating_sub(EXPLAINED_TRANSITIONS_MAX);
    transitions.drain(..transitions_before);
    let looked = store.looked_at(&source).await?;
    let acks = store.acks().await?;
    let ground = outcome::Ground { run: run.as_ref(), past: &past, of_job: &of_job, looked: looked.as_ref(), now };
    let mut explained = Vec::with_capacity(rules.rules().len());
    for (rule, mismatch) in rules.rules().iter().zip(rules.mismatches(&source, &job)) {
        let told = told(store, &own, &acks, |alert| alert.rule == rule.id).await?;
        let standing = match mismatch {
            Some(mismatch) => Some(Standing::Fails(mismatch)),
            None => standing(rule, &ground, is_about_job),
        };
        let outcome = outcome::outcome(rule, standing.as_ref(), &told, &ground);
        explained.push(RuleExplained { rule, standing, outcome, told });
    }
    let is_gone = |alert: &Alert| rules.get(&alert.rule).is_none();
    let of_gone_rules = told(store, &own, &acks, is_gone).await?;
    let polled_at = looked.map(|(at, _)| at);
    let sources = store.sources().await?;
    let unreadable = sources.into_iter().find(|one| one.id == source).and_then(|one| one.unreadable);
    Ok(Explanation {
        source,
        job,
        run,
        is_about_job,
        transitions,
        transitions_before,
        runs,
        polled_at,
        unreadable,
        rules: explained,
        of_gone_rules,
    })
}

/// How a rule whose source and name match stands: to the job, where it was asked after and the rule looks at jobs;
/// otherwise to the run.
fn standing(rule: &Rule, ground: &outcome::Ground<'_>, is_about_job: bool) -> Option<Standing> {
    let of_job = || rule.stand_to_job(ground.past, ground.now);
    if is_about_job && let Some(standing) = of_job() {
        return Some(standing);
    }
    match ground.run {
        Some(run) => Some(rule.stand(run, ground.past, ground.now)),
        None => of_job(),
    }
}

/// The alerts that are wanted, with what became of them.
async fn told(
    store: &SqlStore,
    alerts: &[Alert],
    acks: &std::collections::HashMap<AlertId, Ack>,
    is_wanted: impl Fn(&Alert) -> bool,
) -> Result<Vec<Told>, StoreError> {
    let mut told = Vec::new();
    for alert in alerts.iter().filter(|alert| is_wanted(alert)).take(EXPLAINED_RUNS_MAX) {
        let deliveries = traced_deliveries(store, &alert.id).await?;
        told.push(Told { alert: alert.clone(), ack: acks.get(&alert.id).cloned(), deliveries });
    }
    Ok(told)
}

/// The deliveries for an alert, the oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn traced_deliveries(store: &SqlStore, alert: &AlertId) -> Result<Vec<TracedDelivery>, StoreError> {
    let mut deliveries = Vec::new();
    for id in store.deliveries_of(alert, EXPLAINED_DELIVERIES_MAX).await? {
        let Some(record) = store.delivery_record(&id).await? else { continue };
        let group = match &record.delivery.merged_into {
            Some(group) => store.delivery_record(group).await?,
            None => None,
        };
        deliveries.push(TracedDelivery { record, group });
    }
    Ok(deliveries)
}

/// What people did to an alert and to the messages about it, those included that told of others, too; the earliest first.
///
/// # Errors
/// [`StoreError`].
pub async fn actions_on(
    store: &SqlStore,
    alert: &AlertId,
    deliveries: &[TracedDelivery],
) -> Result<Vec<Action>, StoreError> {
    let groups: Vec<DeliveryId> =
        deliveries.iter().filter_map(|traced| traced.record.delivery.merged_into.clone()).collect();
    let mut actions = store.actions_on_alert(alert).await?;
    actions.extend(store.actions_on_deliveries(&groups).await?);
    actions.sort_by_key(|one| (one.at, one.key()));
    actions.dedup();
    Ok(actions)
}

impl Explanation<'_> {
    /// The rules that are about the job, and how many are not.
    pub fn matching(&self) -> (Vec<&RuleExplained<'_>>, Vec<&RuleExplained<'_>>) {
        self.rules.iter().partition(|explained| !explained.is_of_other_jobs())
    }

    /// What one rule makes of it.
    pub fn rule(&self, id: &RuleId) -> Option<&RuleExplained<'_>> {
        self.rules.iter().find(|explained| explained.rule.id == *id)
    }
}

impl RuleExplained<'_> {
    /// What the rule measured; nothing where it takes a run and there is none.
    pub fn measured(&self) -> Option<Saying> {
        Some(self.standing.as_ref()?.saying(self.rule))
    }

    /// Whether the rule is about other jobs, and never said anything of this one.
    pub fn is_of_other_jobs(&self) -> bool {
        let mismatches =
            matches!(&self.standing, Some(Standing::Fails(objection)) if Objection::is_of_match(objection));
        mismatches && self.told.is_empty()
    }
}
