//! What an error of the DataArts API or of the gateway before it means, and what the user can do about it.
//!
//! Pure: takes an answer that is no success and gives a classed [`SourceError`]. The documents name codes with the
//! prefixes `APIG.`, `APIGW.` and `DLF.`, and live gateways answer with other prefixes than documented, so codes are
//! told apart by their number. No message holds more than the beginning of the answer.

use jiff::Timestamp;

use crate::http::{Response, snippet};
use crate::iam::{Complaint, IamError, IamErrorKind};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::fault::{HELP_LATER, Helps, blame_clock, from_http, told};

const HELPS: Helps = Helps {
    credentials: "check the access key, the secret key and, for a temporary key, its security token",
    permission: "give the user permission to read DataArts Factory in this project and region",
    endpoint: "check \"region\" or \"endpoint\": this host does not offer the DataArts Factory API",
    parameters: "check \"project_id\" and \"workspace\"",
    slower: "poll less often, or lower \"requests_per_second\"",
};
const HELP_WORKSPACE: &str = "set \"workspace\" to the id of a workspace that these credentials can see";
const HELP_TOKEN: &str = "get a new token, or use an access key, which does not expire";
const HELP_SCOPE: &str = "check \"project_id\", and that the token is one for this project";
const HELP_GONE: &str = "the job or the instance was removed, or belongs to another workspace";

/// The error that an answer is. `now` is this machine's clock.
pub(super) fn from_answer(answer: &Response, now: Timestamp) -> SourceError {
    let complaint = Complaint::read(answer.body());
    let (kind, help) = class(answer.status, complaint.number(), complaint.words.as_deref().unwrap_or_default());
    let mut head = format!("HTTP {}", answer.status);
    if let Some(code) = &complaint.code {
        head.push_str(&format!(" {}", snippet(code)));
    }
    let said = complaint.words.as_deref().map_or_else(|| answer.excerpt(), snippet);
    let mut error = SourceError::new(kind, told(head, &said, answer.header("x-request-id").as_deref())).help(help);
    // A token holds whatever the clock says; a signature does not.
    if help == HELPS.credentials {
        blame_clock(&mut error, answer, now);
    }
    if kind == SourceErrorKind::Throttled {
        error.retry_after = answer.retry_after(now);
    }
    error
}

/// The error that a request is which could not be given a proof of who asks.
pub(super) fn from_iam(error: IamError) -> SourceError {
    let kind = match error.kind {
        IamErrorKind::Configuration => SourceErrorKind::Configuration,
        IamErrorKind::Refused => SourceErrorKind::Credentials,
        IamErrorKind::Transient => SourceErrorKind::Transient,
        IamErrorKind::BadAnswer => SourceErrorKind::BadAnswer,
        IamErrorKind::Unreachable(lost) => return SourceError { message: error.message, ..from_http(&lost) },
    };
    SourceError { help: error.help, ..SourceError::new(kind, error.message) }
}

/// Whether a body is an error although its status says that all is well.
pub(super) fn is_error_body(body: &[u8]) -> bool {
    Complaint::read(body).code.is_some()
}

fn class(status: u16, code: Option<u32>, words: &str) -> (SourceErrorKind, &'static str) {
    use SourceErrorKind::{Configuration, Credentials, NotFound, Throttled, Transient};
    match code {
        Some(308) => (Throttled, HELPS.slower),
        _ if status == 429 => (Throttled, HELPS.slower),
        Some(100 | 137 | 30137) => (NotFound, HELP_GONE),
        Some(101) => (Configuration, HELPS.endpoint),
        Some(106 | 819 | 20819) => (Configuration, HELP_WORKSPACE),
        Some(307) => (Credentials, HELP_TOKEN),
        Some(301 | 303 | 305) => (Credentials, HELPS.credentials),
        Some(306 | 401 | 402 | 802 | 6888) => (Credentials, HELPS.permission),
        Some(601 | 602) => (Transient, HELP_LATER),
        _ if words.to_ascii_lowercase().contains("unknown exception") => (Credentials, HELP_SCOPE),
        _ => HELPS.by_status(status),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn answers_are_classed_by_the_number_of_their_code() {
        let rows: &[(u16, &str, SourceErrorKind, &str)] = &[
            (
                401,
                r#"{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication"}"#,
                Credentials,
                "secret key",
            ),
            (401, r#"{"error_code":"APIG.0301","error_msg":"ak x not exist"}"#, Credentials, "secret key"),
            (401, r#"{"error_code":"APIG.0307","error_msg":"The token must be updated."}"#, Credentials, "new token"),
            (403, r#"{"error_code":"APIGW.0306","error_msg":"denied"}"#, Credentials, "permission"),
            (403, r#"{"error_code":"APIGW.0802","error_msg":"forbidden in region"}"#, Credentials, "permission"),
            (404, r#"{"error_code":"APIGW.0101","error_msg":"no such API"}"#, Configuration, "endpoint"),
            (400, r#"{"error_code":"APIGW.0106","error_msg":"missing header"}"#, Configuration, "workspace"),
            (400, r#"{"error_code":"DLF.0819","error_msg":"Workspace does not exists"}"#, Configuration, "workspace"),
            (400, r#"{"error_code":"DLF.20819","error_msg":"Workspace does not exists"}"#, Configuration, "workspace"),
            (429, r#"{"error_code":"APIGW.0308","error_msg":"policy user over ratelimit"}"#, Throttled, "less often"),
            (400, r#"{"error_code":"DLF.0137","error_msg":"Job instance does not exist."}"#, NotFound, ""),
            (400, r#"{"error_code":"DLF.30137"}"#, NotFound, ""),
            (400, r#"{"error_code":"DLF.0100","error_msg":"job absent"}"#, NotFound, ""),
            (400, r#"{"error_code":"DLF.3051","error_msg":"parameter"}"#, Configuration, "project_id"),
            (400, r#"{"error_code":"DLF.6888","error_msg":"no permission"}"#, Credentials, "permission"),
            (400, r#"{"error_code":"DLF.9999","error_msg":"unknown exception"}"#, Credentials, "token"),
            (500, r#"{"error_code":"APIG.0601","error_msg":"internal"}"#, Transient, "trouble"),
            (504, r#"{"error_code":"APIG.0202","error_msg":"backend timeout"}"#, Transient, "trouble"),
            // Every shape of body.
            (401, r#"{"errorCode":"APIGW.0301","errorMsg":"x"}"#, Credentials, "secret key"),
            (401, r#"{"code":"APIGW.0301","message":"x"}"#, Credentials, "secret key"),
            (401, r#"{"error":{"code":"APIGW.0301","message":"x"}}"#, Credentials, "secret key"),
            (401, r#"{"a":{"b":{"errorCode":"APIGW.0307","errorMsg":"x"}}}"#, Credentials, "new token"),
            (401, r#"{"error":{"code":401,"message":"x"}}"#, Credentials, "permission"),
            // None at all.
            (401, "", Credentials, "secret key"),
            (403, "<html>Forbidden</html>", Credentials, "permission"),
            (404, "", Configuration, "endpoint"),
            (400, "[]", Configuration, "project_id"),
            (502, "<html><h1>Bad\r\nGateway</h1></html>", Transient, "trouble"),
            (302, "", Configuration, "redirect"),
            (101, "", BadAnswer, ""),
        ];
        for (status, body, kind, help) in rows {
            let error = from_answer(&answer(*status, &[], body), now());
            assert_eq!(error.kind, *kind, "{status} {body}: {error}");
            assert!(error.help.clone().unwrap_or_default().contains(help), "{status} {body}: {error}");
            assert!(error.message.starts_with(&format!("HTTP {status}")), "{error}");
            assert!(!error.message.contains(['\n', '\r']), "{error:?}");
        }
    }

    #[test]
    fn the_message_tells_code_words_and_request() {
        let body = r#"{"error_code":"DLF.3051","error_msg":"The request parameter is invalid."}"#;
        let error = from_answer(&answer(400, &[("x-request-id", "f00d")], body), now());
        assert_eq!(error.message, "HTTP 400 DLF.3051: The request parameter is invalid. (request f00d)");
        let long = "x".repeat(100_000);
        assert!(from_answer(&answer(500, &[], &long), now()).message.len() < 600);
    }

    #[test]
    fn a_wrong_clock_is_named_with_its_difference() {
        let body = r#"{"error_code":"APIGW.0301","error_msg":"signature expired"}"#;
        let error = from_answer(&answer(401, &[("date", "Fri, 20 Nov 2026 22:58:00 GMT")], body), now());
        assert!(error.message.ends_with("this machine's clock is 1h 2m ahead of the service's"), "{error}");
        assert!(error.help.unwrap().contains("clock"));
        let error = from_answer(&answer(401, &[("date", "Sat, 21 Nov 2026 00:20:00 GMT")], body), now());
        assert!(error.message.contains("20m behind"), "{error}");
        let error = from_answer(&answer(401, &[("date", "Sat, 21 Nov 2026 00:10:00 GMT")], body), now());
        assert!(!error.message.contains("clock"), "{error}");
    }

    #[test]
    fn a_throttling_answer_says_how_long_to_wait() {
        let wait = |value| from_answer(&answer(429, &[("retry-after", value)], ""), now()).retry_after;
        assert_eq!(wait("30"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sat, 21 Nov 2026 00:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Fri, 20 Nov 2026 00:01:00 GMT"), None);
        assert_eq!(wait("soon"), None);
    }
}
