//! The simulated DataArts: its server, its users, and what a test asks of it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::config::SimConfig;
use super::fault::Fault;
use super::gateway;
use super::jobs::SimJob;
use super::shared::{Requests, Shared};
use super::state::{SimInstance, State};
use crate::clock::Clock;
use crate::lock::locked;

/// A running workspace. It stops when the last handle is dropped.
#[derive(Clone)]
pub struct SimWorkspace {
    shared: Arc<Shared>,
    _server: Arc<Server>,
    endpoint: String,
}

pub(in crate::sim) struct Server(pub(super) JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SimWorkspace {
    /// Starts a workspace without instances on a free loopback port.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn start(config: SimConfig, clock: Arc<dyn Clock>) -> std::io::Result<SimWorkspace> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let state = State::new(config.execute_time_unit, config.dialect);
        let shared = Arc::new(Shared {
            config,
            clock,
            state: Mutex::new(state),
            answered: Mutex::default(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            lists: AtomicUsize::new(0),
            tokens: Mutex::default(),
        });
        let router = axum::Router::new().fallback(gateway::answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends by being aborted only.
            let _ = axum::serve(listener, router).await;
        });
        Ok(SimWorkspace { shared, _server: Arc::new(Server(server)), endpoint })
    }

    /// Where it listens: `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How it was set up.
    pub fn config(&self) -> &SimConfig {
        &self.shared.config
    }

    /// Adds an instance, or replaces the one of the same job and id.
    pub fn put(&self, instance: SimInstance) {
        locked(&self.shared.state).put(instance);
    }

    /// Adds many at once.
    pub fn put_all(&self, instances: impl IntoIterator<Item = SimInstance>) {
        let mut state = locked(&self.shared.state);
        instances.into_iter().for_each(|instance| state.put(instance));
    }

    /// Adds an item to the list as it stands, whatever it is; `plan_time` is what filters see.
    pub fn put_raw(&self, plan_time: jiff::Timestamp, json: &str) {
        locked(&self.shared.state).put_raw(plan_time, json);
    }

    /// Adds a job to the job list, or replaces the one of the same name.
    pub fn put_job(&self, job: SimJob) {
        locked(&self.shared.state).jobs.put(job);
    }

    /// Removes a job from the job list; its instances stay.
    pub fn remove_job(&self, name: &str) {
        locked(&self.shared.state).jobs.remove(name);
    }

    /// Makes every token that was given out stale.
    pub fn revoke_tokens(&self) {
        locked(&self.shared.tokens).revoke();
    }

    /// Changes an instance; tells whether there is such an instance.
    pub fn update(&self, job: &str, id: u64, change: impl FnOnce(&mut SimInstance)) -> bool {
        locked(&self.shared.state).update(job, id, change)
    }

    /// Removes an instance; tells whether there was one.
    pub fn remove(&self, job: &str, id: u64) -> bool {
        locked(&self.shared.state).remove(job, id)
    }

    /// An instance as it is now.
    pub fn get(&self, job: &str, id: u64) -> Option<SimInstance> {
        locked(&self.shared.state).get(job, id).cloned()
    }

    /// Puts a fault in: it meets the next requests that it is meant for.
    pub fn inject(&self, fault: Fault) {
        locked(&self.shared.faults).push(fault);
    }

    /// Takes out the faults that have not been met.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
    }

    /// How often it was asked so far.
    pub fn requests(&self) -> Requests {
        *locked(&self.shared.requests)
    }
}
