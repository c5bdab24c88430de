-- When somebody gave a delivery up: a dead letter that is settled is no dead letter to be looked at any more.
ALTER TABLE delivery ADD COLUMN dropped_at BIGINT;
DROP INDEX delivery_dead_by_age;
CREATE INDEX delivery_dead_by_age ON delivery (created_at, id) WHERE state = 'dead' AND dropped_at IS NULL;
CREATE INDEX delivery_dead_letter ON delivery (receiver) WHERE state = 'dead' AND dropped_at IS NULL;
