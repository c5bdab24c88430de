-- Indexes for the lists of the page and the API, so that a page of a list takes no longer the more is stored.

CREATE INDEX alert_firing_by_age ON alert (created_at, id) WHERE state = 'firing';
CREATE INDEX alert_by_rule ON alert (rule, created_at, id);
CREATE INDEX alert_by_job ON alert (job, created_at, id);
CREATE INDEX alert_by_source ON alert (source, created_at, id);
-- With the state before the age: what is pending is found by this index, too, and must not be looked for among all.
CREATE INDEX delivery_by_receiver ON delivery (receiver, state, created_at, id);
CREATE INDEX delivery_dead_by_age ON delivery (created_at, id) WHERE state = 'dead';
CREATE INDEX delivery_digests ON delivery (created_at, id) WHERE kind = 'digest';
