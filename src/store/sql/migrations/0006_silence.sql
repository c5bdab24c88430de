-- Ways not to be told, made by hand, and who is on it.

CREATE TABLE silence (
    id         BIGINT NOT NULL PRIMARY KEY,
    -- Which alerts: sources, patterns of job names, rules, severities, as JSON.
    concerns   TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    author     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    -- Set when somebody ended it early.
    expired_at BIGINT,
    expired_by TEXT,
    CONSTRAINT silences_are_counted_from_one CHECK (id >= 1),
    CONSTRAINT it_ends_after_it_begins CHECK (ends_at > created_at),
    CONSTRAINT it_has_a_reason CHECK (reason <> ''),
    CONSTRAINT who_expired_it_is_known CHECK ((expired_at IS NULL) = (expired_by IS NULL))
);
-- Every poll asks for those that hold, which are few.
CREATE INDEX silence_that_may_hold ON silence (ends_at) WHERE expired_at IS NULL;
-- What a silence holds back, and what it did.
CREATE INDEX alert_suppressed ON alert (suppressed_by) WHERE suppressed_by IS NOT NULL;

CREATE TABLE ack (
    alert  TEXT   NOT NULL PRIMARY KEY REFERENCES alert (id) ON DELETE CASCADE,
    author TEXT   NOT NULL,
    reason TEXT,
    at     BIGINT NOT NULL
);
