-- +goose Up
-- The place of a run whose attempt was lost is held until a time, because its process may go on; NULL for a
-- place of an attempt that was given to a worker, or reports.
ALTER TABLE queue_places ADD COLUMN until BIGINT;
CREATE INDEX queue_places_until ON queue_places (until) WHERE until IS NOT NULL;

-- A claim ends when its run leaves the queue.
CREATE TABLE new_claims (
    id       TEXT PRIMARY KEY,
    run_id   TEXT NOT NULL UNIQUE REFERENCES queue_entries (run_id) ON DELETE CASCADE,
    attempt  INTEGER NOT NULL,
    worker   TEXT NOT NULL,
    poll     TEXT NOT NULL,   -- the request that it answered
    work     TEXT NOT NULL,   -- the version of the definition, or the job of a command without one
    given_at BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    avoided  TEXT NOT NULL,   -- hosts, as JSON
    doc      TEXT NOT NULL    -- the claim, as JSON, without its token
) WITHOUT ROWID;
INSERT INTO new_claims SELECT * FROM claims WHERE run_id IN (SELECT run_id FROM queue_entries);
DROP TABLE claims;
ALTER TABLE new_claims RENAME TO claims;
CREATE INDEX claims_until ON claims (until);
CREATE INDEX claims_worker ON claims (worker);

-- +goose Down
CREATE TABLE old_claims (
    id       TEXT PRIMARY KEY,
    run_id   TEXT NOT NULL UNIQUE,
    attempt  INTEGER NOT NULL,
    worker   TEXT NOT NULL,
    poll     TEXT NOT NULL,
    work     TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    avoided  TEXT NOT NULL,
    doc      TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO old_claims SELECT * FROM claims;
DROP TABLE claims;
ALTER TABLE old_claims RENAME TO claims;
CREATE INDEX claims_until ON claims (until);
CREATE INDEX claims_worker ON claims (worker);
DROP INDEX queue_places_until;
ALTER TABLE queue_places DROP COLUMN until;
