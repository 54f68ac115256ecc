-- +goose Up
-- The place of a run whose attempt was lost is held until a time, because its process may go on; NULL for a
-- place of an attempt that was given to a worker, or reports.
ALTER TABLE queue_places ADD COLUMN until BIGINT;
CREATE INDEX queue_places_until ON queue_places (until) WHERE until IS NOT NULL;

-- A claim ends when its run leaves the queue.
DELETE FROM claims WHERE run_id NOT IN (SELECT run_id FROM queue_entries);
ALTER TABLE claims ADD CONSTRAINT claims_entry FOREIGN KEY (run_id) REFERENCES queue_entries (run_id) ON DELETE CASCADE;

-- +goose Down
ALTER TABLE claims DROP CONSTRAINT claims_entry;
DROP INDEX queue_places_until;
ALTER TABLE queue_places DROP COLUMN until;
