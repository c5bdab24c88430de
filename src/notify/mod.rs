//! Receivers: the places that are told, each kind in a file that says everything about it.
//!
//! A notifier makes one attempt to send one delivery and classes how it ended. It reads the delivery, its own settings
//! and the channel's answer; success is the channel's own word, not HTTP 200. It must never know of rules, sources or
//! the store, and it never takes a destination from data.
//!
//! A new kind of receiver is one file, which declares its [`Kind`] and implements [`channel::Channel`] and
//! [`over_http::HttpChannel`] for its settings; a directory of templates; and a line of [`registry::KINDS`].

/// A template that comes with a kind: the part it makes, what its output is, and its file below `templates/`.
macro_rules! template {
    ($part:literal, $kind:ident, $path:literal) => {
        $crate::template::BuiltIn {
            part: $part,
            file: $crate::template::BuiltIn::file_name($path),
            kind: $crate::template::OutputKind::$kind,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path)),
        }
    };
}

mod answer;
mod channel;
mod chat_hook;
mod dingtalk;
mod discord;
mod email;
mod fallback;
mod feishu;
mod fit;
mod guides;
mod mention;
mod ntfy;
mod over_http;
mod pagerduty;
mod plain;
mod rate;
mod receiver;
mod registry;
mod render;
mod slack;
mod slack_fit;
mod smn;
mod teams;
mod telegram;
mod webhook;
mod wecom;

pub use channel::Kind;
pub use guides::{Guides, Table as GuideTable};
pub use mention::Mention;
pub use rate::Rate;
pub use receiver::{AnyNotifier, ChannelSettings, Fallback, Notifier, ReceiverSettings};
pub use registry::{KINDS, kind_of};
pub use render::{Rendered, Renderer, mail_of_digest, plain_mail_of_digest, read_overrides};
