-- Which configuration was in force when something was decided.

-- One row: how many configurations have been in force so far, and by what the present one is known again.
CREATE TABLE generation (
    id          BIGINT NOT NULL PRIMARY KEY,
    number      BIGINT NOT NULL,
    fingerprint TEXT   NOT NULL,
    since       BIGINT NOT NULL,
    CONSTRAINT there_is_one CHECK (id = 1),
    CONSTRAINT they_are_counted_from_one CHECK (number >= 1)
);
-- The one under which the alert began; null in what was stored before they were counted.
ALTER TABLE alert ADD COLUMN generation BIGINT;
