//! The simulated DataArts: its server, its users, and what a test asks of it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::dialect::Dialect;
use super::fault::Fault;
use super::gateway;
use super::jobs::SimJob;
use super::state::{SimInstance, State};
use super::tokens::Tokens;
use crate::clock::Clock;

/// What the simulated server takes `offset` for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetMeaning {
    /// A number of records.
    Records,
    /// A number of pages of `limit` records.
    Pages,
}

/// In which order the instance list comes. The documents name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// The latest plan time first.
    NewestFirst,
    /// The earliest plan time first.
    OldestFirst,
    /// Without a rule, the same at each request.
    Shuffled,
    /// Without a rule, and another one at each request.
    ShuffledAnew,
}

/// An IAM user.
#[derive(Debug, Clone)]
pub struct SimUser {
    /// The user's name.
    pub name: String,
    /// The user's password.
    pub password: String,
    /// The account's name.
    pub domain: String,
    /// How long a token of this user is good.
    pub token_life: Duration,
}

/// How a simulated workspace behaves.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// The project it belongs to.
    pub project_id: String,
    /// Its id, which the header `workspace` names.
    pub workspace: String,
    /// Whether a request without the header is refused.
    pub workspace_required: bool,
    /// The access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Set for a temporary key, whose requests must carry and sign it.
    pub security_token: Option<String>,
    /// The token that is taken in place of a signature.
    pub token: Option<String>,
    /// The user that can sign in with a password for a token.
    pub user: Option<SimUser>,
    /// What `offset` counts.
    pub offset: OffsetMeaning,
    /// In which order instances are listed.
    pub order: ListOrder,
    /// How the answers are worded.
    pub dialect: Dialect,
    /// Requests that the gateway bears in a minute; any number when absent.
    pub requests_per_minute: Option<usize>,
    /// The largest page that is given, whatever `limit` says.
    pub page_max: usize,
    /// Whether the window of a list means start times, so that it shows no instance that waits.
    pub window_by_start: bool,
    /// The longest window that is accepted, in days.
    pub span_days: i64,
    /// Milliseconds in one unit of `executeTime`.
    pub execute_time_unit: i64,
    /// Whether a list of a job that is not there is refused.
    pub unknown_jobs_refused: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        SimConfig {
            project_id: "b384b9e9ab9b4ee8994c8633aabc9505".into(),
            workspace: "1dd3bc0000000000000000000000d93f".into(),
            workspace_required: false,
            access_key: "SIMULATEDACCESSKEY00".into(),
            secret_key: "simulated-secret-key-of-the-workspace".into(),
            security_token: None,
            token: None,
            user: None,
            offset: OffsetMeaning::Records,
            order: ListOrder::NewestFirst,
            dialect: Dialect::Present,
            requests_per_minute: None,
            page_max: 1000,
            window_by_start: false,
            span_days: 7,
            execute_time_unit: 60_000,
            unknown_jobs_refused: false,
        }
    }
}

/// How often it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// For a page of the instance list.
    pub list: usize,
    /// For the detail of an instance.
    pub detail: usize,
    /// For a page of the job list.
    pub jobs: usize,
    /// For the status of a real-time job.
    pub job_status: usize,
    /// For a token.
    pub sign_in: usize,
    /// Of these or others, how many the gateway refused.
    pub refused: usize,
    /// How many pages of the instance list were under way at one time, at most.
    pub lists_at_once: usize,
}

/// A running workspace. It stops when the last handle is dropped.
#[derive(Clone)]
pub struct SimWorkspace {
    shared: Arc<Shared>,
    _server: Arc<Server>,
    endpoint: String,
}

/// What the handles and the server share.
pub(in crate::sim) struct Shared {
    pub(super) config: SimConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
    pub(super) faults: Mutex<Vec<Fault>>,
    pub(super) requests: Mutex<Requests>,
    /// Pages of the instance list that are under way.
    pub(super) lists: AtomicUsize,
    pub(super) tokens: Mutex<Tokens>,
    /// When requests were let through, where they are counted.
    pub(super) answered: Mutex<Vec<jiff::Timestamp>>,
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
        lock(&self.shared.state).put(instance);
    }

    /// Adds many at once.
    pub fn put_all(&self, instances: impl IntoIterator<Item = SimInstance>) {
        let mut state = lock(&self.shared.state);
        instances.into_iter().for_each(|instance| state.put(instance));
    }

    /// Adds an item to the list as it stands, whatever it is; `plan_time` is what filters see.
    pub fn put_raw(&self, plan_time: jiff::Timestamp, json: &str) {
        lock(&self.shared.state).put_raw(plan_time, json);
    }

    /// Adds a job to the job list, or replaces the one of the same name.
    pub fn put_job(&self, job: SimJob) {
        lock(&self.shared.state).jobs.put(job);
    }

    /// Removes a job from the job list; its instances stay.
    pub fn remove_job(&self, name: &str) {
        lock(&self.shared.state).jobs.remove(name);
    }

    /// Makes every token that was given out stale.
    pub fn revoke_tokens(&self) {
        lock(&self.shared.tokens).revoke();
    }

    /// Changes an instance; tells whether there is such an instance.
    pub fn update(&self, job: &str, id: u64, change: impl FnOnce(&mut SimInstance)) -> bool {
        lock(&self.shared.state).update(job, id, change)
    }

    /// Removes an instance; tells whether there was one.
    pub fn remove(&self, job: &str, id: u64) -> bool {
        lock(&self.shared.state).remove(job, id)
    }

    /// An instance as it is now.
    pub fn get(&self, job: &str, id: u64) -> Option<SimInstance> {
        lock(&self.shared.state).get(job, id).cloned()
    }

    /// Puts a fault in: it meets the next requests that it is meant for.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.faults).push(fault);
    }

    /// Takes out the faults that have not been met.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// How often it was asked so far.
    pub fn requests(&self) -> Requests {
        *lock(&self.shared.requests)
    }
}

pub(in crate::sim) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
