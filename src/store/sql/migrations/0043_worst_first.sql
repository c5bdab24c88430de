-- How bad an alert is, beside the facts that say so in words: lists begin with the worst of what fires, and counts by
-- severity read no facts.
ALTER TABLE alert ADD COLUMN urgency BIGINT;
UPDATE alert SET urgency = CASE
        WHEN facts LIKE '%"severity":"critical","state":"%' THEN 4
        WHEN facts LIKE '%"severity":"error","state":"%' THEN 3
        WHEN facts LIKE '%"severity":"warning","state":"%' THEN 2
        WHEN facts LIKE '%"severity":"info","state":"%' THEN 1
    END
    WHERE state = 'firing';
CREATE INDEX alert_firing_by_urgency ON alert (urgency, created_at, id) WHERE state = 'firing';
CREATE INDEX alert_firing_counted ON alert (rule, urgency) WHERE state = 'firing';
CREATE INDEX alert_suspended ON alert (created_at, id) WHERE state = 'firing' AND suspended_at IS NOT NULL;
