//! Huawei Cloud DataArts Factory.

/// Settings.
#[derive(Debug, Clone)]
pub struct Settings {}
