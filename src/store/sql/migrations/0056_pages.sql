-- What pages ask for.

-- How bad those alerts were that had ended before this was noted: the list of one severity left them out.
UPDATE alert SET urgency = CASE
        WHEN facts LIKE '%"severity":"critical","state":"%' THEN 4
        WHEN facts LIKE '%"severity":"error","state":"%' THEN 3
        WHEN facts LIKE '%"severity":"warning","state":"%' THEN 2
        WHEN facts LIKE '%"severity":"info","state":"%' THEN 1
    END
    WHERE urgency IS NULL;

-- The latest runs of a job, as the lists of jobs and of runs and the night ask for them, however many are remembered: they
-- were read and sorted, all of them.
CREATE INDEX instance_of_job_by_time ON instance (source, job, COALESCE(plan_time, start_time, changed_at), id);
