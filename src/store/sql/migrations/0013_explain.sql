-- What is asked of the past by people: which alerts there were about one run, or about one job.
CREATE INDEX alert_by_subject ON alert (source, job, instance);
