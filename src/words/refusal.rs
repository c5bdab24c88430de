//! Why a delivery cannot be sent again, in words.

use super::saying::Saying;
use crate::model::{DeliveryState, NotRevived};

/// Why a delivery cannot be sent again.
pub fn not_revived(reason: &NotRevived) -> Saying {
    match reason {
        NotRevived::Unknown => Saying::of("refused.unknown-delivery"),
        NotRevived::Settled(state) => Saying::of("refused.settled").saying("state", delivery_state(*state)),
        NotRevived::UnderWay => Saying::of("refused.under-way"),
        NotRevived::FollowsDead(leader) => Saying::of("refused.follows-dead").with("leader", leader),
        NotRevived::NoReceiver(receiver) => Saying::of("refused.no-receiver").with("receiver", receiver),
    }
}

fn delivery_state(state: DeliveryState) -> Saying {
    match state {
        DeliveryState::Pending => Saying::of("web.delivery.pending"),
        DeliveryState::Delivered => Saying::of("web.delivery.delivered"),
        DeliveryState::Dead => Saying::of("web.delivery.dead"),
        DeliveryState::Merged => Saying::of("web.delivery.merged"),
    }
}
