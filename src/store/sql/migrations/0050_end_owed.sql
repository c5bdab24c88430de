-- Ends that a person said beside a running process, for receivers whose settings could not be read there: whoever runs has the
-- last good configuration, and notifies them.
CREATE TABLE end_owed (
    alert    TEXT NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
    receiver TEXT NOT NULL,
    -- The message that told the receiver of the beginning.
    delivery TEXT NOT NULL,
    PRIMARY KEY (alert, receiver)
);
