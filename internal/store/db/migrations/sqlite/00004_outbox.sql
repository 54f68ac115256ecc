-- +goose Up
-- Notifications, cancels and retries, stored in the transaction of the change that caused them. A
-- row with kind notify and no route has not been dispatched yet: dispatching replaces it by one row
-- for each route.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    run_id     TEXT REFERENCES runs (id) ON DELETE CASCADE, -- null: about the server
    attempt    BIGINT NOT NULL,
    what       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    route      TEXT NOT NULL,
    status     TEXT NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    done_at    BIGINT,
    cause      BIGINT NOT NULL, -- id of the row that was made with the change
    repeats    BIGINT NOT NULL,
    batch      BIGINT NOT NULL, -- 0: not sent yet
    last_error TEXT NOT NULL,
    message    TEXT NOT NULL,
    by_whom    TEXT NOT NULL,
    ends       TEXT NOT NULL
);
CREATE INDEX outbox_pending ON outbox (route, id) WHERE status = 'pending';
CREATE INDEX outbox_of_run ON outbox (run_id, id);
CREATE INDEX outbox_settled ON outbox (done_at) WHERE status <> 'pending';

CREATE TABLE routes (
    name          TEXT PRIMARY KEY,
    doc           TEXT NOT NULL,   -- index.Route as JSON
    secret        TEXT NOT NULL,
    events        TEXT NOT NULL,   -- those it names, each between two commas
    changed_at    BIGINT NOT NULL,
    owner         TEXT NOT NULL,   -- the server that delivers now
    claimed_until BIGINT NOT NULL
) WITHOUT ROWID;

-- Agents whose attempt has ended and that would begin another one if they were asked.
CREATE TABLE waiting_agents (
    run_id   TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    attempt  BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    asked_by TEXT NOT NULL, -- empty: nobody has asked
    why      TEXT NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE waiting_agents;
DROP TABLE routes;
DROP TABLE outbox;
