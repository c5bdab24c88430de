//! The pages: what people see. Rendered on the server, whole without a script; what is foreign text is escaped by the
//! engine, and no page holds a script or a style of its own.
//!
//! Templates are askama's: checked when the program is compiled, so that a name that is not there, or an unclosed tag, is
//! no page that fails at three in the morning; each value is escaped unless the template says otherwise, and none does.

mod act;
mod action;
mod alert;
mod alerts;
mod assets;
mod deliveries;
mod digests;
mod explain;
mod fault;
mod frame;
mod job;
mod lane;
mod link;
mod night;
mod prefer;
mod sign_in;
mod silences;
mod status;
mod svg;

pub(super) use act::{ack, close, drop_delivery, poll, retry, unack};
pub(super) use alert::alert;
pub(super) use alerts::alerts;
pub(super) use assets::{icon, script, style};
pub(super) use deliveries::{deliveries, delivery};
pub(super) use digests::{digest, digest_html, digests};
pub(super) use explain::explain;
pub(super) use fault::page as fault_page;
pub(super) use frame::encoded;
pub(super) use job::{job, jobs};
pub(super) use link::{follow, link};
pub(super) use night::{night, wall};
pub(super) use prefer::prefer;
pub(super) use sign_in::{begin, sign_in, sign_out};
pub(super) use silences::{add, expire, silences};
pub(super) use status::status;
