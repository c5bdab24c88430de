-- What is covered of a source, and how alerts end.

-- Everything that is known of what was read, beside `read_until`, as JSON: from when on, how far a catch-up has come, what
-- was listed then, and which rules lag behind. Null before the first poll of this version.
ALTER TABLE source ADD COLUMN coverage TEXT;

-- Since when no rule, source or `match` covers the alert: then it takes no step, is not repeated and inhibits nothing.
ALTER TABLE alert ADD COLUMN suspended_at BIGINT;
-- The one reason of its end; null while it fires, and of what an older version ended.
ALTER TABLE alert ADD COLUMN end_reason TEXT;

-- Deadlines and due times ask which runs were planned in a span.
CREATE INDEX instance_by_plan ON instance (source, COALESCE(plan_time, start_time));
