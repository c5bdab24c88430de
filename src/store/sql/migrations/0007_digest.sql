-- What digests need: an order of what was recorded that no clock can disturb, when each thing came into it, the times in
-- which sources were not read, and how far each digest has got.

-- The last moment: the wall clock's milliseconds at the latest commit, or one more than before where the clock stands
-- still or goes backwards. What belongs to a digest is decided by moments alone.
CREATE TABLE moment (
    id   BIGINT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL,
    CONSTRAINT there_is_one CHECK (id = 1)
);
INSERT INTO moment (id, last)
    SELECT 1, COALESCE(MAX(known.at), 0) FROM (
        SELECT MAX(changed_at) AS at FROM instance
        UNION ALL SELECT MAX(created_at) FROM alert
        UNION ALL SELECT MAX(polled_at) FROM source) AS known;

-- The moment at which the run was first seen to be over; it never changes, so that a run belongs to one digest.
ALTER TABLE instance ADD COLUMN settled_moment BIGINT;
-- The moment at which it was first seen to have failed, whatever became of it.
ALTER TABLE instance ADD COLUMN failed_moment BIGINT;
UPDATE instance SET settled_moment = changed_at WHERE ended = 1;
UPDATE instance SET failed_moment = changed_at WHERE status IN ('fail', 'running-exception', 'rejected');
CREATE INDEX instance_by_settling ON instance (settled_moment) WHERE settled_moment IS NOT NULL;
CREATE INDEX instance_by_failing ON instance (source, job) WHERE failed_moment IS NOT NULL;
CREATE INDEX instance_open ON instance (source, job) WHERE ended = 0;

-- The moment at which the alert was first recorded.
ALTER TABLE alert ADD COLUMN noted_moment BIGINT NOT NULL DEFAULT 0;
UPDATE alert SET noted_moment = created_at;
CREATE INDEX alert_by_noting ON alert (noted_moment);

-- A time in which a source was not read, or not as a whole.
CREATE TABLE gap (
    source        TEXT   NOT NULL,
    cause         TEXT   NOT NULL,
    reason        TEXT   NOT NULL,
    -- By the wall clock, for people.
    began_at      BIGINT NOT NULL,
    ended_at      BIGINT,
    -- By moments, to decide which digests tell of it.
    opened_moment BIGINT NOT NULL,
    closed_moment BIGINT,
    CONSTRAINT cause_is_known CHECK (cause IN ('silent', 'unreadable', 'incomplete', 'lost')),
    CONSTRAINT what_is_closed_has_an_end CHECK ((ended_at IS NULL) = (closed_moment IS NULL)),
    PRIMARY KEY (source, cause, opened_moment)
);
CREATE UNIQUE INDEX one_open_gap ON gap (source) WHERE closed_moment IS NULL;

-- How far each digest has got.
CREATE TABLE digest (
    name   TEXT   NOT NULL PRIMARY KEY,
    -- The last moment that the last one covered; the next one begins after it.
    moment BIGINT NOT NULL,
    -- When that was made, by the wall clock.
    made_at BIGINT NOT NULL,
    -- The due time it was made for.
    due_at BIGINT NOT NULL
);
