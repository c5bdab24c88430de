-- The delivery in whose thread another one is told: the run of that one has failed again.
ALTER TABLE delivery ADD COLUMN in_thread_of TEXT;
