-- +goose Up
-- A session is a person logged in to the page. Only the hash of its secret is stored.
CREATE TABLE sessions (
    hash       BYTEA PRIMARY KEY,
    who        TEXT COLLATE "C" NOT NULL,
    scope      TEXT COLLATE "C" NOT NULL,
    via        TEXT COLLATE "C" NOT NULL, -- token or oidc
    token_id   TEXT COLLATE "C" NOT NULL, -- the token it came from; '' for none
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);

-- A login is one that was begun at an identity provider and has not come back.
CREATE TABLE logins (
    hash       BYTEA PRIMARY KEY, -- of the state parameter
    nonce      TEXT COLLATE "C" NOT NULL,
    verifier   TEXT COLLATE "C" NOT NULL,
    return_to  TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE audit (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    who     TEXT COLLATE "C" NOT NULL,
    via     TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    action  TEXT COLLATE "C" NOT NULL,
    target  TEXT COLLATE "C" NOT NULL,
    status  INTEGER NOT NULL
);

-- The token that began a run with the scope agent. Only it may go on with the run.
CREATE TABLE run_owners (
    run_id     TEXT COLLATE "C" PRIMARY KEY,
    token_id   TEXT COLLATE "C" NOT NULL,
    claimed_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE run_owners;
DROP TABLE audit;
DROP TABLE logins;
DROP TABLE sessions;
