-- +goose Up
-- The processes that take queued runs, as they last described themselves. A name belongs to one id, that of
-- a state directory, until lease_until.
CREATE TABLE workers (
    name           TEXT COLLATE "C" PRIMARY KEY,
    id             TEXT COLLATE "C" NOT NULL,
    host           TEXT COLLATE "C" NOT NULL,
    doc            TEXT COLLATE "C" NOT NULL,             -- the rest of what it said, as JSON
    polls          TEXT COLLATE "C" NOT NULL DEFAULT '[]', -- its last requests that were answered with claims, as JSON
    first_at       BIGINT NOT NULL,
    asked_at       BIGINT NOT NULL,
    lease_until    BIGINT NOT NULL,
    leaving        BIGINT NOT NULL DEFAULT 0,
    drained_at     BIGINT,                    -- NULL while it gets runs
    drained_by     TEXT COLLATE "C" NOT NULL DEFAULT '',
    drained_why    TEXT COLLATE "C" NOT NULL DEFAULT '',
    drain_deadline BIGINT                     -- when its agents are asked to stop; NULL for never
);
CREATE INDEX workers_asked ON workers (asked_at);

-- Queued runs that were given to a worker and have not started. The run may be deleted meanwhile.
CREATE TABLE claims (
    id       TEXT COLLATE "C" PRIMARY KEY,
    run_id   TEXT COLLATE "C" NOT NULL UNIQUE,
    attempt  BIGINT NOT NULL,
    worker   TEXT COLLATE "C" NOT NULL,
    poll     TEXT COLLATE "C" NOT NULL,   -- the request that it answered
    work     TEXT COLLATE "C" NOT NULL,   -- the version of the definition, or the job of a command without one
    given_at BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    avoided  TEXT COLLATE "C" NOT NULL,   -- hosts, as JSON
    doc      TEXT COLLATE "C" NOT NULL    -- the claim, as JSON, without its token
);
CREATE INDEX claims_until ON claims (until);
CREATE INDEX claims_worker ON claims (worker);

-- Which process may start an attempt of a submitted run. It never changes.
CREATE TABLE permits (
    run_id      TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt     BIGINT NOT NULL,
    incarnation TEXT COLLATE "C" NOT NULL,
    claim       TEXT COLLATE "C" NOT NULL,
    worker      TEXT COLLATE "C" NOT NULL,
    host        TEXT COLLATE "C" NOT NULL,
    at          BIGINT NOT NULL,
    memory      BIGINT NOT NULL, -- the limit of the attempt; 0 for none
    avoided     TEXT COLLATE "C" NOT NULL,   -- hosts, as JSON
    active      BIGINT NOT NULL DEFAULT 1, -- 0: the attempt has ended for ever
    PRIMARY KEY (run_id, attempt)
);
CREATE INDEX permits_worker ON permits (worker) WHERE active = 1;

-- Claims that ended without a start, because the worker gave them back or did not name them any more.
CREATE TABLE ended_claims (
    id      TEXT COLLATE "C" PRIMARY KEY,
    run_id  TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    worker  TEXT COLLATE "C" NOT NULL,
    work    TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    reason  TEXT COLLATE "C" NOT NULL
);
CREATE INDEX ended_claims_run ON ended_claims (run_id);
CREATE INDEX ended_claims_worker ON ended_claims (worker, at);

-- The key that signs the tokens of claims and attempts; NULL until a server has made it.
ALTER TABLE installation ADD COLUMN token_key BYTEA;

-- +goose Down
ALTER TABLE installation DROP COLUMN token_key;
DROP TABLE ended_claims;
DROP TABLE permits;
DROP TABLE claims;
DROP TABLE workers;
