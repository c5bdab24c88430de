//! The address that a chat gives out for one group: whoever has it can post there, and that is all there is to it. What
//! DingTalk, Feishu, WeCom, Discord and Teams have in common.
//!
//! It reads the configuration and resolves secrets when something is sent; it must never know what a message looks like.

use reqwest::Url;

use super::channel::{WEBHOOK_URL, destination, read_webhook_url};
use super::mention::{Able, MENTION, Mention};
use super::over_http::post_json;
use crate::http::Outgoing;
use crate::secret::{Secret, SecretRef, Secrets};
use crate::yaml::{Key, Section, Shape};

/// The keys of a receiver that posts to a chat's own address.
pub(super) const KEYS: &[Key] = &[WEBHOOK_URL.required(), MENTION];

/// The signing secret, for a chat that knows signatures.
pub(super) const SECRET: Key =
    Key::new("secret", Shape::Secret, "The robot's signing secret.").example("{ env: ROBOT_SECRET }");

/// The settings of a receiver that posts to a chat's own address.
#[derive(Debug, Clone)]
pub(super) struct ChatHook {
    /// The address; the token in it is all that is needed to post.
    pub(super) webhook_url: SecretRef,
    /// What posts are signed with, where the chat knows signatures and asks for them.
    pub(super) secret: Option<SecretRef>,
    /// Whom messages mention.
    pub(super) mention: Mention,
}

impl ChatHook {
    /// Reads `webhook_url` and `mention`. `None` means that something was reported.
    pub(super) fn read(section: &Section<'_>, able: Able) -> Option<ChatHook> {
        let webhook_url = read_webhook_url(section);
        let mention = Mention::read(section, able);
        Some(ChatHook { webhook_url: webhook_url?, secret: None, mention: mention? })
    }

    /// The same with `secret`, for a chat that knows signatures.
    pub(super) fn read_signed(section: &Section<'_>, able: Able) -> Option<ChatHook> {
        let secret = section.optional("secret");
        ChatHook::read(section, able).map(|hook| ChatHook { secret, ..hook })
    }

    /// Its secrets, each with the key it stands under.
    pub(super) fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let secret = self.secret.iter().map(|secret| ("secret".to_string(), secret));
        std::iter::once(("webhook_url".to_string(), &self.webhook_url)).chain(secret).collect()
    }

    /// The address as it is now, and the secrets that are in it.
    pub(super) fn destination(&self) -> Result<(Url, Secrets), String> {
        destination("webhook_url", &self.webhook_url)
    }

    /// The post of `body`, unsigned.
    pub(super) fn post(&self, body: &str) -> Result<Outgoing, String> {
        let (url, secrets) = self.destination()?;
        Ok(Outgoing::new(post_json(url, body.to_string()), secrets))
    }

    /// What posts are signed with, if they are, as it is now.
    pub(super) fn signing_secret(&self) -> Result<Option<Secret>, String> {
        self.secret.as_ref().map(|secret| secret.resolve().map_err(|error| error.to_string())).transpose()
    }
}
