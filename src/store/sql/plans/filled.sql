-- A store in which every table that grows holds 300,000 rows, few of which are open.
SET maintenance_work_mem = '256MB';
CREATE TEMP TABLE later AS SELECT indexname, indexdef FROM pg_indexes
  WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint);
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT indexname FROM later LOOP EXECUTE 'DROP INDEX ' || one; END LOOP;
  FOR one IN SELECT conrelid::regclass || ' DROP CONSTRAINT ' || conname FROM pg_constraint WHERE contype = 'f' LOOP
    EXECUTE 'ALTER TABLE ' || one;
  END LOOP;
  FOREACH one IN ARRAY '{instance, transition, alert, delivery, attempt, poll, job_day, escalation, action}'::text[] LOOP
    EXECUTE 'ALTER TABLE ' || one || ' SET UNLOGGED';
  END LOOP;
END $$;
INSERT INTO source (id, generation, known_rules, polled_at) VALUES ('warehouse', 1, '[]', 1795224000000) ON CONFLICT DO NOTHING;
INSERT INTO instance (source, job, id, status, raw_status, kind, plan_time, start_time, end_time, ended, changed_at, settled_moment)
  SELECT 'warehouse', 'job' || n % 3000, n, 'success', 'success', 'scheduled', 1795224000000 - n * 9000, 1795224000000 - n * 9000,
    1795224000000 - n * 9000 + 60000, 1, 1795224000000 - n * 9000, 1000000 + n FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO transition (source, job, id, moment, seen_at, status, kind)
  SELECT source, job, id, settled_moment, changed_at, status, kind FROM instance WHERE job LIKE 'job%';
INSERT INTO alert (id, source, job, instance, rule, state, facts, resolves_on_end, receivers, created_at, ended_at, noted_moment)
  SELECT 'a' || n, 'warehouse', 'job' || n % 3000, n, 'failed', CASE WHEN n % 1000 = 0 THEN 'firing' ELSE 'resolved' END, '{}', 0, '[]', 1795224000000 - n * 9000,
    CASE WHEN n % 1000 = 0 THEN NULL ELSE 1795224000000 - n * 9000 END, n FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO delivery (id, alert, rule, receiver, kind, state, attempts, done, created_at, next_attempt_at, delivered_at, content, group_key, group_interval, group_told_at)
  SELECT 'filled' || n, 'a' || n, 'failed', CASE WHEN n % 2 = 0 THEN 'hook' ELSE 'mail' END, 'alert.firing', CASE WHEN n % 1000 < 2 THEN 'pending' ELSE 'delivered' END, 1, '[]',
    1795224000000 - n * 9000, CASE WHEN n % 1000 < 2 THEN 1795224000000 END, CASE WHEN n % 1000 < 2 THEN NULL ELSE 1795224000000 END, '{}',
    CASE WHEN n % 3 = 0 THEN 'g' || n % 50 END, 60000, CASE WHEN n % 3 = 0 AND n % 2000 > 0 THEN 1795224000000 - n * 9000 END
  FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO attempt (delivery, number, started_at, ended_at, outcome)
  SELECT id, 1, created_at, created_at, 'delivered' FROM delivery WHERE id LIKE 'filled%';
INSERT INTO poll (source, polled_at, outcome) SELECT 'warehouse', n * 60000, 'whole' FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO job_day (source, job, day, kind, status, runs, timed, took_ms, longest_ms, settled_moment)
  SELECT 'warehouse', 'job' || n % 3000, 20000 + n / 3000, 'scheduled', 'success', 1, 1, 60000, 60000, n
  FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO escalation (alert, step, receiver, delivery, note, taken_at, ended)
  SELECT 'a' || n, 2, 'hook', 'filled' || n, '{}', n, CASE WHEN n % 1000 = 0 THEN 0 ELSE 1 END
  FROM generate_series(1::bigint, 300000) AS n;
INSERT INTO action (at, id, kind, author, subject, alert)
  SELECT n * 1000, 'ack/a' || n || '/kim', 'ack', 'kim', 'a' || n, 'a' || n FROM generate_series(1::bigint, 300000) AS n;
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT indexdef FROM later LOOP EXECUTE one; END LOOP;
END $$;
ANALYZE;
