//! What can go wrong with an answer.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use futures_util::{StreamExt as _, stream};

/// Which requests a fault is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Any.
    Any,
    /// Pages of the instance list.
    List,
    /// Details of an instance.
    Detail,
    /// Pages of the job list.
    Jobs,
    /// The status of a real-time job.
    JobStatus,
    /// Signing in.
    SignIn,
    /// Calls of this action (SchedulerX).
    Action(&'static str),
}

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// With which requests.
    pub on: Operation,
    /// With how many of them.
    pub times: usize,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// This comes in place of the answer.
    Answer {
        /// The status code.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// The answer comes later.
    Delay(Duration),
    /// No answer ever comes, and the connection stays open.
    Hang,
    /// The answer's body ends after so many bytes, as if that were all of it.
    CutShort(usize),
    /// The connection breaks after so many bytes of the answer's body.
    BreakOff(usize),
    /// The answer's body never ends.
    Endless,
    /// The answer's body comes byte by byte, each after such a time.
    Drip(Duration),
}

impl Fault {
    /// An answer of this status and body, once, whatever is asked.
    pub fn answer(status: u16, body: impl Into<Bytes>) -> Fault {
        Fault {
            on: Operation::Any,
            times: 1,
            kind: FaultKind::Answer { status, headers: Vec::new(), body: body.into() },
        }
    }

    /// A fault of this kind, once, whatever is asked.
    pub fn once(kind: FaultKind) -> Fault {
        Fault { on: Operation::Any, times: 1, kind }
    }

    /// The same for so many requests.
    pub fn times(mut self, times: usize) -> Fault {
        self.times = times;
        self
    }

    /// The same for some requests only.
    pub fn on(mut self, on: Operation) -> Fault {
        self.on = on;
        self
    }

    /// The same with one more header, where the fault is an answer.
    pub fn header(mut self, name: &str, value: &str) -> Fault {
        if let FaultKind::Answer { headers, .. } = &mut self.kind {
            headers.push((name.to_string(), value.to_string()));
        }
        self
    }
}

/// The first fault that is meant for `operation`, one use of it spent.
pub fn take(faults: &mut Vec<Fault>, operation: Operation) -> Option<FaultKind> {
    let at = faults.iter().position(|fault| fault.on == Operation::Any || fault.on == operation)?;
    let kind = faults[at].kind.clone();
    faults[at].times = faults[at].times.saturating_sub(1);
    if faults[at].times == 0 {
        faults.remove(at);
    }
    Some(kind)
}

/// What comes of an answer under a fault.
pub async fn apply(fault: Option<FaultKind>, status: StatusCode, body: Vec<u8>) -> Response<Body> {
    match fault {
        None => json(status, Body::from(body)),
        Some(FaultKind::Answer { status, headers, body }) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap_or_else(|_| json(StatusCode::INTERNAL_SERVER_ERROR, Body::empty()))
        }
        Some(FaultKind::Delay(time)) => {
            tokio::time::sleep(time).await;
            json(status, Body::from(body))
        }
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::CutShort(bytes)) => json(status, Body::from(body[..bytes.min(body.len())].to_vec())),
        Some(FaultKind::BreakOff(bytes)) => {
            let begun = Bytes::copy_from_slice(&body[..bytes.min(body.len())]);
            let broken = stream::iter([Ok(begun), Err(std::io::Error::other("the connection breaks off here"))]);
            json(status, Body::from_stream(broken))
        }
        Some(FaultKind::Drip(each)) => json(status, dripping(body, each)),
        Some(FaultKind::Endless) => {
            let beginning = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{\"total\": 1, \"instances\": ["))]);
            let rest = stream::repeat_with(|| Ok(Bytes::from(vec![b' '; 64 << 10])));
            json(status, Body::from_stream(beginning.chain(rest)))
        }
    }
}

/// The body, a byte at a time.
fn dripping(body: Vec<u8>, each: Duration) -> Body {
    let bytes = stream::iter(body).then(move |byte| async move {
        tokio::time::sleep(each).await;
        Ok::<_, Infallible>(Bytes::from(vec![byte]))
    });
    Body::from_stream(bytes)
}

fn json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = axum::http::HeaderValue::from_static("application/json;charset=UTF-8");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
    response
}
