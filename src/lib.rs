//! Nightbell: the on-call bell for scheduled data jobs.

pub mod alert;
pub mod clock;
pub mod http;
pub mod limits;
pub mod model;
pub mod notify;
pub mod rule;
pub mod schedule;
pub mod secret;
pub mod sign;
pub mod sim;
pub mod source;
pub mod store;
pub mod template;
pub mod worker;
pub mod yaml;
