-- What a digest says, whatever form it has: it is rendered again from this where its receiver becomes one of another kind.
CREATE TABLE digest_facts (
    delivery TEXT NOT NULL PRIMARY KEY REFERENCES delivery (id) ON DELETE CASCADE,
    facts    TEXT NOT NULL
);
