//! Addresses of the web in what the configuration's author wrote: which are sound, and where they stand in a text.
//!
//! Pure text. Knows no channel: how a link is written is said by whoever asks.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::limits::LINK_BYTES_MAX;

/// What no address holds as it is (RFC 3986), and what could end one in a chat.
const UNSOUND: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// What an address of the web begins with.
const WEB: [&str; 2] = ["https://", "http://"];

/// Whether a scheme is one of the web's.
pub(super) fn is_web(scheme: &str) -> bool {
    WEB.iter().filter_map(|begin| begin.strip_suffix("://")).any(|known| scheme.eq_ignore_ascii_case(known))
}

/// The address with everything percent-encoded that could end it; none for what is no address of the web, or too long to be
/// one: half an address leads nowhere.
pub(super) fn sound(url: &str) -> Option<String> {
    authority(url).filter(|authority| !authority.is_empty())?;
    let sound = utf8_percent_encode(url, UNSOUND).to_string();
    (sound.len() <= LINK_BYTES_MAX).then_some(sound)
}

/// What stands between the scheme and the path, if the scheme is `https` or `http`.
pub(super) fn authority(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    is_web(scheme).then(|| rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// `text` with its addresses as links, and the rest as `plain` makes it.
pub(super) fn linked(text: &str, plain: impl Fn(&str) -> String, link: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = WEB.iter().filter_map(|begin| rest.find(begin)).min() {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || "<>\"`|".contains(c)).unwrap_or(from.len());
        // What ends a sentence does not belong to the address in it.
        let url = from[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '。', '，', '；', '）']);
        out.push_str(&plain(before));
        match sound(url) {
            Some(sound) => out.push_str(&link(&sound)),
            None => out.push_str(&plain(url)),
        }
        rest = &from[url.len()..];
    }
    out + &plain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_a_text() {
        let marked = |text: &str| linked(text, str::to_uppercase, |url| format!("[{url}]"));
        assert_eq!(
            marked("see https://wiki.example.com/a_b?x=1&y=2#z, then call"),
            "SEE [https://wiki.example.com/a_b?x=1&y=2#z], THEN CALL"
        );
        assert_eq!(marked("(http://a.example)"), "([http://a.example])");
        assert_eq!(marked("https:// is none, nor is javascript:x"), "HTTPS:// IS NONE, NOR IS JAVASCRIPT:X");
    }

    #[test]
    fn only_addresses_of_the_web_are_sound() {
        let table = [
            ("https://wiki.example.com/订单?a=(b)", Some("https://wiki.example.com/%E8%AE%A2%E5%8D%95?a=(b)")),
            ("HTTP://x", Some("HTTP://x")),
            ("https://x/a b|c>d", Some("https://x/a%20b%7Cc%3Ed")),
            ("https:///path", None),
            ("javascript:alert(1)", None),
            ("ftp://x/", None),
            ("", None),
        ];
        for (url, expected) in table {
            assert_eq!(sound(url).as_deref(), expected, "{url}");
        }
        assert_eq!(sound(&format!("https://x/{}", "a".repeat(LINK_BYTES_MAX))), None);
    }
}
