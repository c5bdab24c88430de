//! The API, `/api/v1`: what the pages show, as JSON, and what people do, for programs.
//!
//! Objects have the names of the webhook body, and are made by [`crate::desk::json`] as the commands' `--json` lines are.
//! Every list is paged by an opaque cursor: `items`, and `next` where there is more. Errors are problem documents
//! (RFC 9457). `docs/openapi.json` describes all of it, and a test holds that against the routes and the answers.

mod alerts;
mod deliveries;
mod exchange;
mod explain;
mod jobs;
mod night;
mod silences;
mod status;

pub(super) use alerts::{ack, alert, alerts, close, unack};
pub(super) use deliveries::{deliveries, delivery, digest, digests, drop_delivery, retry};
pub(super) use explain::explain;
pub(super) use jobs::{calendar, instances, job, jobs};
pub(super) use night::night;
pub(super) use silences::{add, expire, preview, silence, silences};
pub(super) use status::{actions, document, poll, status};
