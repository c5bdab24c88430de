-- Who may look and act over the web. Of tokens and sessions only the SHA-256 is kept: who reads the store learns none.

CREATE TABLE access_token (
    -- SHA-256 of the token, in hexadecimal digits; its first eight name it for people.
    hash         TEXT   NOT NULL PRIMARY KEY,
    -- Who it is for: what they do is recorded under this name.
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    -- Null: it holds until it is revoked.
    expires_at   BIGINT,
    revoked_at   BIGINT,
    CONSTRAINT role_is_known CHECK (role IN ('viewer', 'responder')),
    CONSTRAINT it_expires_after_it_begins CHECK (expires_at IS NULL OR expires_at > created_at)
);

CREATE TABLE access_session (
    -- SHA-256 of the session's id.
    hash       TEXT   NOT NULL PRIMARY KEY,
    -- The token that somebody signed in with: a session ends with it.
    token      TEXT   NOT NULL REFERENCES access_token (hash) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT it_expires_after_it_begins CHECK (expires_at > created_at)
);
CREATE INDEX access_session_by_end ON access_session (expires_at);
CREATE INDEX access_session_by_token ON access_session (token);
