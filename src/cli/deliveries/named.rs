//! The delivery that somebody names by its id, or by how that begins. Reads the store.

use super::super::ground::Failure;
use crate::model::DeliveryId;
use crate::store::{Deliveries as _, SqlStore};

/// The delivery whose id is, or begins with, `name`; of one that is not known the name itself, which its caller finds to be none.
pub(super) async fn delivery_named(store: &SqlStore, name: &str) -> Result<DeliveryId, Failure> {
    let mut found = store.deliveries_named(&name.to_ascii_lowercase()).await?;
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => Ok(id),
        (Some(_), false) => {
            Err(Failure::Usage(format!("several deliveries' ids begin with {name:?}; write more of it")))
        }
        (None, _) => Ok(DeliveryId::new(name)),
    }
}
