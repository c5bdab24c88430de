//! Huawei Cloud DataArts Factory.

mod paging;

/// Settings.
#[derive(Debug, Clone)]
pub struct Settings {}
