//! Receivers: the places that are told, each channel behind the one trait [`Notifier`].
//!
//! A notifier makes one attempt to send one delivery and classes how it ended. It reads the delivery, its own settings
//! and the channel's answer; success is the channel's own word, not HTTP 200. It must never know of rules, sources or
//! the store, and it never takes a destination from data.

use std::future::Future;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{Attempt, Delivery, ReceiverId};

/// A way to reach people.
pub trait Notifier: Send + Sync {
    /// Makes one attempt. Has its own deadline; never panics on an answer.
    fn send(&self, delivery: &Delivery, now: Timestamp) -> impl Future<Output = Attempt> + Send;

    /// How many attempts may be under way at once.
    fn concurrency(&self) -> usize;
}

/// A receiver as the configuration describes it.
#[derive(Debug, Clone)]
pub struct ReceiverSettings {
    /// Its key in the configuration.
    pub id: ReceiverId,
    /// Whether it is told of resolutions.
    pub send_resolved: bool,
    /// The zone of the times in its messages.
    pub timezone: TimeZone,
    /// A directory (or, for kinds with one part, a file) of templates that replace the built-in ones.
    pub template: Option<PathBuf>,
    /// The channel behind it.
    pub channel: ChannelSettings,
}

/// The settings of one kind of channel.
#[derive(Debug, Clone)]
pub enum ChannelSettings {}
