-- The list of alerts of one severity, whether they fire or not: it went through all alerts to find a few. What fires has an
-- index of its own, which a database takes for the bare column alone.

CREATE INDEX alert_by_urgency ON alert (COALESCE(urgency, 0), created_at, id);
