//! The gateway and the service behind it: who asks, what for, and what the documents say is answered.
//!
//! The signature is checked over the request line and the headers as they were received, with the code that the
//! documents' own test vectors hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::DATE;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use super::config::OffsetMeaning;
use super::dialect::Dialect;
use super::fault::{self, FaultKind, Operation};
use super::shared::Shared;
use super::state::Filter;
use crate::coding::percent_decoded;
use crate::lock::locked;
use crate::sign::huawei::{DATE_HEADER, is_signed_by, parse, parse_date};
use crate::sign::{Signable, parse_query};

/// Furthest that the clock of a signed request may be off.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// Records of a page when `limit` is not given, and the most that can be asked for.
const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: usize = 1000;
/// The most jobs that can be asked for.
const JOBS_LIMIT_MAX: usize = 100;
/// Longest request for a token that is read.
const SIGN_IN_BYTES_MAX: usize = 64 << 10;
/// The days of the service begin at midnight in China.
const DAY_OFFSET_MILLISECONDS: i64 = 8 * 3600 * 1000;
const DAY_MILLISECONDS: i64 = 24 * 3600 * 1000;

/// An answer that is an error: status, code, words.
struct Refusal(StatusCode, &'static str, String);

/// A page of the instance list that is under way, until it is dropped.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let now = shared.lists.fetch_add(1, Ordering::SeqCst) + 1;
        let mut requests = locked(&shared.requests);
        requests.lists_at_once = requests.lists_at_once.max(now);
        UnderWay(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lists.fetch_sub(1, Ordering::SeqCst);
    }
}

type Pairs = Vec<(String, String)>;

pub(super) async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (path, query) = (request.uri().path().to_string(), request.uri().query().unwrap_or_default().to_string());
    let segments: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(|segment| String::from_utf8_lossy(&percent_decoded(segment)).into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let operation = match segments.as_slice() {
        ["v1", _, "jobs", "instances", "detail"] => Operation::List,
        ["v1", _, "jobs", _, "instances", _] => Operation::Detail,
        ["v1", _, "jobs"] => Operation::Jobs,
        ["v1", _, "jobs", _, "status"] => Operation::JobStatus,
        ["v3", "auth", "tokens"] => Operation::SignIn,
        _ => Operation::Any,
    };
    let _under_way = (operation == Operation::List).then(|| UnderWay::begin(&shared));
    let fault = {
        let mut requests = locked(&shared.requests);
        requests.list += usize::from(operation == Operation::List);
        requests.detail += usize::from(operation == Operation::Detail);
        requests.jobs += usize::from(operation == Operation::Jobs);
        requests.job_status += usize::from(operation == Operation::JobStatus);
        requests.sign_in += usize::from(operation == Operation::SignIn);
        fault::take(&mut locked(&shared.faults), operation)
    };
    if operation == Operation::SignIn && request.method() == Method::POST {
        return sign_in(&shared, request, fault).await;
    }
    let pairs = parse_query(&query);
    let answered = check_caller(&shared, request.method().as_str(), request.headers(), &path, &pairs)
        .and_then(|()| check_rate(&shared))
        .and_then(|()| check_workspace(&shared, request.headers()))
        .and_then(|()| serve(&shared, request.method().as_str(), &segments, &pairs));
    let (status, body) = answered.unwrap_or_else(|Refusal(status, code, words)| {
        locked(&shared.requests).refused += 1;
        let body = json!({ "error_msg": words, "error_code": shared.config.dialect.code(code), "request_id": "00000000000000000000000000000000" });
        (status, body.to_string())
    });
    dated(&shared, fault::apply(fault, status, body.into_bytes()).await)
}

async fn sign_in(shared: &Shared, request: Request, fault: Option<FaultKind>) -> Response<Body> {
    let body = axum::body::to_bytes(request.into_body(), SIGN_IN_BYTES_MAX).await.unwrap_or_default();
    let granted = locked(&shared.tokens).ask(&shared.config, &body, shared.clock.now());
    locked(&shared.requests).refused += usize::from(granted.token.is_none());
    let mut response = fault::apply(fault, granted.status, granted.body.into_bytes()).await;
    if let Some(token) = granted.token.and_then(|token| HeaderValue::try_from(token).ok()) {
        response.headers_mut().insert("X-Subject-Token", token);
    }
    dated(shared, response)
}

fn dated(shared: &Shared, mut response: Response<Body>) -> Response<Body> {
    // The server's clock is the one that signatures are held against, and answers carry it.
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&shared.clock.now());
    if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().entry(DATE).or_insert(date);
    }
    response
}

/// Whether the request comes from somebody who is known, by token or by signature.
fn check_caller(shared: &Shared, method: &str, headers: &HeaderMap, path: &str, query: &Pairs) -> Result<(), Refusal> {
    let unauthorized = |words: &str| {
        let words = format!("Incorrect IAM authentication information: {words}");
        Refusal(StatusCode::UNAUTHORIZED, "APIGW.0301", words)
    };
    let config = &shared.config;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = header("X-Auth-Token") {
        let is_issued = || locked(&shared.tokens).know(token, shared.clock.now());
        let is_known = config.token.as_deref() == Some(token) || is_issued();
        let refusal = || Refusal(StatusCode::UNAUTHORIZED, "APIGW.0307", "The token must be updated.".to_string());
        return is_known.then_some(()).ok_or_else(refusal);
    }
    let claimed = header("Authorization").and_then(parse);
    let claimed = claimed.ok_or_else(|| unauthorized("the request is not signed"))?;
    if claimed.access_key != config.access_key {
        return Err(unauthorized(&format!("verify aksk signature fail, ak {} not exist", claimed.access_key)));
    }
    let date = header(DATE_HEADER).and_then(parse_date).ok_or_else(|| unauthorized("no x-sdk-date"))?;
    if shared.clock.now().duration_since(date).unsigned_abs() > CLOCK_SKEW_MAX {
        return Err(unauthorized("verify aksk signature fail, signature expired"));
    }
    let is_signed = |name: &str| claimed.signed_headers.iter().any(|signed| signed.eq_ignore_ascii_case(name));
    if let Some(token) = &config.security_token
        && (header("X-Security-Token") != Some(token) || !is_signed("X-Security-Token"))
    {
        return Err(unauthorized(&format!("verify aksk signature fail, ak {} not exist", claimed.access_key)));
    }
    if !is_signed("host") || !is_signed(DATE_HEADER) {
        return Err(unauthorized("verify aksk signature fail, host and x-sdk-date must be signed"));
    }
    let signed: Option<Pairs> =
        claimed.signed_headers.iter().map(|name| Some((name.clone(), header(name)?.to_string()))).collect();
    let signed = signed.ok_or_else(|| unauthorized("verify aksk signature fail, a signed header is missing"))?;
    let request = Signable { method, path, query, headers: &signed, body: b"" };
    if !is_signed_by(&request, &config.secret_key, &claimed.signature) {
        return Err(unauthorized("verify aksk signature fail, signature does not match"));
    }
    Ok(())
}

/// Whether the caller keeps to what the gateway bears in a minute.
fn check_rate(shared: &Shared) -> Result<(), Refusal> {
    let Some(most) = shared.config.requests_per_minute else { return Ok(()) };
    let now = shared.clock.now();
    let mut answered = locked(&shared.answered);
    answered.retain(|at| now.duration_since(*at).unsigned_abs() < Duration::from_secs(60));
    if answered.len() >= most {
        let words =
            format!("The throttling threshold has been reached: policy user over ratelimit,limit:{most},time:1 minute");
        return Err(Refusal(StatusCode::TOO_MANY_REQUESTS, "APIGW.0308", words));
    }
    answered.push(now);
    Ok(())
}

fn check_workspace(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("workspace") {
        None if shared.config.workspace_required => {
            Err(Refusal(StatusCode::BAD_REQUEST, "APIGW.0106", "Orchestration error: workspace is missing".into()))
        }
        Some(id) if id != shared.config.workspace.as_str() => {
            Err(Refusal(StatusCode::BAD_REQUEST, "DLF.0819", "Workspace does not exists.".into()))
        }
        _ => Ok(()),
    }
}

fn serve(shared: &Shared, method: &str, path: &[&str], query: &Pairs) -> Result<(StatusCode, String), Refusal> {
    let absent = || {
        let words = "The API does not exist or has not been published in the environment";
        Refusal(StatusCode::NOT_FOUND, "APIGW.0101", words.to_string())
    };
    let ["v1", project, "jobs", rest @ ..] = path else { return Err(absent()) };
    if method != "GET" {
        return Err(absent());
    }
    if *project != shared.config.project_id {
        return Err(Refusal(StatusCode::FORBIDDEN, "APIGW.0802", "The project is not yours.".to_string()));
    }
    match rest {
        ["instances", "detail"] => list(shared, query).map(|body| (StatusCode::OK, body)),
        [job, "instances", id] => {
            let body = locked(&shared.state).detail(job, id);
            let unknown = || Refusal(StatusCode::BAD_REQUEST, "DLF.0137", "Job instance does not exist.".to_string());
            body.map(|body| (StatusCode::OK, body)).ok_or_else(unknown)
        }
        [] => jobs(shared, query).map(|body| (StatusCode::OK, body)),
        [job, "status"] => {
            let body = locked(&shared.state).jobs.status(job);
            let unknown = || Refusal(StatusCode::BAD_REQUEST, "DLF.0100", "The job does not exist.".to_string());
            body.map(|body| (StatusCode::OK, body)).ok_or_else(unknown)
        }
        _ => Err(absent()),
    }
}

fn jobs(shared: &Shared, query: &Pairs) -> Result<String, Refusal> {
    let invalid = || Refusal(StatusCode::BAD_REQUEST, "DLF.3051", "The request parameter is invalid.".to_string());
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let number = |name: &str, default| value(name).map_or(Ok(default), |text| text.parse().map_err(|_| invalid()));
    let (limit, offset): (usize, usize) = (number("limit", LIMIT_DEFAULT)?, number("offset", 0)?);
    let is_real_time = match value("jobType") {
        None | Some("BATCH") => false,
        Some("REAL_TIME") => true,
        Some(_) => return Err(invalid()),
    };
    if !(1..=JOBS_LIMIT_MAX).contains(&limit) {
        return Err(invalid());
    }
    let start = match shared.config.offset {
        OffsetMeaning::Records => offset,
        OffsetMeaning::Pages => offset.saturating_mul(limit),
    };
    Ok(locked(&shared.state).jobs.page(is_real_time, value("jobName"), (start, limit), shared.config.dialect))
}

fn list(shared: &Shared, query: &Pairs) -> Result<String, Refusal> {
    let invalid = || {
        let words = "The request parameter is invalid.";
        Refusal(StatusCode::BAD_REQUEST, "DLF.3051", words.to_string())
    };
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let number = |name: &str, default: i64| value(name).map_or(Ok(default), |text| text.parse().map_err(|_| invalid()));

    let now = shared.clock.now().as_millisecond();
    let today = now - (now + DAY_OFFSET_MILLISECONDS).rem_euclid(DAY_MILLISECONDS);
    let (after, before) = (number("minPlanTime", today)?, number("maxPlanTime", now)?);
    let limit = usize::try_from(number("limit", LIMIT_DEFAULT as i64)?).map_err(|_| invalid())?;
    let offset = usize::try_from(number("offset", 0)?).map_err(|_| invalid())?;
    if !(1..=LIMIT_MAX).contains(&limit) || before.saturating_sub(after) > shared.config.span_days * DAY_MILLISECONDS {
        return Err(invalid());
    }
    // The older dialect knows neither of the two.
    let is_old = shared.config.dialect == Dialect::Dgc;
    let kind = value("instanceType").filter(|_| !is_old).map(|text| text.parse().map_err(|_| invalid())).transpose()?;
    let is_exact = value("preciseQuery") == Some("true") && !is_old;
    if let Some(name) = value("jobName").filter(|_| is_exact && shared.config.unknown_jobs_refused)
        && !locked(&shared.state).has_job(name)
    {
        return Err(Refusal(StatusCode::BAD_REQUEST, "DLF.0100", "The job does not exist.".to_string()));
    }
    let filter = Filter {
        after,
        before,
        job: value("jobName").map(|name| (name.to_string(), is_exact)),
        status: value("status").map(str::to_string),
        kind,
        by_start: shared.config.window_by_start,
    };
    let limit = limit.min(shared.config.page_max);
    let start = match shared.config.offset {
        OffsetMeaning::Records => offset,
        OffsetMeaning::Pages => offset.saturating_mul(limit),
    };
    let turn = locked(&shared.requests).list as u64;
    Ok(locked(&shared.state).page(&filter, (shared.config.order, turn), start, limit))
}
