-- Since when that holds which a delivery is the first to tell of: how long people did not know.
ALTER TABLE delivery ADD COLUMN since BIGINT;
