//! What happens in the demo's workspace, told by the second.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::show::Shown;
use crate::cli::output::print;
use crate::sim::{Board, SimInstance, SimNode, SimWorkspace};

const ORDERS: (&str, u64) = ("etl_orders", 34765);
const CUSTOMERS: (&str, u64) = ("etl_customers", 34768);
const SETTLEMENT: (&str, u64) = ("settlement_daily", 34740);
const DIMENSIONS: (&str, u64) = ("sync_dimensions", 34770);
const STOCK: (&str, u64) = ("load_stock", 34771);
const SALES: (&str, u64) = ("report_sales", 34772);
const BALANCE: (&str, u64) = ("balance_sheet", 34773);
const EXPORT: (&str, u64) = ("export_ledger", 34774);

/// Lets the end of the night take its course, which begins 12 seconds before half past six.
pub(super) async fn tell(workspace: SimWorkspace, board: Board, clock: Shown, began: Instant) {
    let night = Night { workspace, board, clock, began };
    night.set();
    night.fails().await;
    night.is_late().await;
    night.gets_better().await;
}

struct Night {
    workspace: SimWorkspace,
    board: Board,
    clock: Shown,
    began: Instant,
}

impl Night {
    /// What there is when the curtain rises: past runs, and those under way.
    fn set(&self) {
        let start = self.now();
        let run = |(job, id): (&str, u64), seconds| SimInstance::waiting(job, id, before(start, seconds)).running();
        self.workspace.put_all(quiet_jobs(start));
        self.workspace.put_all(past_runs(start));
        let merging = SimNode {
            end_time: None,
            ..SimNode::ended("merge_ledgers", "MRS Spark", "running", before(start, 2600), start)
                .log_path(&self.log_path(SETTLEMENT.0, before(start, 45 * 60 - 9), "merge_ledgers"))
        };
        self.workspace.put_all(vec![
            run(ORDERS, 60),
            run(CUSTOMERS, 30),
            run(SETTLEMENT, 45 * 60 - 9).node(merging),
            run(DIMENSIONS, 120),
            // Its runs take five minutes.
            run(SALES, 10 * 60 - 9),
            run(BALANCE, 20 * 60),
            SimInstance::waiting(EXPORT.0, EXPORT.1, before(start, 5 * 60)),
            run(STOCK, 240),
        ]);
    }

    async fn fails(&self) {
        self.event(3, "etl_orders fails: its node load_orders gives up after two retries").await;
        let end = self.now();
        self.workspace.update(ORDERS.0, ORDERS.1, |instance| {
            let mut node = SimNode::ended("load_orders", "DWS SQL", "fail", before(end, 40), end)
                .log_path(&self.log_path(ORDERS.0, instance.plan_time, "load_orders"));
            node.retries = 2;
            *instance = instance.clone().ended("fail", end).node(node);
        });
        self.event(6, "sync_dimensions fails, for the third time this night; load_stock fails as it does now and then")
            .await;
        self.end(DIMENSIONS, "fail");
        self.end(STOCK, "fail");
        self.event(
            9,
            "settlement_daily is still running: 45 minutes are over. So is report_sales: twice its usual time",
        )
        .await;
    }

    async fn is_late(&self) {
        self.event(
            12,
            "it is 06:30: balance_sheet has not finished, export_ledger has not started, and nobody ever planned \
             backup_ledgers for six o'clock",
        )
        .await;
        self.event(15, "etl_customers meets an exception and waits for an operator").await;
        let now = self.now();
        self.workspace.update(CUSTOMERS.0, CUSTOMERS.1, |instance| {
            instance.status = "running-exception".to_string();
            let node = SimNode::ended("check_keys", "Shell", "fail", before(now, 5), now).log_path(&self.log_path(
                CUSTOMERS.0,
                instance.plan_time,
                "check_keys",
            ));
            instance.nodes.push(node);
        });
    }

    async fn gets_better(&self) {
        self.event(20, "somebody reruns etl_orders, and it succeeds").await;
        let end = self.now();
        self.workspace.update(ORDERS.0, ORDERS.1, |instance| {
            instance.status = "success".to_string();
            instance.start_time = Some(before(end, 2));
            instance.end_time = Some(end);
        });
        self.event(22, "the board, which rejected what it was sent, takes messages again: the page can send them anew")
            .await;
        self.board.open();
        self.event(24, "balance_sheet finishes, and export_ledger starts").await;
        self.end(BALANCE, "success");
        let start = self.now();
        self.workspace.update(EXPORT.0, EXPORT.1, |instance| {
            instance.status = "running".to_string();
            instance.start_time = Some(start);
        });
        self.event(27, "settlement_daily ends").await;
        self.end(SETTLEMENT, "success");
    }

    fn end(&self, (job, id): (&str, u64), status: &str) {
        let end = self.now();
        self.workspace.update(job, id, |instance| *instance = instance.clone().ended(status, end));
    }

    async fn event(&self, second: u64, what: &str) {
        tokio::time::sleep_until((self.began + Duration::from_secs(second)).into()).await;
        // A closed stdout ends the demo where it shows messages.
        drop(print(format_args!("{} {what}\n", self.clock.stamp("scheduler"))));
    }

    /// Where a node of a run that was planned then writes its log.
    fn log_path(&self, job: &str, planned: Timestamp, node: &str) -> String {
        let planned = planned.to_zoned(self.clock.zone.clone()).strftime("%Y-%m-%d %H_%M_%S.000");
        format!("obs://dlf-log/{job}/{planned}/{node}/{node}.job")
    }

    fn now(&self) -> Timestamp {
        self.clock.clock.now()
    }
}

/// Jobs that did well, so that there is something to keep quiet about.
fn quiet_jobs(start: Timestamp) -> Vec<SimInstance> {
    let names = ["etl_products", "etl_prices", "etl_tmp_copy", "report_stock", "sync_currencies"];
    let jobs = names.iter().zip(34700..);
    jobs.map(|(name, id)| SimInstance::waiting(name, id, before(start, 1800)).ended("success", before(start, 1500)))
        .collect()
}

/// What the conditions on history look back at: two failures in a row, two in ten, and runs of five minutes.
fn past_runs(start: Timestamp) -> Vec<SimInstance> {
    const HOUR: i64 = 3600;
    let past = |(job, _): (&str, u64), hours: i64, minutes: i64, status: &str| {
        let plan = before(start, hours * HOUR);
        // Ids of no other run, and the same job's in their order.
        let id = 34_000 + u64::try_from(100 - hours).unwrap_or(0) + job.len() as u64 * 20;
        SimInstance::waiting(job, id, plan).ended(status, before(plan, -60 * minutes))
    };
    let sync = (2..6).map(|hours| past(DIMENSIONS, hours, 2, if hours < 4 { "fail" } else { "success" }));
    let stock = (2..13).map(|hours| past(STOCK, hours, 3, if hours % 5 == 0 { "fail" } else { "success" }));
    let sales = (2..18).map(|hours| past(SALES, hours, 5, "success"));
    sync.chain(stock).chain(sales).collect()
}

fn before(instant: Timestamp, seconds: i64) -> Timestamp {
    instant.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(instant)
}
