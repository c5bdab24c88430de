-- The lists of what was merged, of one receiver and of all, and of what is pending: each page is found where it stands. What is
-- merged grows with everything else; what is pending may be much while a receiver is away.

CREATE INDEX delivery_merged_by_receiver ON delivery (receiver, created_at, id) WHERE state = 'merged';
-- By an expression that these lists alone ask for: lanes, and the list of one receiver, have indexes of their own, which one
-- of everything would draw away.
CREATE INDEX delivery_merged_by_age ON delivery ((created_at + 0), id) WHERE state = 'merged';
CREATE INDEX delivery_pending_by_age ON delivery ((created_at + 0), id, receiver) WHERE state = 'pending';
