//! What a statement selects of a delivery that somebody wants sent again.

/// What is known of a delivery that may be sent again: id, state, the same of what it follows, the receiver, whether
/// that is gone, and whether an attempt is under way. A store whose receivers nobody has noted yet knows of none that is gone.
pub(super) const CANDIDATE: &str = "one.id, one.state, leader.id, leader.state, one.receiver, \
     CASE WHEN EXISTS (SELECT 1 FROM receiver) AND NOT EXISTS (SELECT 1 FROM receiver \
       WHERE receiver.id = one.receiver AND receiver.removed_at IS NULL) THEN 1 ELSE 0 END, CASE WHEN one.claimed_at IS NULL THEN 0 ELSE 1 END";
