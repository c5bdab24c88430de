-- Indexes for what is asked again and again, so that no answer takes longer the more is stored.

-- What fires of a source, the oldest first: every poll asks, and holds back by it.
CREATE INDEX alert_firing ON alert (source, created_at, id) WHERE state = 'firing';

-- What is owed of a group: what waits in it, in the order in which it is told, and whether anything is owed to it at all.
DROP INDEX delivery_waiting;
CREATE INDEX delivery_grouped ON delivery (receiver, group_key, group_told_at, urgency DESC, next_attempt_at, created_at, id)
    WHERE state = 'pending' AND group_key IS NOT NULL;

-- Two indexes of one meaning.
DROP INDEX delivery_members;

-- The attempts of the last hours.
CREATE INDEX attempt_by_start ON attempt (started_at);
