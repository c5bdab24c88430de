-- What is known of runs that were forgotten: one row for each job, day, type and status. The purge writes it in the
-- transaction that removes the runs, so each run is either in "instance" or counted here, and never both.
CREATE TABLE job_day (
    source         TEXT   NOT NULL,
    job            TEXT   NOT NULL,
    -- Days since 1970 in UTC, by when the run was due.
    day            BIGINT NOT NULL,
    kind           TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    runs           BIGINT NOT NULL,
    -- How many of them have a known duration, how long these took together, and the longest one, in milliseconds.
    timed          BIGINT NOT NULL,
    took_ms        BIGINT NOT NULL,
    longest_ms     BIGINT NOT NULL,
    -- The latest moment at which one of them was over for the first time: which periods lack it.
    settled_moment BIGINT NOT NULL,
    CONSTRAINT counts_are_counts CHECK (runs > 0 AND timed >= 0 AND timed <= runs AND took_ms >= 0 AND longest_ms >= 0),
    PRIMARY KEY (source, job, day, kind, status)
);
CREATE INDEX job_day_by_day ON job_day (day);
CREATE INDEX job_day_by_settling ON job_day (settled_moment);
