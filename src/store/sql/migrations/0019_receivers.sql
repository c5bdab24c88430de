-- The receivers that there are, and those that were there lately, with whom to notify in their place: what is pending for
-- a receiver that is gone is dead, and its fallback is notified.
CREATE TABLE receiver (
    id             TEXT NOT NULL PRIMARY KEY,
    fallback       TEXT,
    fallback_after BIGINT,
    removed_at     BIGINT
);
-- When a delivery was given up without an attempt.
ALTER TABLE delivery ADD COLUMN dead_at BIGINT;
-- The kind of receiver that the content is rendered for: another kind under the same name takes another form.
ALTER TABLE delivery ADD COLUMN rendered_for TEXT;
