//! Links that may do one thing: what a message offers to whoever has received it.
//!
//! The signature is an HMAC-SHA256 over the alert, its episode, the action and the end of the link's time, each with its
//! length before it, so that no two links sign the same text. Pure: knows neither where the key is kept nor what the
//! action does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

/// What a link does that acknowledges.
pub const ACK: &str = "ack";

/// The key that links are signed with. It prints nothing of itself.
#[derive(Clone)]
pub struct LinkKey(String);

/// What a link may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The alert.
    pub alert: &'a str,
    /// Which failure of its run it is.
    pub episode: u32,
    /// What it does: `ack`.
    pub action: &'a str,
    /// Until when, to the second.
    pub until: Timestamp,
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl LinkKey {
    /// The key of this text.
    pub fn new(text: impl Into<String>) -> LinkKey {
        LinkKey(text.into())
    }

    fn mac(&self, link: &Link<'_>) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok()?;
        let (episode, until) = (link.episode.to_string(), link.until.as_second().to_string());
        for part in [link.alert, &episode, link.action, &until] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac)
    }

    /// The signature of a link, as an address has it.
    pub fn signature(&self, link: &Link<'_>) -> String {
        // A key of any length is one.
        self.mac(link).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Whether it is the signature of the link; found out in a time that says nothing of the right one.
    pub fn is_signed(&self, link: &Link<'_>, signature: &str) -> bool {
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        self.mac(link).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_link_alone() {
        let key = LinkKey::new("canary");
        let until = Timestamp::from_second(1_800_000_000).unwrap();
        let link = Link { alert: "a1", episode: 1, action: "ack", until };
        let signature = key.signature(&link);
        assert_eq!(signature.len(), 43);
        assert!(key.is_signed(&link, &signature));
        let later = Timestamp::from_second(1_800_000_001).unwrap();
        let others = [
            Link { alert: "a", ..link.clone() },
            Link { alert: "a11", ..link.clone() },
            Link { episode: 11, ..link.clone() },
            Link { action: "close", ..link.clone() },
            Link { until: later, ..link.clone() },
        ];
        for other in &others {
            assert!(!key.is_signed(other, &signature), "{other:?}");
        }
        for wrong in ["", "A", &signature[..42], &signature.to_lowercase(), &format!("{signature}A")] {
            assert!(!key.is_signed(&link, wrong), "{wrong}");
        }
        assert!(!LinkKey::new("another").is_signed(&link, &signature));
        assert!(!format!("{key:?}").contains("canary"));
    }
}
