-- Alerts that still fire a while after they were told, and whom they went to then.

CREATE TABLE escalation (
    alert    TEXT   NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
    -- The step of the rule's "notify"; the first telling is step 1.
    step     BIGINT NOT NULL,
    receiver TEXT   NOT NULL,
    delivery TEXT   NOT NULL,
    -- What its message says of it, as JSON.
    note     TEXT   NOT NULL,
    taken_at BIGINT NOT NULL,
    -- Whether the receiver was told of the alert's end, too, or wants no word of it.
    ended    BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT the_first_step_is_none CHECK (step >= 2),
    CONSTRAINT ended_is_yes_or_no CHECK (ended IN (0, 1)),
    PRIMARY KEY (alert, step, receiver)
);
-- Those whose end is still to be told: what fires, and little else.
CREATE INDEX escalation_open ON escalation (alert) WHERE ended = 0;
CREATE INDEX escalation_by_delivery ON escalation (delivery);
