-- +goose Up
-- When the server learned that the run had ended, on its clock; NULL while it goes on.
ALTER TABLE runs ADD COLUMN end_known_at BIGINT;
UPDATE runs SET end_known_at = heard_at WHERE state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost');
-- 1: its end was delivered late, and is to be reported with what else its host delivers.
ALTER TABLE runs ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_late ON runs (host) WHERE late = 1;
-- What a row of the event late counts: index.LateRuns as JSON.
ALTER TABLE outbox ADD COLUMN late TEXT;

-- +goose Down
ALTER TABLE outbox DROP COLUMN late;
DROP INDEX runs_late;
ALTER TABLE runs DROP COLUMN late;
ALTER TABLE runs DROP COLUMN end_known_at;
