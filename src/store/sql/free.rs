//! Which rows of the outbox a lane may take: what the statements about a queue have in common.
//!
//! Each says something of a row of `delivery` that the statement calls `queued`.

/// Which deliveries of `$1` are free: pending, not held, and with no predecessor that is still pending.
pub(super) const FREE: &str = "queued.receiver = $1 AND queued.state = 'pending' AND queued.claimed_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM delivery AS leader WHERE leader.id = queued.follows AND leader.state = 'pending')";

/// Which of them wait for no others of their group.
pub(super) const TOLD: &str = "(queued.group_key IS NULL OR queued.group_told_at IS NOT NULL)";
