-- A receiver's health is judged over messages: one that is rejected by itself is that message's trouble.

ALTER TABLE trouble RENAME TO receiver_health;
-- Messages rejected in a row, and whether anything else failed since the last success.
ALTER TABLE receiver_health ADD COLUMN rejected BIGINT NOT NULL DEFAULT 0;
ALTER TABLE receiver_health ADD COLUMN failing BIGINT NOT NULL DEFAULT 1;
