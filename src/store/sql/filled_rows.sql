-- The rows of a store in which every table that grows holds 300,000, as every database understands it. `filled` has a number and
-- an age for each. Few of them are open. Beside attempts, which are asked for by their age, they are newer than what is asked
-- about: nothing of them is forgotten.
INSERT INTO source (id, generation, known_rules, polled_at) VALUES ('warehouse', 1, '[]', 1795224000000) ON CONFLICT DO NOTHING;
-- It was polled after all of that: what has ended lately, which a poll reads when it knows nothing yet, is none of it.
UPDATE source SET polled_at = 1798680000000, read_until = 1798680000000 WHERE id = 'warehouse';
INSERT INTO instance (source, job, id, status, raw_status, kind, plan_time, start_time, end_time, ended, changed_at, settled_moment)
  SELECT 'warehouse', job, 'r' || n, 'success', 'success', 'scheduled', at, at, at + 60000, 1, at, 1000000 + n FROM filled;
INSERT INTO transition (source, job, id, moment, seen_at, status, kind)
  SELECT 'warehouse', job, 'r' || n, 1000000 + n, at, 'success', 'scheduled' FROM filled;
INSERT INTO alert (id, source, job, instance, rule, state, facts, resolves_on_end, receivers, created_at, ended_at, noted_moment)
  SELECT 'a' || n, 'warehouse', job, 'r' || n, 'failed', CASE WHEN n % 1000 = 0 THEN 'firing' ELSE 'resolved' END,
    (SELECT facts FROM alert WHERE state = 'firing' LIMIT 1), 0, '[]', at, CASE WHEN n % 1000 > 0 THEN at END, n FROM filled;
INSERT INTO delivery (id, alert, rule, receiver, kind, state, attempts, done, created_at, next_attempt_at, delivered_at, dead_at,
    content, group_key, group_interval, group_told_at, merged_into, follows)
  SELECT 'filled' || n, 'a' || n, 'failed', CASE WHEN n % 2 = 0 THEN 'hook' ELSE 'mail' END, 'alert.firing', state, 1, '[]', at,
    CASE WHEN state = 'pending' THEN 1795224000000 END, CASE WHEN state = 'delivered' THEN at END,
    CASE WHEN state = 'dead' THEN at END, (SELECT content FROM delivery LIMIT 1), CASE WHEN n % 3 = 0 THEN 'g' || (n % 50) END,
    CASE WHEN n % 3 = 0 THEN 60000 END, CASE WHEN n % 3 = 0 AND n % 2000 > 0 THEN at END,
    CASE WHEN state = 'merged' THEN 'filled' || (n - 5) END, CASE WHEN n % 7 = 0 THEN 'filled' || (n - 1) END FROM filled;
INSERT INTO attempt (delivery, number, started_at, ended_at, outcome)
  SELECT 'filled' || n, 1, 1795224000000 - n * 9000, 1795224000000 - n * 9000, 'delivered' FROM filled;
INSERT INTO poll (source, polled_at, outcome) SELECT 'warehouse', at, 'whole' FROM filled;
INSERT INTO job_day (source, job, day, kind, status, runs, timed, took_ms, longest_ms, settled_moment)
  SELECT 'warehouse', job, 21000 + n / 3000, 'scheduled', 'success', 1, 1, 60000, 60000, n FROM filled;
INSERT INTO escalation (alert, step, receiver, delivery, note, taken_at, ended)
  SELECT 'a' || n, 2, 'hook', 'filled' || n, '{}', at, CASE WHEN n % 1000 = 0 THEN 0 ELSE 1 END FROM filled;
INSERT INTO action (at, id, kind, author, subject, alert) SELECT at, 'ack/a' || n || '/kim', 'ack', 'kim', 'a' || n, 'a' || n FROM filled;
