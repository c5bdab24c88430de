-- Deliveries that are told with others of their group: which group that is, how often it may be told something, and when it
-- was.

-- Names the group; set on what waits to be told with it, and on what tells it.
ALTER TABLE delivery ADD COLUMN group_key TEXT;
-- How far apart two messages of the group are at least, and after how long what still fires is told again: milliseconds.
ALTER TABLE delivery ADD COLUMN group_interval BIGINT;
ALTER TABLE delivery ADD COLUMN group_repeat BIGINT;
-- When it was made known that this delivery tells the group; until then it waits for others, and no lane takes it.
ALTER TABLE delivery ADD COLUMN group_told_at BIGINT;
CREATE INDEX delivery_waiting ON delivery (receiver, group_key, next_attempt_at)
    WHERE group_key IS NOT NULL AND group_told_at IS NULL AND state = 'pending';
CREATE INDEX delivery_group ON delivery (receiver, group_key, group_told_at) WHERE group_told_at IS NOT NULL;
