//! A webhook endpoint on loopback that remembers every byte it was sent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use tokio::net::TcpListener;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    /// The path it was sent to.
    pub(crate) path: String,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: String,
}

impl Hit {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The delivery's id.
    pub(crate) fn id(&self) -> String {
        self.headers.get("webhook-id").expect("no webhook-id").to_str().unwrap().to_string()
    }
}

/// What arrived, and how it is answered.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<SinkState>>,
}

struct SinkState {
    hits: Vec<Hit>,
    answer: StatusCode,
    /// For how long to be left alone, in seconds.
    retry_after: Option<u64>,
    hangs: bool,
    /// Paths at which requests are not answered, and at which they are refused.
    hanging: BTreeSet<String>,
    refusing: BTreeSet<String>,
}

impl Sink {
    /// Opens a sink on a free port that answers 200 with the body "ok", which is what Slack says too.
    pub(crate) async fn open() -> Sink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hits, answer, hanging, refusing) = (Vec::new(), StatusCode::OK, BTreeSet::new(), BTreeSet::new());
        let state = SinkState { hits, answer, retry_after: None, hangs: false, hanging, refusing };
        let state = Arc::new(Mutex::new(state));
        let router = Router::new().fallback(take).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Sink { address, state }
    }

    /// The URL of `path` here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// From now on every request is answered with `status`.
    pub(crate) fn answer(&self, status: u16) {
        self.state.lock().unwrap().answer = StatusCode::from_u16(status).unwrap();
    }

    /// The same, and asks to be left alone for so many seconds.
    pub(crate) fn answer_after(&self, status: u16, seconds: u64) {
        self.answer(status);
        self.state.lock().unwrap().retry_after = Some(seconds);
    }

    /// From now on requests are taken and not answered, or answered again.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state.lock().unwrap().hangs = hangs;
    }

    /// From now on requests at `path` are taken and not answered, or answered again.
    pub(crate) fn hang_at(&self, path: &str, hangs: bool) {
        set(&mut self.state.lock().unwrap().hanging, path, hangs);
    }

    /// From now on requests at `path` are refused for the time being, or taken again.
    pub(crate) fn refuse_at(&self, path: &str, refuses: bool) {
        set(&mut self.state.lock().unwrap().refusing, path, refuses);
    }

    /// Everything that arrived.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.state.lock().unwrap().hits.clone()
    }

    /// What arrived at `path`.
    pub(crate) fn hits_at(&self, path: &str) -> Vec<Hit> {
        self.hits().into_iter().filter(|hit| hit.path == format!("/{path}")).collect()
    }

    /// Waits until `done` says yes to what has arrived; panics with what is there after three minutes, which only a
    /// broken program needs.
    pub(crate) async fn wait(&self, what: &str, done: impl Fn(&[Hit]) -> bool) -> Vec<Hit> {
        let began = Instant::now();
        loop {
            let hits = self.hits();
            if done(&hits) {
                return hits;
            }
            assert!(began.elapsed() < Duration::from_secs(180), "waited in vain for {what}; there is {hits:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn set(paths: &mut BTreeSet<String>, path: &str, is_in: bool) {
    let path = format!("/{path}");
    if is_in {
        paths.insert(path)
    } else {
        paths.remove(&path)
    };
}

async fn take(
    State(state): State<Arc<Mutex<SinkState>>>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let (answer, retry_after, hangs) = {
        let mut state = state.lock().unwrap();
        state.hits.push(Hit { path: uri.path().to_string(), headers, body });
        let answer = if state.refusing.contains(uri.path()) { StatusCode::SERVICE_UNAVAILABLE } else { state.answer };
        (answer, state.retry_after, state.hangs || state.hanging.contains(uri.path()))
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    match retry_after {
        Some(seconds) => (answer, [("retry-after", seconds.to_string())], "ok").into_response(),
        None => (answer, "ok").into_response(),
    }
}
