//! The failure text of an instance, of any scheduler: its result and the last lines of its log, made fit to be told.
//!
//! Pure. Logs hold what programs print: control characters, colours, and sometimes a password. What looks like a secret
//! is cut out before anything is kept, for a message goes to more people than may read the log.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::http::cut_to;
use crate::limits::{INSTANCE_ERROR_BYTES_MAX, LOG_TAIL_BYTES_MAX, LOG_TAIL_LINES};

/// Of one text so much is looked at, in bytes, and so many times the lines of a log that are told: what is cut out makes
/// room.
const READ_BYTES_MAX: usize = 8 << 10;
const LINES_READ: usize = 4;
/// Longest line of a log that is told, in bytes.
const LINE_BYTES_MAX: usize = 400;
const REDACTED: &str = "<redacted>";

/// Colours and cursor movements of terminals.
static ESCAPES: LazyLock<Regex> = LazyLock::new(|| compiled(r"\x1b\[[0-9;?]*[ -/]*[@-~]"));

/// What looks like a secret, and what is left of it.
static SECRETS: LazyLock<[(Regex, &'static str); 6]> = LazyLock::new(|| {
    [
        // The words of HTTP's own sign-in.
        (compiled(r"(?i)\b(bearer|basic|digest)\s+[a-z0-9._~+/=-]{6,}"), "$1 <redacted>"),
        // user:password@host
        (compiled(r"(://[^/\s:@]*):[^/\s@]+@"), "$1:<redacted>@"),
        // A name that means a secret, and its value: password=…, "api_key": "…", --token …
        (
            compiled(
                r#"(?ix)( (?:pass(?:word|wd|phrase)? | pwd | secret | token | credential | authorization | cookie
                | (?:access|api|private|app|secret|signing)[-_.\ ]?key (?:[-_]?(?:id|secret))? | accesskeysecret )
                [a-z0-9_.-]{0,24} ["']? \s* [:=] \s* ) (?: "[^"]*" | '[^']*' | [^\s"',;&)}\]]+ )"#,
            ),
            "${1}<redacted>",
        ),
        // Access keys of the large clouds, and tokens of JSON.
        (compiled(r"\b(?:LTAI|AKIA|ASIA|STS\.)[A-Za-z0-9]{12,}"), REDACTED),
        (compiled(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), REDACTED),
        // The body of a key file.
        (compiled(r"(?m)^\s*[A-Za-z0-9+/]{48,}={0,2}\s*$"), REDACTED),
    ]
});

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant and a test compiles it")
}

/// What a failed instance says of itself: its result, and under it the last lines of its log (oldest first). `None` when
/// there is nothing to say.
pub(in crate::source) fn failure_text(result: Option<&str>, log: &[String]) -> Option<String> {
    with_tail(result, log, LOG_TAIL_LINES)
}

/// The last `count` lines of a log alone, as [`with_tail`] puts them under a result.
pub(in crate::source) fn tail(log: &[String], count: usize) -> Option<String> {
    with_tail(None, log, count)
}

/// The same with the last `count` lines, as far as there is room for them.
pub(in crate::source) fn with_tail(result: Option<&str>, log: &[String], count: usize) -> Option<String> {
    let result = result.map(|text| readable(&cut_to(text.to_string(), READ_BYTES_MAX))).filter(|text| !text.is_empty());
    let mut tail: Vec<String> = Vec::new();
    let mut room = LOG_TAIL_BYTES_MAX;
    let newest = &log[log.len().saturating_sub(LINES_READ * count)..];
    let newest: Vec<String> = newest.iter().map(|line| cut_to(line.clone(), READ_BYTES_MAX)).collect();
    let lines = readable(&newest.join("\n"));
    for line in lines.lines().rev().filter(|line| !line.trim().is_empty()).take(count) {
        let line = cut_to(line.to_string(), LINE_BYTES_MAX);
        let Some(left) = room.checked_sub(line.len() + 1) else { break };
        room = left;
        tail.push(line);
    }
    tail.reverse();
    let used: usize = tail.iter().map(|line| line.len() + 1).sum();
    let result = result.map(|text| cut_to(text, INSTANCE_ERROR_BYTES_MAX - used));
    let told: Vec<String> = result.into_iter().chain(tail).collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// `text` without colours, control characters and what looks like a secret; its lines are kept.
fn readable(text: &str) -> String {
    let plain = ESCAPES.replace_all(text, "");
    let shown: String =
        plain.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| *c == '\n' || !c.is_control()).collect();
    without_secrets(&shown).trim().to_string()
}

/// `text` with everything that looks like a secret replaced.
pub(in crate::source) fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (pattern, left) in SECRETS.iter() {
        if let Cow::Owned(changed) = pattern.replace_all(&clean, *left) {
            clean = Cow::Owned(changed);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_cut_out() {
        let table = [
            ("password=canary-1", "password=<redacted>"),
            ("Password : 'canary 2' rest", "Password : <redacted> rest"),
            (r#"{"api_key": "canary3", "rows": 5}"#, r#"{"api_key": <redacted>, "rows": 5}"#),
            ("accessKeySecret=canary4&x=1", "accessKeySecret=<redacted>&x=1"),
            ("spring.datasource.password=canary5", "spring.datasource.password=<redacted>"),
            ("Authorization: Bearer canary6.abc-def", "Authorization: <redacted> <redacted>"),
            ("sent bearer canary7abc to x", "sent bearer <redacted> to x"),
            ("jdbc:mysql://root:canary8@db:3306/x", "jdbc:mysql://root:<redacted>@db:3306/x"),
            ("key LTAI5tFakeAccessKeyEx was used", "key <redacted> was used"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "jwt <redacted>"),
            ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7", "<redacted>"),
            ("security_token=CAIScanary9/x==", "security_token=<redacted>"),
        ];
        for (text, expected) in table {
            assert_eq!(without_secrets(text), expected, "{text}");
        }
    }

    #[test]
    fn ordinary_words_stay() {
        for text in [
            "java.lang.NullPointerException: rows is null",
            "ERROR 1045 (28000): Access denied for user 'etl'@'10.0.0.7' (using password: YES)"
                .trim_end_matches("(using password: YES)"),
            "/opt/app/lib/warehouse/orders/2026-11-21/part-00000.parquet not found",
            "tokenizer loaded in 5 ms",
            "https://host:8080/path?x=1",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }

    #[test]
    fn result_and_the_end_of_the_log_share_the_room() {
        let log: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
        let text = failure_text(Some("exit code 1"), &log).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1], lines[12]), (13, "exit code 1", "line 28", "line 39"));
        let long = "长".repeat(5000);
        for (result, log) in
            [(Some(long.as_str()), vec![long.clone(); 20]), (None, vec![long.clone()]), (Some(&long), vec![])]
        {
            let text = failure_text(result, &log).unwrap();
            assert!(text.len() <= INSTANCE_ERROR_BYTES_MAX, "{}", text.len());
            assert!(text.contains('…'));
        }
        let endless = vec!["password=".to_string() + &"x".repeat(8 << 20); 100];
        assert_eq!(failure_text(None, &endless).unwrap().lines().next(), Some("password=<redacted>"));
        assert_eq!(failure_text(None, &[]), None);
        assert_eq!(failure_text(Some(" \r\n"), &["\u{1b}[0m".to_string()]), None);
    }

    #[test]
    fn twenty_lines_as_logs_have_them_are_kept() {
        let log: Vec<String> = (0..60).map(|n| format!("2026-11-21 08:00:{n} INFO {}", "x".repeat(85))).collect();
        assert_eq!(log[59].len(), 110);
        let text = with_tail(Some("exit code 1"), &log, 20).unwrap();
        assert_eq!((text.lines().count(), text.lines().last()), (21, log.last().map(String::as_str)));
    }

    #[test]
    fn colours_and_control_characters_go() {
        let log = ["\u{1b}[31mred\u{1b}[0m\u{7} end\r".to_string(), "a\tb".to_string()];
        assert_eq!(failure_text(None, &log).as_deref(), Some("red end\na b"));
    }
}
