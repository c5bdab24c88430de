//! The instances of the simulated workspace, and the answers that tell of them.
//!
//! Every instance is kept with its item of the list already written, so that a page of a thousand is a matter of
//! copying. Pure: no clock, no network.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::config::ListOrder;
use super::dialect::Dialect;
use super::jobs::Jobs;
use super::node::{SimNode, set_times};

/// An instance of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct SimInstance {
    /// The job's name.
    pub job: String,
    /// The job's id.
    pub job_id: u64,
    /// The instance id.
    pub id: u64,
    /// The status word of the API.
    pub status: String,
    /// The type: 0 scheduled, 2 manual, 5 backfill, 6 subjob, 7 once.
    pub kind: u8,
    /// When it is due.
    pub plan_time: Timestamp,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Set by hand to success.
    pub force_success: bool,
    /// A success in spite of a failed node.
    pub ignore_success: bool,
    /// Why it failed.
    pub error_message: Option<String>,
    /// Its nodes, which the detail tells.
    pub nodes: Vec<SimNode>,
}

impl SimInstance {
    /// A scheduled instance that waits for its plan time.
    pub fn waiting(job: &str, id: u64, plan_time: Timestamp) -> SimInstance {
        SimInstance {
            job: job.to_string(),
            job_id: 600_000,
            id,
            status: "waiting".to_string(),
            kind: 0,
            plan_time,
            start_time: None,
            end_time: None,
            force_success: false,
            ignore_success: false,
            error_message: None,
            nodes: Vec::new(),
        }
    }

    /// The same, started on time.
    pub fn running(mut self) -> SimInstance {
        self.status = "running".to_string();
        self.start_time = Some(self.plan_time);
        self
    }

    /// The same, started on time and ended at `end` in `status`.
    pub fn ended(mut self, status: &str, end: Timestamp) -> SimInstance {
        self.status = status.to_string();
        self.start_time = Some(self.plan_time);
        self.end_time = Some(end);
        self
    }

    /// The same with one more node.
    pub fn node(mut self, node: SimNode) -> SimInstance {
        self.nodes.push(node);
        self
    }

    fn list_item(&self, unit: i64, dialect: Dialect) -> String {
        let mut item = json!({
            "executeTime": self.execute_time(unit),
            "forceSuccess": self.force_success,
            "ignoreSuccess": self.ignore_success,
            "instanceId": self.id,
            "instanceType": self.kind,
            "jobId": self.job_id,
            "jobName": self.job,
            "jobInstanceName": self.job,
            "planTime": self.plan_time.as_millisecond(),
            "status": self.status,
            "submitTime": self.plan_time.as_millisecond(),
            "version": 1,
        });
        self.set_rest(&mut item);
        dialect.worded(item).to_string()
    }

    fn detail(&self, unit: i64, dialect: Dialect) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.item(self.id, self.plan_time)).collect();
        let mut item = json!({
            "executeTime": self.execute_time(unit),
            "forceSuccess": self.force_success,
            "ignoreSuccess": self.ignore_success,
            "instanceId": self.id,
            "instanceType": self.kind,
            "jobName": self.job,
            "nodes": nodes,
            "planTime": self.plan_time.as_millisecond(),
            "status": self.status,
            "total": self.nodes.len(),
        });
        self.set_rest(&mut item);
        dialect.worded(item).to_string()
    }

    /// What is there only once it happened.
    fn set_rest(&self, item: &mut Value) {
        set_times(item, self.start_time, self.end_time);
        if let Some(words) = &self.error_message {
            item["errorMessage"] = json!(words);
        }
    }

    /// In tenths of a unit, as the documents' examples show minutes.
    fn execute_time(&self, unit: i64) -> Value {
        let Some((start, end)) = self.start_time.zip(self.end_time) else { return Value::Null };
        let tenths = (end.as_millisecond() - start.as_millisecond()) * 10 / unit;
        json!(tenths as f64 / 10.0)
    }
}

/// What a list request asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) after: i64,
    pub(super) before: i64,
    pub(super) job: Option<(String, bool)>,
    pub(super) status: Option<String>,
    pub(super) kind: Option<u8>,
    /// Whether the window means start times.
    pub(super) by_start: bool,
}

impl Filter {
    fn wants(&self, entry: &Entry) -> bool {
        let Some(instance) = &entry.instance else {
            // Raw items have no fields that could be told apart.
            return self.job.is_none() && self.status.is_none() && self.kind.is_none();
        };
        let is_job = self.job.as_ref().is_none_or(|(name, is_exact)| {
            if *is_exact { instance.job == *name } else { instance.job.contains(name.as_str()) }
        });
        let is_in_window = !self.by_start
            || instance.start_time.is_some_and(|start| {
                let start = start.as_millisecond();
                self.after < start && start < self.before
            });
        is_in_window
            && is_job
            && self.status.as_ref().is_none_or(|status| instance.status == *status)
            && self.kind.is_none_or(|kind| instance.kind == kind)
    }
}

struct Entry {
    instance: Option<SimInstance>,
    item: String,
}

/// The newest plan time first; among equal ones, the latest added first.
type Order = (Reverse<i64>, Reverse<u64>);

pub(super) struct State {
    /// The jobs, which have lists of their own.
    pub(super) jobs: Jobs,
    entries: BTreeMap<Order, Entry>,
    orders: HashMap<(String, u64), Order>,
    added: u64,
    /// Milliseconds in one unit of `executeTime`.
    execute_time_unit: i64,
    dialect: Dialect,
}

impl State {
    pub(super) fn new(execute_time_unit: i64, dialect: Dialect) -> State {
        let (jobs, entries, orders) = (Jobs::default(), BTreeMap::new(), HashMap::new());
        State { jobs, entries, orders, added: 0, execute_time_unit, dialect }
    }

    /// Whether an instance of a job of this name was ever put.
    pub(super) fn has_job(&self, name: &str) -> bool {
        self.orders.keys().any(|(job, _)| job == name)
    }

    pub(super) fn put(&mut self, instance: SimInstance) {
        let key = (instance.job.clone(), instance.id);
        let plan_time = Reverse(instance.plan_time.as_millisecond());
        let kept = self.orders.get(&key).copied().inspect(|order| drop(self.entries.remove(order)));
        let order = match kept {
            // A change of an instance does not move it within the list.
            Some((_, added)) => (plan_time, added),
            None => (plan_time, self.next()),
        };
        self.orders.insert(key, order);
        let item = instance.list_item(self.execute_time_unit, self.dialect);
        self.entries.insert(order, Entry { instance: Some(instance), item });
    }

    pub(super) fn put_raw(&mut self, plan_time: Timestamp, json: &str) {
        let order = (Reverse(plan_time.as_millisecond()), self.next());
        self.entries.insert(order, Entry { instance: None, item: json.to_string() });
    }

    pub(super) fn update(&mut self, job: &str, id: u64, change: impl FnOnce(&mut SimInstance)) -> bool {
        let Some(mut instance) = self.get(job, id).cloned() else { return false };
        change(&mut instance);
        self.put(instance);
        true
    }

    pub(super) fn remove(&mut self, job: &str, id: u64) -> bool {
        let order = self.orders.remove(&(job.to_string(), id));
        order.is_some_and(|order| self.entries.remove(&order).is_some())
    }

    pub(super) fn get(&self, job: &str, id: u64) -> Option<&SimInstance> {
        let order = self.orders.get(&(job.to_string(), id))?;
        self.entries.get(order)?.instance.as_ref()
    }

    /// A page of the list: the items that the filter wants, from `start` on. An order that changes is
    /// drawn by the number beside it.
    pub(super) fn page(&self, filter: &Filter, order: (ListOrder, u64), start: usize, limit: usize) -> String {
        // Both ends are excluded, as the documents say ("later than", "earlier than").
        let (after, before) = if filter.by_start { (i64::MIN, i64::MAX) } else { (filter.after, filter.before) };
        let newest = (Reverse(before.saturating_sub(1)), Reverse(u64::MAX));
        let oldest = (Reverse(after.saturating_add(1)), Reverse(0));
        let range = if newest <= oldest { Some(self.entries.range(newest..=oldest)) } else { None };
        let mut wanted: Vec<(&Order, &Entry)> =
            range.into_iter().flatten().filter(|(_, entry)| filter.wants(entry)).collect();
        match order {
            (ListOrder::NewestFirst, _) => {}
            (ListOrder::OldestFirst, _) => wanted.reverse(),
            (ListOrder::Shuffled, _) => wanted.sort_by_key(|(order, _)| scattered(order.1.0, 0)),
            (ListOrder::ShuffledAnew, turn) => wanted.sort_by_key(|(order, _)| scattered(order.1.0, turn)),
        }
        let items: Vec<&str> = wanted.iter().skip(start).take(limit).map(|(_, entry)| entry.item.as_str()).collect();
        format!("{{\"total\":{},\"instances\":[{}]}}", wanted.len(), items.join(","))
    }

    pub(super) fn detail(&self, job: &str, id: &str) -> Option<String> {
        self.get(job, id.parse().ok()?).map(|instance| instance.detail(self.execute_time_unit, self.dialect))
    }

    fn next(&mut self) -> Reverse<u64> {
        self.added += 1;
        Reverse(self.added)
    }
}

/// A number without a rule that anybody could see, the same for the same two.
fn scattered(number: u64, turn: u64) -> u64 {
    let mut mixed = number.wrapping_add(turn << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}
