-- The list of a receiver's deliveries has an index that no statement takes for another purpose: it holds an expression that
-- only this list asks for. What is pending or dead has indexes of its own, which a wider one drew away.

DROP INDEX delivery_by_receiver;
CREATE INDEX delivery_by_receiver ON delivery (COALESCE(receiver, ''), created_at, id);
