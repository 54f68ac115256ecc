-- +goose Up
-- 1: the journal of the run's attempt is delivered late. The newest sign of the attempt, a record or a
-- heartbeat, was old when it arrived. While the end is missing, it is part of the same delivery.
ALTER TABLE runs ADD COLUMN backlog INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_backlog ON runs (host) WHERE backlog = 1 AND ended_at IS NULL;

-- +goose Down
DROP INDEX runs_backlog;
ALTER TABLE runs DROP COLUMN backlog;
