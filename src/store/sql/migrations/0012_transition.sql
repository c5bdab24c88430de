-- What changed when: the log of states that polls have seen, and of the polls themselves. From the two, what rules would
-- have told can be found out again.

-- One state of one run, as a poll first saw it.
CREATE TABLE transition (
    source     TEXT   NOT NULL,
    job        TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    -- The moment of the commit: an order that no clock can disturb.
    moment     BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    status     TEXT   NOT NULL,
    -- The source's own word; null where it is the same.
    raw_status TEXT,
    kind       TEXT   NOT NULL,
    plan_time  BIGINT,
    start_time BIGINT,
    end_time   BIGINT,
    PRIMARY KEY (source, job, id, moment)
);
CREATE INDEX transition_by_sight ON transition (seen_at);

-- What is known already is where the log begins.
INSERT INTO transition (source, job, id, moment, seen_at, status, raw_status, kind, plan_time, start_time, end_time)
    SELECT source, job, id, 0, changed_at, status, CASE raw_status WHEN status THEN NULL ELSE raw_status END, kind,
           plan_time, start_time, end_time
    FROM instance;

-- When each source was asked, and with what success.
CREATE TABLE poll (
    source    TEXT   NOT NULL,
    polled_at BIGINT NOT NULL,
    outcome   TEXT   NOT NULL,
    CONSTRAINT outcome_is_known CHECK (outcome IN ('whole', 'short', 'unread')),
    PRIMARY KEY (source, polled_at)
);
