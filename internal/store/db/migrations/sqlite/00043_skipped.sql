-- +goose Up
-- How many of the last occurrences of a schedule did not become runs, not counting those of a pause; the finding
-- about that as JSON, and since when it holds.
ALTER TABLE schedules ADD COLUMN unstarted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE schedules ADD COLUMN finding TEXT;
ALTER TABLE schedules ADD COLUMN found_at BIGINT;
CREATE INDEX schedules_found ON schedules (job, number) WHERE found_at IS NOT NULL;

-- The job that a notification is about which has no run; empty otherwise.
ALTER TABLE outbox ADD COLUMN job TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE outbox DROP COLUMN job;
DROP INDEX schedules_found;
ALTER TABLE schedules DROP COLUMN found_at;
ALTER TABLE schedules DROP COLUMN finding;
ALTER TABLE schedules DROP COLUMN unstarted;
