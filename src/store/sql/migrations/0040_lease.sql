-- Several replicas on one database: which of them may run which loop, and who is there. Instants of this file are the
-- database's own clock, in milliseconds since 1970.

-- The right to run one loop. A row that is not there is free.
CREATE TABLE lease (
    name          TEXT   NOT NULL PRIMARY KEY,
    -- Grows with each taking: what was begun under an older one is refused.
    token         BIGINT NOT NULL,
    -- The replica; null once it was given up.
    holder        TEXT,
    -- The configuration by which the holder runs the loop.
    configuration BIGINT NOT NULL,
    until         BIGINT NOT NULL,
    taken_at      BIGINT NOT NULL,
    -- How the loop fares, in words.
    status        TEXT,
    CONSTRAINT tokens_are_counted_from_one CHECK (token >= 1),
    -- A key of name and token: a transaction that has proven its token keeps others from changing that, and not the
    -- holder from renewing.
    CONSTRAINT one_token_at_a_time UNIQUE (name, token)
);

-- The replicas that are there, or were there lately.
CREATE TABLE replica (
    id            TEXT   NOT NULL PRIMARY KEY,
    host          TEXT   NOT NULL,
    pid           BIGINT NOT NULL,
    version       TEXT   NOT NULL,
    started_at    BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    -- How far its own clock is ahead of the database's, in milliseconds.
    clock_ahead   BIGINT NOT NULL,
    -- The configuration that it has, and by what that is known again.
    configuration BIGINT NOT NULL,
    fingerprint   TEXT   NOT NULL
);

-- The configurations that have been in force: one that is older than the last is not put in force by a restart.
CREATE TABLE configuration (
    fingerprint TEXT   NOT NULL PRIMARY KEY,
    number      BIGINT NOT NULL
);
INSERT INTO configuration (fingerprint, number) SELECT fingerprint, number FROM generation;

-- Under which token of its lane's lease a delivery is claimed.
ALTER TABLE delivery ADD COLUMN claim_token BIGINT;
-- The receivers that have asked to be left alone, and until when: whoever delivers to them next keeps to it.
CREATE TABLE pause (
    receiver TEXT   NOT NULL PRIMARY KEY,
    until    BIGINT NOT NULL
);
