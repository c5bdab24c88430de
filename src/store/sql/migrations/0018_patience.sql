-- A delivery is given up after a day in which it could be attempted: how much of that is spent, in milliseconds. Up to now
-- the day began when the delivery was made.
ALTER TABLE delivery ADD COLUMN patience_spent BIGINT NOT NULL DEFAULT 0;
UPDATE delivery SET patience_spent = next_attempt_at - COALESCE(revived_at, group_told_at, created_at)
    WHERE state = 'pending' AND attempts > 0
      AND next_attempt_at - COALESCE(revived_at, group_told_at, created_at) BETWEEN 1 AND 86400000;

-- What was merged into a message that was merged itself is told by the last of them.
UPDATE delivery SET merged_into = (SELECT whole.merged_into FROM delivery AS whole WHERE whole.id = delivery.merged_into)
    WHERE merged_into IN (SELECT whole.id FROM delivery AS whole WHERE whole.state = 'merged');
UPDATE delivery SET merged_into = (SELECT whole.merged_into FROM delivery AS whole WHERE whole.id = delivery.merged_into)
    WHERE merged_into IN (SELECT whole.id FROM delivery AS whole WHERE whole.state = 'merged');
UPDATE delivery SET follows = (SELECT leader.merged_into FROM delivery AS leader WHERE leader.id = delivery.follows)
    WHERE state = 'pending' AND follows IN (SELECT leader.id FROM delivery AS leader WHERE leader.state = 'merged');
