//! A request together with the secrets in it, so that whatever comes back can be freed of them.
//!
//! Pure. It must never know what the request is for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Request, Url};

use crate::coding::percent_decoded;
use crate::secret::{Secret, Secrets};

/// A request, ready to be sent.
#[derive(Debug)]
pub struct Outgoing {
    pub(super) request: Request,
    pub(super) secrets: Secrets,
}

impl Outgoing {
    /// A request and every secret in it. A user and a password in its address become the header that carries them.
    pub fn new(mut request: Request, mut secrets: Secrets) -> Outgoing {
        if let Some(credentials) = taken_credentials(request.url_mut()) {
            let value = format!("Basic {}", STANDARD.encode(credentials.expose()));
            secrets.push(&credentials);
            if let Some((_, password)) = credentials.expose().split_once(':') {
                secrets.push(&Secret::new(password));
            }
            if let Ok(mut value) = HeaderValue::try_from(value)
                && !request.headers().contains_key(AUTHORIZATION)
            {
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
        }
        Outgoing { request, secrets }
    }
}

/// Puts headers into a request; those that prove who asks are marked, so that nothing prints them.
///
/// # Errors
/// The name of a header whose value cannot be sent: it holds a line break or a control character.
pub fn set_headers(request: &mut Request, headers: &[(String, String)]) -> Result<(), String> {
    for (name, text) in headers {
        let header = HeaderName::try_from(name.as_str()).map_err(|_| name.clone())?;
        let mut value = HeaderValue::try_from(text).map_err(|_| name.clone())?;
        value.set_sensitive(header == AUTHORIZATION || header.as_str().ends_with("-token"));
        request.headers_mut().insert(header, value);
    }
    Ok(())
}

/// `user:password` of an address, which loses them.
fn taken_credentials(url: &mut Url) -> Option<Secret> {
    let password = url.password().map(decoded);
    let user = decoded(url.username());
    if user.is_empty() && password.is_none() {
        return None;
    }
    // Both fail only for addresses that cannot have credentials.
    let _ = (url.set_username(""), url.set_password(None));
    Some(Secret::new(format!("{user}:{}", password.unwrap_or_default())))
}

/// What is secret in an address that is a secret itself: who has the path or the query of a webhook can post with it. A
/// word in it such as `send` is no secret, only the whole path is; what looks like a token is one by itself.
pub fn secrets_in(url: &Url) -> Secrets {
    let mut secrets = Secrets::new();
    let mut push = |key: &str, part: &str| {
        let plain = decoded(part);
        let is_secret = is_secret_key(key) || is_token(&plain);
        if is_secret {
            secrets.push(&Secret::new(part));
            secrets.push(&Secret::new(plain));
        }
        is_secret
    };
    for segment in url.path_segments().into_iter().flatten() {
        push("", segment);
    }
    let pairs = url.query().into_iter().flat_map(|query| query.split('&'));
    let found = pairs.filter(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or(("", pair));
        push(key, value)
    });
    let query_has_one = found.count() > 0;
    if url.path().len() > 1 {
        secrets.push_whole(url.path());
    }
    if let Some(query) = url.query().filter(|_| !query_has_one) {
        secrets.push_whole(query);
    }
    secrets
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(text)).into_owned()
}

/// Whether a key of a query says that its value is a secret.
fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["token", "key", "secret", "sig", "auth", "password", "pwd", "code"].iter().any(|word| key.contains(word))
}

/// Whether a part of an address looks like a token: long and mixed, or longer than words are.
fn is_token(part: &str) -> bool {
    let has = |test: fn(&char) -> bool| part.chars().any(|c| test(&c));
    let is_mixed = has(char::is_ascii_digit) || (has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase));
    part.len() >= 20 || (part.len() >= 8 && is_mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_parts_of_an_address_are_redacted_and_words_are_not() {
        let url = Url::parse("https://hook.example.com/v1/T0C4N4RY8/send?access_token=can&wait=true&x=a%2Fb%2Bcanary9")
            .unwrap();
        let secrets = secrets_in(&url);
        for (text, expected) in [
            ("send too fast", "send too fast"),
            ("wait is true", "wait is true"),
            ("no team T0C4N4RY8", "no team <secret>"),
            ("POST /v1/T0C4N4RY8/send failed", "POST <secret> failed"),
            ("bad x: a/b+canary9", "bad x: <secret>"),
            ("bad x: a%2Fb%2Bcanary9", "bad x: <secret>"),
        ] {
            assert_eq!(secrets.redact(text), expected);
        }
        let url = Url::parse("https://hook.example.com/hooks?token=hunter").unwrap();
        assert_eq!(secrets_in(&url).redact("token hunter is unknown"), "token <secret> is unknown");
    }

    #[test]
    fn credentials_in_an_address_become_a_header() {
        let url = Url::parse("https://night%20bell:pa%3Ass@example.com/x").unwrap();
        let outgoing = Outgoing::new(Request::new(reqwest::Method::POST, url), Secrets::new());
        assert_eq!(outgoing.request.url().as_str(), "https://example.com/x");
        assert_eq!(outgoing.request.headers()[AUTHORIZATION], "Basic bmlnaHQgYmVsbDpwYTpzcw==");
        assert_eq!(outgoing.secrets.redact("pa:ss, bmlnaHQgYmVsbDpwYTpzcw=="), "<secret>, <secret>");
    }
}
