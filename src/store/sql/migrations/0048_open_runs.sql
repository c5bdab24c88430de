-- The open runs of a source are few, whatever is stored. An index that begins with the source alone looks no better to a
-- planner than the one of all runs by their due times, and SQLite, which keeps no statistics here, chose that one.
DROP INDEX instance_open;
CREATE INDEX instance_open ON instance (ended, source, job) WHERE ended = 0;
