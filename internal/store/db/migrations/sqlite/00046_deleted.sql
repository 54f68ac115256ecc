-- Runs that somebody has deleted: nothing of them is taken any more.
-- +goose Up
CREATE TABLE deleted_runs (
    run_id     TEXT PRIMARY KEY,
    deleted_at BIGINT NOT NULL,
    deleted_by TEXT NOT NULL,
    pending    SMALLINT NOT NULL -- what is left to do: 2 its rows and its bytes, 1 its bytes, 0 nothing
) WITHOUT ROWID;
CREATE INDEX deleted_runs_pending ON deleted_runs (pending) WHERE pending > 0;

-- The database is to be cleaned of deleted bytes while erase_done is less than erase_requested.
ALTER TABLE installation ADD COLUMN erase_requested BIGINT NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN erase_done BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE installation DROP COLUMN erase_done;
ALTER TABLE installation DROP COLUMN erase_requested;
DROP TABLE deleted_runs;
