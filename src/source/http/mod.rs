//! A scheduler behind HTTP and JSON that the configuration describes: any that has a list of runs.
//!
//! ```text
//! settings (fields, paging, auth) -> api: requests built (fill, build), proven (proof) and counted (budget); the kit's client
//!                                     |  answers
//!                      connection -> listing | detail: pages (pages), rows (map: pointer, time)
//! ```
//!
//! Reads what the configuration describes and nothing else. Whom it asks, and what a row means, stands in the configuration
//! alone; what the scheduler answers is text that is filled in and shown, and never chooses a host.
//!
//! # Design
//! - What the description gets wrong must show: a status that is not mapped, a time that cannot be read and a list that is
//!   not where it is said to be are told as gaps in what was read, never taken for silence or for success.
//! - The mapping is pure, so that a saved answer can be mapped without a network ([`Settings::map_sample`]).

mod api;
mod auth;
mod budget;
mod build;
mod connection;
mod detail;
mod examine;
mod fields;
mod fill;
mod listing;
mod map;
mod pages;
mod paging;
mod pointer;
mod proof;
mod request;
mod sample;
mod settings;
mod time;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use connection::HttpSource;
pub use settings::{KEYS, Settings};

use self::budget::Spent;
use crate::clock::Clock;
use crate::model::{Instance, SourceId, Window};
use crate::secret::SecretRef;
use crate::source::contract::{Detail, Finding, Learnt, Listing, Sample, Scheduler, Source, SourceError};

/// The word for `type`.
const KIND: &str = "http";
/// Under which name the calls of the last day are taken along.
const CALLS: &str = "calls";

impl Source for HttpSource {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn list(&self, window: Window) -> BoxFuture<'_, Result<Listing, SourceError>> {
        Box::pin(listing::read(self, window))
    }

    fn detail<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Detail, SourceError>> {
        Box::pin(self.look_at(instance))
    }

    fn examine(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(examine::examine(self))
    }

    fn learn(&self, learnt: &Learnt) {
        if let Some(calls) = learnt.get(CALLS) {
            *self.client.api.spent() = Spent::parse(calls);
        }
    }

    fn learnt(&self) -> Learnt {
        let spent = self.client.api.spent();
        if spent.count() == 0 { Learnt::new() } else { Learnt::from([(CALLS.to_string(), spent.text())]) }
    }
}

impl Scheduler for Settings {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn poll_default(&self) -> Option<String> {
        Settings::poll_default(self)
    }

    fn map_sample(&self, source: &SourceId, body: &[u8]) -> Option<Result<Sample, String>> {
        Some(Settings::map_sample(self, source, body))
    }

    fn secrets(&self) -> Vec<(String, &SecretRef)> {
        Settings::secrets(self)
    }

    fn open(&self, id: SourceId, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, SourceError> {
        HttpSource::open(id, self, clock).map(|source| Arc::new(source) as Arc<dyn Source>)
    }
}
