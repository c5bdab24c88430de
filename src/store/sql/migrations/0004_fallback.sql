-- What becomes of a delivery that does not arrive: somebody else is told in its place, or it is sent again by hand.

-- The delivery that tells the fallback receiver of it; set once.
ALTER TABLE delivery ADD COLUMN fallback TEXT;
-- When somebody had it sent again after it was dead, and how many attempts had been made by then.
ALTER TABLE delivery ADD COLUMN revived_at BIGINT;
ALTER TABLE delivery ADD COLUMN revived_attempts BIGINT;
-- The dead letters of a receiver, and what stands in for others: few rows among many.
CREATE INDEX delivery_dead ON delivery (receiver, created_at) WHERE state = 'dead';
CREATE INDEX delivery_stand_ins ON delivery (receiver) WHERE stands_in_for IS NOT NULL;
-- What one message tells together.
CREATE INDEX delivery_merged ON delivery (merged_into) WHERE merged_into IS NOT NULL;
