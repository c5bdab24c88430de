//! What happens in the demo's workspace, told by the second.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::show::stamp;
use crate::cli::output::print;
use crate::clock::{Clock as _, SystemClock};
use crate::sim::{SimInstance, SimNode, SimWorkspace};

const ORDERS: (&str, u64) = ("etl_orders", 34765);
const CUSTOMERS: (&str, u64) = ("etl_customers", 34768);
const SETTLEMENT: (&str, u64) = ("settlement_daily", 34740);

/// Lets the night take its course.
pub(super) async fn tell(workspace: SimWorkspace, began: Instant) {
    let start = now();
    workspace.put_all(quiet_jobs(start));
    workspace.put(SimInstance::waiting(ORDERS.0, ORDERS.1, before(start, 60)).running());
    workspace.put(SimInstance::waiting(CUSTOMERS.0, CUSTOMERS.1, before(start, 30)).running());
    let settlement = SimInstance::waiting(SETTLEMENT.0, SETTLEMENT.1, before(start, 45 * 60 - 9)).running();
    workspace.put(
        settlement.node(SimNode {
            end_time: None,
            ..SimNode::ended("merge_ledgers", "MRS Spark", "running", before(start, 2600), start)
                .log_path("obs://dlf-log/settlement_daily/2026-11-21 06_00_00.000/merge_ledgers/merge_ledgers.job")
        }),
    );
    event(began, 3, "etl_orders fails: its node load_orders gives up after two retries").await;
    let end = now();
    workspace.update(ORDERS.0, ORDERS.1, |instance| {
        let mut node = SimNode::ended("load_orders", "DWS SQL", "fail", before(end, 40), end)
            .log_path("obs://dlf-log/etl_orders/2026-11-21 06_44_00.000/load_orders/load_orders.job");
        node.retries = 2;
        *instance = instance.clone().ended("fail", end).node(node);
    });
    event(began, 10, "settlement_daily is still running: 45 minutes are over").await;
    event(began, 15, "etl_customers meets an exception and waits for an operator").await;
    workspace.update(CUSTOMERS.0, CUSTOMERS.1, |instance| {
        instance.status = "running-exception".to_string();
        let node = SimNode::ended("check_keys", "Shell", "fail", before(now(), 5), now())
            .log_path("obs://dlf-log/etl_customers/2026-11-21 06_45_00.000/check_keys/check_keys.job");
        instance.nodes.push(node);
    });
    event(began, 20, "somebody reruns etl_orders, and it succeeds").await;
    let end = now();
    workspace.update(ORDERS.0, ORDERS.1, |instance| {
        instance.status = "success".to_string();
        instance.start_time = Some(before(end, 2));
        instance.end_time = Some(end);
    });
    event(began, 27, "settlement_daily ends").await;
    workspace.update(SETTLEMENT.0, SETTLEMENT.1, |instance| {
        *instance = instance.clone().ended("success", now());
    });
}

async fn event(began: Instant, second: u64, what: &str) {
    tokio::time::sleep_until((began + Duration::from_secs(second)).into()).await;
    // A closed stdout ends the demo where it shows messages.
    drop(print(format_args!("{} {what}\n", stamp(began, "scheduler"))));
}

/// Jobs that did well, so that there is something to keep quiet about.
fn quiet_jobs(start: Timestamp) -> Vec<SimInstance> {
    let names = ["etl_products", "etl_prices", "etl_tmp_copy", "report_sales", "report_stock", "sync_dimensions"];
    let jobs = names.iter().zip(34700..);
    jobs.map(|(name, id)| SimInstance::waiting(name, id, before(start, 1800)).ended("success", before(start, 1500)))
        .collect()
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn before(instant: Timestamp, seconds: i64) -> Timestamp {
    instant.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(instant)
}
