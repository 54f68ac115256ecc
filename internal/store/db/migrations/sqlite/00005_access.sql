-- +goose Up
-- A session is a person logged in to the page. Only the hash of its secret is stored.
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    who        TEXT NOT NULL,
    scope      TEXT NOT NULL,
    via        TEXT NOT NULL, -- token or oidc
    token_id   TEXT NOT NULL, -- the token it came from; '' for none
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
) WITHOUT ROWID;

-- A login is one that was begun at an identity provider and has not come back.
CREATE TABLE logins (
    hash       BLOB PRIMARY KEY, -- of the state parameter
    nonce      TEXT NOT NULL,
    verifier   TEXT NOT NULL,
    return_to  TEXT NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    who     TEXT NOT NULL,
    via     TEXT NOT NULL,
    address TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    status  INTEGER NOT NULL
);

-- The token that began a run with the scope agent. Only it may go on with the run.
CREATE TABLE run_owners (
    run_id     TEXT PRIMARY KEY,
    token_id   TEXT NOT NULL,
    claimed_at BIGINT NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE run_owners;
DROP TABLE audit;
DROP TABLE logins;
DROP TABLE sessions;
