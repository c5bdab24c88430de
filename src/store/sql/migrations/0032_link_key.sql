-- The key that links in messages are signed with: made once, and shared by all who work on the store.
CREATE TABLE link_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL,
    CONSTRAINT there_is_one CHECK (id = 1)
);
