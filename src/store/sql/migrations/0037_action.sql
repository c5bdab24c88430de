-- What people did: who, when, to what, and what they said to it.

CREATE TABLE action (
    at      BIGINT NOT NULL,
    -- Kind, subject and person: the same twice at one instant is once.
    id      TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    author  TEXT   NOT NULL,
    -- The id of the alert, delivery, silence or source; the kind says which of them it is.
    subject TEXT   NOT NULL,
    -- The alert that it concerns.
    alert   TEXT,
    reason  TEXT,
    CONSTRAINT kind_is_known CHECK (
        kind IN ('ack', 'unack', 'close', 'silence', 'expire', 'retry', 'drop', 'poll')),
    PRIMARY KEY (at, id)
);
CREATE INDEX action_by_alert ON action (alert, at, id) WHERE alert IS NOT NULL;
CREATE INDEX action_by_subject ON action (subject, at, id);

-- Who is on an alert already, and who has made or ended a silence, did so before there was a record.
INSERT INTO action (at, id, kind, author, subject, alert, reason)
    SELECT at, 'ack/' || alert || '/' || author, 'ack', author, alert, alert, reason FROM ack;
INSERT INTO action (at, id, kind, author, subject, alert, reason)
    SELECT created_at, 'silence/' || id || '/' || author, 'silence', author, '' || id, NULL, reason FROM silence;
INSERT INTO action (at, id, kind, author, subject, alert, reason)
    SELECT expired_at, 'expire/' || id || '/' || expired_by, 'expire', expired_by, '' || id, NULL, NULL
    FROM silence WHERE expired_at IS NOT NULL;

-- A token may be for alerts and jobs with certain labels alone: names with their values, as JSON. Null: it is for all.
ALTER TABLE access_token ADD COLUMN scope TEXT;
