//! What each chat and incident service answers, as its documents say, and what that means: rows of the table of outcomes.

use nightbell::model::AttemptOutcome::{Delivered, Rejected, Retry, Throttled, Unauthorized, Uncertain};

use super::http::{Reply, Row, http};

/// DingTalk, WeCom and Feishu: HTTP 200 to everything, the truth in a number.
pub(super) fn errcode_rows() -> Vec<Row> {
    let says = |body: &str| http(200, "", body);
    let ding = |code: i64, text: &str| says(&format!("{{\"errcode\":{code},\"errmsg\":\"{text}\"}}"));
    let fei = |code: i64, text: &str| says(&format!("{{\"code\":{code},\"msg\":\"{text}\",\"data\":{{}}}}"));
    vec![
        ("dingtalk", ding(0, "ok"), Delivered, None, ""),
        ("dingtalk", ding(310_000, "sign not match"), Unauthorized, None, "errcode 310000: "),
        ("dingtalk", ding(310_000, "keywords not in content"), Unauthorized, None, "keywords not in content"),
        ("dingtalk", ding(300_001, "token is not exist"), Unauthorized, None, "token is not exist"),
        ("dingtalk", ding(130_101, "send too fast"), Throttled, None, "too fast"),
        ("dingtalk", ding(400_402, "title is missing"), Rejected, None, "400402"),
        ("dingtalk", ding(40_035, "missing json"), Rejected, None, "40035"),
        ("dingtalk", ding(-1, "system busy"), Retry, None, "errcode -1"),
        ("dingtalk", ding(999_999, "something new"), Retry, None, "something new"),
        ("dingtalk", ding(310_000, "bad access_token canary-token"), Unauthorized, None, "bad access_token <secret>"),
        ("dingtalk", says(""), Retry, None, "without errcode"),
        ("dingtalk", says("<html>Log in</html>"), Retry, None, "Log in"),
        ("dingtalk", says("{\"errcode\":\"0\"}"), Retry, None, "without errcode"),
        ("dingtalk", says("[]"), Retry, None, "without errcode"),
        ("dingtalk", http(502, "", "bad gateway"), Retry, None, "502"),
        (
            "dingtalk",
            http(302, "location: http://127.0.0.1:1/\r\n", ""),
            Unauthorized,
            None,
            "(to http://127.0.0.1:1/)",
        ),
        ("wecom", ding(0, "ok"), Delivered, None, ""),
        ("wecom", ding(93_000, "invalid webhook url"), Unauthorized, None, "93000"),
        ("wecom", ding(45_009, "api freq out of limit"), Throttled, None, "45009"),
        ("wecom", ding(40_058, "markdown.content exceed max length 4096"), Rejected, None, "exceed"),
        ("wecom", ding(-1, "system busy"), Retry, None, "-1"),
        ("wecom", says("ok"), Retry, None, "without errcode"),
        ("wecom", Reply::Close, Uncertain, None, ""),
        ("feishu", fei(0, "success"), Delivered, None, ""),
        ("feishu", says("{\"StatusCode\":0,\"StatusMessage\":\"success\"}"), Delivered, None, ""),
        ("feishu", fei(19_021, "sign match fail or timestamp is not within one hour"), Unauthorized, None, "19021"),
        ("feishu", fei(19_022, "Ip Not Allowed"), Unauthorized, None, "19022"),
        ("feishu", fei(19_024, "Key Words Not Found"), Unauthorized, None, "19024"),
        ("feishu", fei(11_232, "frequency limited"), Throttled, None, "11232"),
        ("feishu", fei(9499, "Bad Request"), Retry, None, "9499"),
        ("feishu", http(400, "", "{\"code\":9499,\"msg\":\"too many request\"}"), Retry, None, "too many request"),
        ("feishu", http(400, "", "{\"code\":10002,\"msg\":\"other\"}"), Rejected, None, "10002"),
        ("feishu", http(404, "", "nothing here"), Rejected, None, "404"),
        ("feishu", says("{}"), Retry, None, "without code or StatusCode"),
    ]
}

/// PagerDuty, Teams, Discord, ntfy and Telegram: a status that counts, and a body that confirms.
pub(super) fn chat_rows() -> Vec<Row> {
    let says = |body: &str| http(200, "", body);
    let event = "{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"sample\"}";
    let bad_event = "{\"status\":\"invalid event\",\"message\":\"Event object is invalid\"}";
    let old_teams = |code: u16| format!("Webhook message delivery failed with error: returned HTTP error {code}");
    let discord_limit = "{\"message\":\"You are being rate limited.\",\"retry_after\":2.0,\"global\":false}";
    let flood =
        "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many Requests\",\"parameters\":{\"retry_after\":5}}";
    let no = |code: u16, text: &str| {
        http(code, "", &format!("{{\"ok\":false,\"error_code\":{code},\"description\":\"{text}\"}}"))
    };
    let ntfy = |code: u16, text: &str| {
        http(code / 100, "", &format!("{{\"code\":{code},\"http\":{},\"error\":\"{text}\"}}", code / 100))
    };
    let slack = |name: &str| says(&format!("{{\"ok\":false,\"error\":\"{name}\"}}"));
    vec![
        ("slack-bot", says("{\"ok\":true,\"channel\":\"C0123\",\"ts\":\"1503435956.000247\"}"), Delivered, None, ""),
        ("slack-bot", says("ok"), Retry, None, "without the word ok"),
        ("slack-bot", slack("not_in_channel"), Unauthorized, None, "not_in_channel"),
        ("slack-bot", slack("missing_scope"), Unauthorized, None, "missing_scope"),
        ("slack-bot", slack("invalid_auth"), Unauthorized, None, "invalid_auth"),
        ("slack-bot", slack("account_inactive"), Unauthorized, None, "account_inactive"),
        ("slack-bot", slack("is_archived"), Rejected, None, "is_archived"),
        ("slack-bot", slack("msg_too_long"), Rejected, None, "msg_too_long"),
        ("slack-bot", slack("msg_blocks_too_long"), Rejected, None, "msg_blocks_too_long"),
        ("slack-bot", slack("ratelimited"), Throttled, None, "ratelimited"),
        ("slack-bot", slack("xoxb-canary-slack"), Retry, None, "<secret>"),
        ("slack-bot", http(429, "retry-after: 30\r\n", ""), Throttled, Some(30), "429"),
        ("smn", says("{\"request_id\":\"r\",\"message_id\":\"m\"}"), Delivered, None, ""),
        ("smn", says("{\"request_id\":\"r\"}"), Retry, None, "without a message_id"),
        (
            "smn",
            http(401, "", "{\"error_msg\":\"Incorrect IAM authentication: canary-ak\"}"),
            Unauthorized,
            None,
            "<secret>",
        ),
        ("smn", http(403, "", "{\"code\":\"SMN.00013003\"}"), Unauthorized, None, "SMN.00013003"),
        ("smn", http(404, "", "{\"code\":\"SMN.00011020\"}"), Rejected, None, "SMN.00011020"),
        ("smn", http(400, "", "{\"code\":\"SMN.00011001\"}"), Rejected, None, "SMN.00011001"),
        ("smn", http(429, "retry-after: 4\r\n", ""), Throttled, Some(4), "429"),
        ("smn", http(503, "", ""), Retry, None, "503"),
        ("webhook-success", says("{\"result\":{\"code\":0}}"), Delivered, None, ""),
        ("webhook-success", says("{\"result\":{\"code\":\"ok\"}}"), Delivered, None, ""),
        ("webhook-success", says("{\"result\":{\"code\":7}}"), Retry, None, "/result/code is not 0 or ok: {"),
        ("webhook-success", says("{\"result\":{}}"), Retry, None, "there is no /result/code"),
        ("webhook-success", says("<html>"), Retry, None, "there is no /result/code"),
        ("webhook-success", http(500, "", "{\"result\":{\"code\":0}}"), Retry, None, "answered 500"),
        ("pagerduty", http(202, "", event), Delivered, None, ""),
        ("pagerduty", http(202, "", ""), Retry, None, "without the status"),
        ("pagerduty", says("<html>"), Retry, None, "without the status"),
        ("pagerduty", http(400, "", bad_event), Rejected, None, "invalid event"),
        ("pagerduty", http(403, "", "canary-routing-key?"), Unauthorized, None, "<secret>?"),
        ("pagerduty", http(429, "", ""), Throttled, None, "429"),
        ("pagerduty", http(500, "", ""), Retry, None, "500"),
        ("teams", http(202, "", ""), Delivered, None, ""),
        ("teams", says("1"), Delivered, None, ""),
        ("teams", says("{\"result\": \"posted\"}"), Delivered, None, ""),
        ("teams", says("thank you"), Delivered, None, ""),
        ("teams", says(&old_teams(500)), Retry, None, "500"),
        ("teams", says("<html>Sign in</html>"), Retry, None, "Sign in"),
        ("teams", says(&old_teams(429)), Throttled, None, "429"),
        ("teams", says(&old_teams(413)), Rejected, None, "413"),
        ("teams", http(401, "", "sig=canary-sig is expired"), Unauthorized, None, "sig=<secret> is expired"),
        ("teams", http(404, "", "workflow not found"), Rejected, None, "workflow not found"),
        ("teams", http(429, "retry-after: 9\r\n", ""), Throttled, Some(9), "429"),
        ("discord", says("{\"id\":\"1\",\"type\":0}"), Delivered, None, ""),
        ("discord", http(204, "", ""), Delivered, None, ""),
        ("discord", says("<html>"), Retry, None, "without the message"),
        ("discord", http(429, "retry-after: 3\r\n", discord_limit), Throttled, Some(2), "429"),
        ("discord", http(429, "retry-after: 3\r\n", ""), Throttled, Some(3), "429"),
        ("discord", http(400, "", "{\"code\":50035,\"message\":\"Invalid Form Body\"}"), Rejected, None, "50035"),
        ("discord", http(401, "", "{\"code\":50027}"), Unauthorized, None, "50027"),
        ("discord", http(404, "", "{\"message\":\"Unknown Webhook\",\"code\":10015}"), Rejected, None, "10015"),
        ("telegram", says("{\"ok\":true,\"result\":{\"message_id\":7}}"), Delivered, None, ""),
        ("telegram", says("{\"ok\":false,\"description\":\"odd\"}"), Retry, None, "odd"),
        ("telegram", says("<html>"), Retry, None, "without"),
        ("telegram", http(429, "", flood), Throttled, Some(5), "Too Many"),
        (
            "telegram",
            http(
                400,
                "",
                "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: group chat was upgraded to a supergroup chat\",\"parameters\":{\"migrate_to_chat_id\":-1001234}}",
            ),
            Unauthorized,
            None,
            "write chat_id: \"-1001234\"",
        ),
        ("ntfy", says("{\"id\":\"hwQ2YpKdmg\",\"event\":\"message\",\"topic\":\"t\"}"), Delivered, None, ""),
        ("ntfy", says("<html>Log in</html>"), Retry, None, "without the message"),
        ("ntfy", says("{\"id\":\"x\",\"event\":\"keepalive\"}"), Retry, None, "without the message"),
        ("ntfy", ntfy(40_101, "unauthorized"), Unauthorized, None, "40101"),
        ("ntfy", ntfy(40_301, "forbidden for tk_canary"), Unauthorized, None, "forbidden for <secret>"),
        ("ntfy", ntfy(40_009, "invalid request: topic invalid"), Rejected, None, "topic invalid"),
        ("ntfy", ntfy(40_014, "invalid request: attachments not allowed"), Rejected, None, "attachments"),
        ("ntfy", ntfy(41_303, "JSON body too large"), Rejected, None, "41303"),
        ("ntfy", ntfy(42_908, "limit reached: daily message quota reached"), Throttled, None, "quota"),
        ("ntfy", ntfy(50_001, "internal server error"), Retry, None, "50001"),
        ("telegram", no(400, "Bad Request: chat not found"), Rejected, None, "chat not found"),
        ("telegram", no(401, "Unauthorized"), Unauthorized, None, "401"),
        ("telegram", no(403, "Forbidden: bot was kicked"), Unauthorized, None, "kicked"),
        ("telegram", no(404, "Not Found"), Unauthorized, None, "404"),
        ("telegram", http(502, "", "/bot123:canary-telegram/"), Retry, None, "/bot<secret>/"),
    ]
}
