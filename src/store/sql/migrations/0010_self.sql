-- What Nightbell needs to watch itself.

-- Receivers that were not told since their last success: when the first attempt failed, whether waiting will not help,
-- and why the last one failed. A receiver that works has no row, so that what arrives writes nothing here.
CREATE TABLE trouble (
    receiver TEXT   NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL,
    lasting  BIGINT NOT NULL,
    error    TEXT   NOT NULL,
    CONSTRAINT lasting_is_yes_or_no CHECK (lasting IN (0, 1))
);

-- Its alerts are looked for every few seconds, and are few among many.
CREATE INDEX alert_firing_by_rule ON alert (rule) WHERE state = 'firing';
CREATE INDEX gap_by_closing ON gap (closed_moment);

-- When it was last proved that the store takes a write.
CREATE TABLE pulse (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    CONSTRAINT there_is_one CHECK (id = 1)
);
