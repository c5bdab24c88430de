-- A digest asks for the failing nodes of what is still broken, also where the alert that knows them is over.
CREATE INDEX alert_by_subject ON alert (source, job, instance);
