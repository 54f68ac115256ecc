-- +goose Up
-- Notifications, cancels and retries, stored in the transaction of the change that caused them. A
-- row with kind notify and no route has not been dispatched yet: dispatching replaces it by one row
-- for each route.
CREATE TABLE outbox (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       TEXT COLLATE "C" NOT NULL,
    run_id     TEXT COLLATE "C" REFERENCES runs (id) ON DELETE CASCADE, -- null: about the server
    attempt    BIGINT NOT NULL,
    what       TEXT COLLATE "C" NOT NULL,
    severity   TEXT COLLATE "C" NOT NULL,
    route      TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    done_at    BIGINT,
    cause      BIGINT NOT NULL, -- id of the row that was made with the change
    repeats    BIGINT NOT NULL,
    batch      BIGINT NOT NULL, -- 0: not sent yet
    last_error TEXT COLLATE "C" NOT NULL,
    message    TEXT COLLATE "C" NOT NULL,
    by_whom    TEXT COLLATE "C" NOT NULL,
    ends       TEXT COLLATE "C" NOT NULL
);
CREATE INDEX outbox_pending ON outbox (route, id) WHERE status = 'pending';
CREATE INDEX outbox_of_run ON outbox (run_id, id);
CREATE INDEX outbox_settled ON outbox (done_at) WHERE status <> 'pending';

CREATE TABLE routes (
    name          TEXT COLLATE "C" PRIMARY KEY,
    doc           TEXT COLLATE "C" NOT NULL,   -- index.Route as JSON
    secret        TEXT COLLATE "C" NOT NULL,
    events        TEXT COLLATE "C" NOT NULL,   -- those it names, each between two commas
    changed_at    BIGINT NOT NULL,
    owner         TEXT COLLATE "C" NOT NULL,   -- the server that delivers now
    claimed_until BIGINT NOT NULL
);

-- Agents whose attempt has ended and that would begin another one if they were asked.
CREATE TABLE waiting_agents (
    run_id   TEXT COLLATE "C" PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    attempt  BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    asked_by TEXT COLLATE "C" NOT NULL, -- empty: nobody has asked
    why      TEXT COLLATE "C" NOT NULL
);

-- +goose Down
DROP TABLE waiting_agents;
DROP TABLE routes;
DROP TABLE outbox;
