//! The secrets of one request, and how they are removed from what comes back.
//!
//! Pure. Servers and gateways quote what they were sent: plain, encoded, escaped, or cut off in the middle. [`Secrets`]
//! knows all those forms. It must never know what a request or a message is.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

use super::value::Secret;
use crate::coding::percent_encoded;

/// What stands in a secret's place.
const REDACTED: &str = "<secret>";
/// Shorter values are not looked for: that would only shred the message.
const BYTES_MIN: usize = 4;
/// From this many bytes on, a value's beginning gives it away, and is redacted as far as it goes.
const HEAD_BYTES: usize = 16;

/// The secrets of one request, in every form in which a response can repeat them.
#[derive(Clone, Default)]
pub struct Secrets {
    forms: Vec<Form>,
}

#[derive(Clone)]
struct Form {
    text: String,
    /// How many bytes of it must be there before it is redacted.
    least: usize,
}

impl Secrets {
    /// No secret yet.
    pub const fn new() -> Secrets {
        Secrets { forms: Vec::new() }
    }

    /// Adds a value; of a header's `Bearer xyz`, what follows the scheme is a secret by itself.
    pub fn push(&mut self, secret: &Secret) {
        self.push_text(secret.expose().trim(), HEAD_BYTES);
        if let Some((_, credentials)) = secret.expose().trim().split_once(' ') {
            self.push_text(credentials.trim(), HEAD_BYTES);
        }
    }

    /// Adds a part of an address that is a secret only as a whole: its beginning may be anybody's.
    pub fn push_whole(&mut self, text: &str) {
        self.push_text(text, usize::MAX);
    }

    fn push_text(&mut self, plain: &str, head: usize) {
        if plain.len() < BYTES_MIN {
            return;
        }
        let escaped = serde_json::Value::from(plain).to_string();
        let escaped = escaped[1..escaped.len() - 1].to_string();
        let encoded = percent_encoded(plain);
        let forms = [
            plain.to_string(),
            escaped.replace('/', "\\/"),
            escaped,
            lower_case_escapes(&encoded),
            encoded,
            STANDARD.encode(plain),
            STANDARD_NO_PAD.encode(plain),
            URL_SAFE_NO_PAD.encode(plain),
        ];
        for text in forms {
            if self.forms.iter().all(|form| form.text != text) {
                let least = if text.len() >= 2 * HEAD_BYTES { head.min(text.len()) } else { text.len() };
                self.forms.push(Form { text, least });
            }
        }
    }

    /// Takes in those of another request.
    pub fn join(&mut self, other: &Secrets) {
        self.forms.extend(other.forms.iter().cloned());
    }

    /// `text` with every secret replaced by `<secret>`.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let clean = replaced(text.as_bytes(), &found);
        Cow::Owned(String::from_utf8_lossy(&clean).into_owned())
    }

    /// A body with every secret replaced. One that is JSON stays JSON: there only strings are changed. A secret that the
    /// end of an incomplete body cuts in two goes too.
    pub fn redact_body(&self, mut body: Vec<u8>, is_complete: bool) -> Vec<u8> {
        if !is_complete {
            let broken = self.forms.iter().filter_map(|form| begun_at_the_end(&body, form)).max();
            if let Some(bytes) = broken {
                body.truncate(body.len() - bytes);
            }
        }
        let mut found = self.find(&body);
        if !found.is_empty() && body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|b| b"{[".contains(b))
        {
            let mut strings = Strings::default();
            found.retain(|(from, _)| strings.holds(&body, *from));
        }
        if found.is_empty() { body } else { replaced(&body, &found) }
    }

    /// Where secrets stand: from and to, in order, none overlapping another.
    fn find(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for form in &self.forms {
            let head = &form.text.as_bytes()[..form.least];
            found.extend(memmem::find_iter(text, head).map(|at| (at, at + form.length_in(&text[at..]))));
        }
        found.sort_unstable_by_key(|(from, to)| (*from, std::cmp::Reverse(*to)));
        found.dedup_by(|next, previous| {
            let overlaps = next.0 < previous.1;
            previous.1 = if overlaps { previous.1.max(next.1) } else { previous.1 };
            overlaps
        });
        found
    }
}

impl Form {
    /// How much of this form `text` begins with.
    fn length_in(&self, text: &[u8]) -> usize {
        text.iter().zip(self.text.as_bytes()).take_while(|(a, b)| a == b).count()
    }
}

/// How many bytes at the end of `body` are the beginning of the form.
fn begun_at_the_end(body: &[u8], form: &Form) -> Option<usize> {
    let text = form.text.as_bytes();
    (BYTES_MIN..text.len()).rev().find(|bytes| body.ends_with(&text[..*bytes]))
}

fn replaced(text: &[u8], found: &[(usize, usize)]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    let mut at = 0;
    for (from, to) in found {
        clean.extend_from_slice(&text[at..*from]);
        clean.extend_from_slice(REDACTED.as_bytes());
        at = *to;
    }
    clean.extend_from_slice(&text[at..]);
    clean
}

/// A percent-encoded text with its digits in lower case, as some write it.
fn lower_case_escapes(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (digits, rest) = part.split_at(2.min(part.len()));
        out.push('%');
        out.push_str(&digits.to_ascii_lowercase());
        out.push_str(rest);
    }
    out
}

/// Walks through JSON text and knows where its strings are.
#[derive(Default)]
struct Strings {
    at: usize,
    is_string: bool,
    is_escaped: bool,
}

impl Strings {
    /// Whether the byte at `index` is inside a string. Asked in order.
    fn holds(&mut self, text: &[u8], index: usize) -> bool {
        for byte in &text[self.at..index] {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_string => self.is_escaped = true,
                b'"' => self.is_string = !self.is_string,
                _ => {}
            }
        }
        self.at = index;
        self.is_string
    }
}

impl<'a> Extend<&'a Secret> for Secrets {
    fn extend<T: IntoIterator<Item = &'a Secret>>(&mut self, secrets: T) {
        for secret in secrets {
            self.push(secret);
        }
    }
}

impl<'a> FromIterator<&'a Secret> for Secrets {
    fn from_iter<T: IntoIterator<Item = &'a Secret>>(secrets: T) -> Self {
        let mut all = Secrets::new();
        all.extend(secrets);
        all
    }
}

impl From<&Secret> for Secrets {
    fn from(secret: &Secret) -> Self {
        [secret].into_iter().collect()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} forms of secrets", self.forms.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Secrets {
        texts.iter().map(|text| Secret::new(*text)).collect::<Vec<_>>().iter().collect()
    }

    #[test]
    fn every_form_of_a_secret_is_redacted() {
        let secret = "p/w \"ö\"+1";
        for text in [
            "p/w \"ö\"+1",
            r#"{"token":"p\/w \"ö\"+1"}"#,
            r#"{"token":"p/w \"ö\"+1"}"#,
            "token=p%2Fw%20%22%C3%B6%22%2B1",
            "token=p%2fw%20%22%c3%b6%22%2b1",
            "cC93ICLDtiIrMQ==",
        ] {
            let clean = secrets(&[secret]).redact(text).into_owned();
            assert!(clean.contains("<secret>") && !clean.contains("p/w") && !clean.contains("%22"), "{text}: {clean}");
        }
        assert_eq!(secrets(&["Bearer canary-12"]).redact("no such token: canary-12"), "no such token: <secret>");
        assert_eq!(secrets(&["abc"]).redact("abc"), "abc", "too short to be looked for");
    }

    #[test]
    fn a_secret_that_is_quoted_in_part_is_redacted_as_far_as_it_goes() {
        let token = "MIIEpAIBAAKCAQEA-canary-canary-canary-end";
        let clean = secrets(&[token]).redact("token MIIEpAIBAAKCAQEA-canary-ca... is stale").into_owned();
        assert_eq!(clean, "token <secret>... is stale");
        assert_eq!(
            secrets(&[token]).redact("MIIEpAIBAAKC is too little to tell"),
            "MIIEpAIBAAKC is too little to tell"
        );
        let body = secrets(&["canary-1234"]).redact_body(b"the token canary-12".to_vec(), false);
        assert_eq!(String::from_utf8(body).unwrap(), "the token ");
    }

    #[test]
    fn json_stays_json() {
        let secrets = secrets(&["true", "12345"]);
        let body = br#"{"ok": true, "code": 12345, "say": "true \" 12345"}"#;
        let clean = String::from_utf8(secrets.redact_body(body.to_vec(), true)).unwrap();
        assert_eq!(clean, r#"{"ok": true, "code": 12345, "say": "<secret> \" <secret>"}"#);
        assert_eq!(secrets.redact("code 12345"), "code <secret>");
    }
}
