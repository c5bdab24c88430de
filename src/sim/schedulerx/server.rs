//! The simulated SchedulerX: its server, its jobs, and what a test asks of it.

use std::sync::{Arc, Mutex};

use super::flows::SimFlowRun;
use super::gateway;
use super::state::{Shared, SimJob, SimRun, SimSchedulerXConfig, SimTiming};
use crate::clock::Clock;
use crate::lock::locked;
use crate::sim::fault::Fault;
use crate::sim::workspace::Server;

/// A running service. It stops when the last handle is dropped.
#[derive(Clone)]
pub struct SimSchedulerX {
    shared: Arc<Shared>,
    _server: Arc<Server>,
    endpoint: String,
}

impl SimSchedulerX {
    /// Starts a service without jobs on a free loopback port.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn start(config: SimSchedulerXConfig, clock: Arc<dyn Clock>) -> std::io::Result<SimSchedulerX> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared { config: Mutex::new(config), clock, state: Mutex::default() });
        let router = axum::Router::new().fallback(gateway::answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends by being aborted only.
            let _ = axum::serve(listener, router).await;
        });
        Ok(SimSchedulerX { shared, _server: Arc::new(Server(server)), endpoint })
    }

    /// Where it listens: `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How it behaves now.
    pub fn config(&self) -> SimSchedulerXConfig {
        locked(&self.shared.config).clone()
    }

    /// Changes how it behaves from now on.
    pub fn configure(&self, change: impl FnOnce(&mut SimSchedulerXConfig)) {
        change(&mut locked(&self.shared.config));
    }

    /// Adds a job to the first group, or renames it.
    pub fn put_job(&self, id: u64, name: &str) {
        let group = locked(&self.shared.config).groups.first().cloned().unwrap_or_default();
        self.put_job_in(&group, id, name);
    }

    /// Adds a job to a group.
    pub fn put_job_in(&self, group: &str, id: u64, name: &str) {
        let timing = SimTiming::cron("0 0 * * * ?");
        let job = SimJob { group: group.to_string(), id, name: name.to_string(), timing };
        locked(&self.shared.state).jobs.insert(id, job);
    }

    /// Changes what plans a job, if there is such a job.
    pub fn plan_job(&self, id: u64, timing: SimTiming) {
        if let Some(job) = locked(&self.shared.state).jobs.get_mut(&id) {
            job.timing = timing;
        }
    }

    /// Takes a job out of the list of jobs; its runs stay.
    pub fn remove_job(&self, id: u64) {
        locked(&self.shared.state).jobs.remove(&id);
    }

    /// Adds a run, or replaces the one with its id.
    pub fn put(&self, run: SimRun) {
        locked(&self.shared.state).runs.insert(std::cmp::Reverse(run.id), run);
    }

    /// Takes a run out.
    pub fn remove(&self, id: u64) {
        locked(&self.shared.state).runs.remove(&std::cmp::Reverse(id));
    }

    /// Adds a workflow to the first group, or renames it.
    pub fn put_workflow(&self, id: u64, name: &str) {
        let group = locked(&self.shared.config).groups.first().cloned().unwrap_or_default();
        locked(&self.shared.state).flows.put(&group, id, name);
    }

    /// Takes a workflow out, with its runs.
    pub fn remove_workflow(&self, id: u64) {
        locked(&self.shared.state).flows.remove(id);
    }

    /// Adds a run of a workflow, or replaces the one with its id.
    pub fn put_flow_run(&self, run: SimFlowRun) {
        locked(&self.shared.state).flows.put_run(run);
    }

    /// Adds an item to every list of instances as it stands.
    pub fn put_raw(&self, json: &str) {
        locked(&self.shared.state).raw.push(json.to_string());
    }

    /// Puts a fault in: it meets the next calls that it is meant for.
    pub fn inject(&self, fault: Fault) {
        locked(&self.shared.state).faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        locked(&self.shared.state).faults.clear();
    }

    /// How often an operation was called.
    pub fn calls(&self, action: &str) -> usize {
        locked(&self.shared.state).counts.get(action).copied().unwrap_or_default()
    }

    /// How many calls the gateway or the service refused.
    pub fn refused(&self) -> usize {
        locked(&self.shared.state).refused
    }
}
