-- What a delivery is to others: how urgent it is, which message tells it with others, which it stands in for, and how
-- the channel calls it.

-- 1 to 4, info to critical; 0 is what tells of no alert. The worst goes first.
ALTER TABLE delivery ADD COLUMN urgency BIGINT NOT NULL DEFAULT 0;
-- The delivery that tells it together with others.
ALTER TABLE delivery ADD COLUMN merged_into TEXT;
-- The delivery whose place it takes, because that one did not arrive.
ALTER TABLE delivery ADD COLUMN stands_in_for TEXT;
-- The channel's own name of the message, where it gives one and an answer to it can be posted.
ALTER TABLE delivery ADD COLUMN reference TEXT;

-- The worst goes first; within one urgency the longest due.
DROP INDEX delivery_queue;
CREATE INDEX delivery_queue ON delivery (receiver, urgency DESC, next_attempt_at, created_at, id) WHERE state = 'pending';
CREATE INDEX delivery_members ON delivery (merged_into) WHERE merged_into IS NOT NULL;
