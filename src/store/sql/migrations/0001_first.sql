-- The first schema. Instants are milliseconds since 1970 in UTC. Only BIGINT and TEXT are used, and nothing that
-- SQLite and PostgreSQL do not both understand. The constraints state what the code relies on.

-- What is remembered of a source as a whole: one small row, all that an uneventful poll writes.
CREATE TABLE source (
    id                TEXT   NOT NULL PRIMARY KEY,
    -- Counts the committed polls; a commit that rests on another generation is refused.
    generation        BIGINT NOT NULL,
    -- Up to when the source has been read completely.
    read_until        BIGINT,
    -- Rules that have looked at this source before: a JSON list of rule ids.
    known_rules       TEXT   NOT NULL,
    polled_at         BIGINT NOT NULL,
    unreadable_since  BIGINT,
    unreadable_reason TEXT,
    -- Why the last listing was not whole.
    incomplete        TEXT,
    CONSTRAINT generations_grow_from_zero CHECK (generation >= 0),
    CONSTRAINT unreadable_has_a_reason CHECK ((unreadable_since IS NULL) = (unreadable_reason IS NULL)),
    CONSTRAINT only_a_read_source_has_a_cursor CHECK (generation > 0 OR read_until IS NULL)
);

-- The last snapshot of each instance.
CREATE TABLE instance (
    source     TEXT   NOT NULL,
    job        TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    job_id     TEXT,
    name       TEXT,
    status     TEXT   NOT NULL,
    raw_status TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    plan_time  BIGINT,
    start_time BIGINT,
    end_time   BIGINT,
    -- Whether the run is over: what is not is asked after again.
    ended      BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    CONSTRAINT ended_is_yes_or_no CHECK (ended IN (0, 1)),
    PRIMARY KEY (source, job, id)
);

-- One row per episode.
CREATE TABLE alert (
    id              TEXT   NOT NULL PRIMARY KEY,
    source          TEXT   NOT NULL,
    job             TEXT   NOT NULL,
    instance        TEXT   NOT NULL,
    rule            TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    -- What messages say of it, as JSON.
    facts           TEXT   NOT NULL,
    resolves_on_end BIGINT NOT NULL,
    -- Who was told of the firing: a JSON list of receiver ids.
    receivers       TEXT   NOT NULL,
    suppressed_by   TEXT,
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    CONSTRAINT state_is_known CHECK (state IN ('firing', 'resolved')),
    CONSTRAINT resolved_has_an_end CHECK ((state = 'resolved') = (ended_at IS NOT NULL)),
    CONSTRAINT resolves_on_end_is_yes_or_no CHECK (resolves_on_end IN (0, 1))
);
-- A condition cannot fire twice at once for one instance.
CREATE UNIQUE INDEX one_firing_alert ON alert (source, job, instance, rule) WHERE state = 'firing';
CREATE INDEX alert_by_age ON alert (created_at, id);
CREATE INDEX alert_by_end ON alert (ended_at) WHERE state = 'resolved';

-- The outbox: one message owed to one receiver.
CREATE TABLE delivery (
    id              TEXT   NOT NULL PRIMARY KEY,
    alert           TEXT,
    rule            TEXT,
    receiver        TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    -- The delivery it must not overtake.
    follows         TEXT,
    state           TEXT   NOT NULL,
    -- Attempts that are in the attempt log.
    attempts        BIGINT NOT NULL,
    -- Recipients that have it already: a JSON list.
    done            TEXT   NOT NULL,
    last_status     TEXT,
    last_error      TEXT,
    created_at      BIGINT NOT NULL,
    next_attempt_at BIGINT,
    -- Set while a lane holds it. A claim spares double work; that nothing is lost does not depend on it.
    claimed_at      BIGINT,
    delivered_at    BIGINT,
    -- The rendered parts, as JSON. The longest column stands last, so that reading the others need not walk over it.
    content         TEXT   NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('pending', 'delivered', 'dead', 'merged')),
    CONSTRAINT pending_is_scheduled CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT only_pending_is_claimed CHECK (claimed_at IS NULL OR state = 'pending'),
    CONSTRAINT delivered_has_a_time CHECK ((state = 'delivered') = (delivered_at IS NOT NULL)),
    CONSTRAINT attempts_are_counted_from_zero CHECK (attempts >= 0)
);
-- Each receiver's queue, in the order in which it is worked off. Claims are left out of it: a lane holds a few hundred
-- at most, and this way claiming rewrites no index.
CREATE INDEX delivery_queue ON delivery (receiver, next_attempt_at, created_at, id) WHERE state = 'pending';
CREATE INDEX delivery_followers ON delivery (follows) WHERE follows IS NOT NULL;
CREATE INDEX delivery_by_alert ON delivery (alert) WHERE alert IS NOT NULL;
CREATE INDEX delivery_by_age ON delivery (created_at, id);

-- The log of attempts.
CREATE TABLE attempt (
    delivery   TEXT   NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    outcome    TEXT   NOT NULL,
    status     TEXT,
    error      TEXT,
    CONSTRAINT attempts_are_counted_from_one CHECK (number >= 1),
    CONSTRAINT outcome_is_known CHECK (
        outcome IN ('delivered', 'retry', 'throttled', 'unauthorized', 'unknown', 'rejected')),
    PRIMARY KEY (delivery, number)
);
