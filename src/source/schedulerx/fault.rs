//! What an error of the SchedulerX API or of the gateway before it means, and what the user can do about it.
//!
//! Pure: takes an answer that is no success and gives a classed [`SourceError`]. The gateway answers with an HTTP error
//! and a code in words (`Throttling.User`), the service with HTTP 200, `Success: false` and a code that is a number.
//! No message quotes a JSON body: keys of groups and people's contacts stand in some.

use std::time::Duration;

use jiff::Timestamp;

use super::answer::Envelope;
use crate::http::{Response, snippet};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{HELP_CLOCK, HELP_LATER, Helps, bad_answer, blame_clock, told};

const HELP_PERMISSION: &str =
    "grant the RAM user edas:ReadSchedulerx* on acs:edas:*:*:*, and the applications that others have created";
pub(super) const HELPS: Helps = Helps {
    credentials: HELP_PERMISSION,
    permission: HELP_PERMISSION,
    endpoint: "check \"region\" or \"endpoint\": this host does not offer the SchedulerX API of 2019-04-30",
    parameters: "check \"namespace\", \"groups\" and \"jobs\"",
    slower: "poll less often: the service bears 100 calls of one operation a minute for all users of the key",
};
const HELP_KEY: &str = "check the access key: it must exist and be active";
const HELP_SECRET: &str = "check the secret key: it must be the one that belongs to the access key";
const HELP_TOKEN: &str = "get new temporary keys: all three parts of them change together";
const HELP_REGION: &str = "set \"region\" beside \"endpoint\"";
const HELP_GONE: &str = "the job or the instance was removed, or belongs to another group";

/// The error that an answer is whose HTTP status is no success. `now` is this machine's clock.
pub(super) fn from_answer(answer: &Response, now: Timestamp) -> SourceError {
    let text = answer.text();
    let envelope = Envelope::read(&text).unwrap_or_default();
    let code = envelope.code.as_deref().unwrap_or_default();
    let (kind, help) = class(answer.status, code, envelope.message.as_deref().unwrap_or_default());
    let mut head = format!("HTTP {}", answer.status);
    if !code.is_empty() {
        head.push_str(&format!(" {}", snippet(code)));
    }
    let said = match &envelope.message {
        Some(words) => snippet(words),
        None if text.trim_start().starts_with('{') => String::new(),
        None => answer.excerpt(),
    };
    let mut error = SourceError::new(kind, told(head, &said, envelope.request_id.as_deref())).help(help);
    if help == HELP_CLOCK {
        blame_clock(&mut error, answer, now);
    }
    if kind == SourceErrorKind::Throttled {
        error.retry_after = retry_after(answer, now);
    }
    error
}

/// The error that an answer is which HTTP calls a success and the service does not.
pub(super) fn from_refusal(envelope: &Envelope<'_>) -> SourceError {
    let words = envelope.message.as_deref().unwrap_or_default();
    let code = envelope.code.as_deref().unwrap_or_default();
    if envelope.success.is_none() && (code.is_empty() || words.is_empty()) {
        return bad_answer("the answer does not say that the call was a success");
    }
    let (kind, help) = match code.parse::<u16>() {
        // "200" with a refusal beside it says nothing of its kind.
        Ok(status) if status != 200 => class(status, "", words),
        _ => class(400, code, words),
    };
    let head = match code {
        "" => "the service refused the call".to_string(),
        code => format!("the service refused the call with code {}", snippet(code)),
    };
    SourceError::new(kind, told(head, &snippet(words), envelope.request_id.as_deref())).help(help)
}

fn class(status: u16, code: &str, words: &str) -> (SourceErrorKind, &'static str) {
    use SourceErrorKind::{Configuration, Credentials, NotFound, Throttled, Transient};
    let is = |prefix: &str| code.starts_with(prefix);
    let words = words.to_ascii_lowercase();
    let says = |part: &str| words.contains(part);
    match status {
        _ if is("Throttling") || status == 429 || says("flow control") || says("throttl") => (Throttled, HELPS.slower),
        _ if is("SignatureNonceUsed") => (Transient, HELP_LATER),
        _ if is("InvalidTimeStamp") => (Credentials, HELP_CLOCK),
        _ if is("SignatureDoesNotMatch") || is("IncompleteSignature") => (Credentials, HELP_SECRET),
        _ if is("InvalidAccessKeyId") => (Credentials, HELP_KEY),
        _ if is("InvalidSecurityToken") || is("MissingSecurityToken") => (Credentials, HELP_TOKEN),
        _ if is("Forbidden") || is("NoPermission") || is("Unauthorized") => (Credentials, HELP_PERMISSION),
        _ if is("InvalidAction") || is("InvalidVersion") || is("InvalidProduct") => (Configuration, HELPS.endpoint),
        _ if is("MissingRegion") || is("InvalidRegion") => (Configuration, HELP_REGION),
        500..=599 | 408 => (Transient, HELP_LATER),
        _ if says("not match") || says("not exist") || says("not found") => (NotFound, HELP_GONE),
        404 if !code.is_empty() => (Configuration, HELPS.parameters),
        _ => HELPS.by_status(status),
    }
}

/// How long the gateway asks to wait: in milliseconds under its own header, otherwise as HTTP has it.
fn retry_after(answer: &Response, now: Timestamp) -> Option<Duration> {
    let own = answer.header("x-acs-retry-after").and_then(|text| text.trim().parse().ok());
    own.map(Duration::from_millis).or_else(|| answer.retry_after(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::BodyEnd;
    use crate::secret::Secrets;
    use SourceErrorKind::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Response::new(status, headers, body.as_bytes().to_vec(), BodyEnd::Complete, Secrets::new())
    }

    fn now() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn gateway_errors_are_classed_by_their_code() {
        let rows: &[(u16, &str, SourceErrorKind, &str)] = &[
            (400, "Throttling", Throttled, "less often"),
            (400, "Throttling.User", Throttled, "less often"),
            (429, "Throttling.Api", Throttled, "less often"),
            (503, "ServiceUnavailable", Transient, "trouble"),
            (500, "InternalError", Transient, "trouble"),
            (400, "SignatureNonceUsed", Transient, "trouble"),
            (400, "InvalidTimeStamp.Expired", Credentials, "clock"),
            (400, "SignatureDoesNotMatch", Credentials, "secret key"),
            (400, "IncompleteSignature", Credentials, "secret key"),
            (404, "InvalidAccessKeyId.NotFound", Credentials, "access key"),
            (403, "InvalidAccessKeyId.Inactive", Credentials, "active"),
            (400, "InvalidSecurityToken.Expired", Credentials, "temporary"),
            (403, "Forbidden.RAM", Credentials, "edas:ReadSchedulerx*"),
            (403, "NoPermission", Credentials, "edas:ReadSchedulerx*"),
            (400, "MissingNamespace", Configuration, "namespace"),
            (400, "MissingRegionId", Configuration, "region"),
            (400, "InvalidParameter.GroupId", Configuration, "groups"),
            (404, "InvalidAction.NotFound", Configuration, "endpoint"),
        ];
        for (status, code, kind, help) in rows {
            let body = format!(r#"{{"Code":"{code}","Message":"in words","RequestId":"R-1","HostId":"h"}}"#);
            let error = from_answer(&answer(*status, &[], &body), now());
            assert_eq!(error.kind, *kind, "{error}");
            assert!(error.help.clone().unwrap_or_default().contains(help), "{error}");
            assert_eq!(error.message, format!("HTTP {status} {code}: in words (request R-1)"));
        }
        let page = from_answer(&answer(502, &[], "<html><h1>Bad\nGateway</h1></html>"), now());
        assert_eq!((page.kind, page.message.contains("Bad Gateway")), (Transient, true), "{page}");
        assert_eq!(from_answer(&answer(302, &[], ""), now()).kind, Configuration);
        assert_eq!(from_answer(&answer(404, &[], ""), now()).kind, Configuration);
    }

    #[test]
    fn refusals_of_the_service_are_classed_by_number_and_words() {
        let rows: &[(&str, SourceErrorKind)] = &[
            (r#"{"Success":false,"Code":403,"Message":"no right"}"#, Credentials),
            (r#"{"Success":false,"Code":500,"Message":"x"}"#, Transient),
            (r#"{"Success":false,"Code":"503","Message":"x"}"#, Transient),
            (r#"{"Success":false,"Code":429,"Message":"x"}"#, Throttled),
            (r#"{"Success":false,"Code":400,"Message":"Request was denied due to user flow control."}"#, Throttled),
            (r#"{"Success":false,"Code":400,"Message":"jobid: 1 not match groupId: g"}"#, NotFound),
            (r#"{"Success":false,"Code":200,"Message":"odd"}"#, Configuration),
            (r#"{"Success":false,"Code":"InvalidParameter","Message":"odd"}"#, Configuration),
            (r#"{"Success":null,"Code":200,"Message":"odd"}"#, Configuration),
            (r#"{"Success":false}"#, Configuration),
            (r#"{"Success":false,"Message":"the namespace is unknown"}"#, Configuration),
            (r#"{"Code":200,"Data":{}}"#, BadAnswer),
            (r#"{"Data":{}}"#, BadAnswer),
            ("{}", BadAnswer),
        ];
        for (body, kind) in rows {
            let error = from_refusal(&Envelope::read(body).unwrap());
            assert_eq!(error.kind, *kind, "{body}: {error}");
        }
        let error = from_refusal(&Envelope::read(rows[0].0).unwrap());
        assert_eq!(error.message, "the service refused the call with code 403: no right");
    }

    #[test]
    fn a_wrong_clock_is_named_with_its_difference() {
        let body = r#"{"Code":"InvalidTimeStamp.Expired","Message":"expired"}"#;
        let error = from_answer(&answer(400, &[("date", "Fri, 20 Nov 2026 22:58:00 GMT")], body), now());
        assert!(error.message.ends_with("this machine's clock is 1h 2m ahead of the service's"), "{error}");
    }

    #[test]
    fn a_throttled_call_says_how_long_to_wait() {
        let body = r#"{"Code":"Throttling.User","Message":"slow down"}"#;
        let wait = |header, value| from_answer(&answer(400, &[(header, value)], body), now()).retry_after;
        assert_eq!(wait("x-acs-retry-after", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(wait("retry-after", "30"), Some(Duration::from_secs(30)));
        assert_eq!(wait("x-acs-retry-after", "soon"), None);
    }

    #[test]
    fn a_key_in_an_odd_error_body_is_not_quoted() {
        let error = from_answer(&answer(400, &[], r#"{"AppGroups":[{"AppKey":"canary"}]}"#), now());
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}
