-- +goose Up
-- From when the wait of a run counts for the health rule about it, less the time before in which its submitter or a person
-- wanted it to wait; NULL while that is so: then waited is the time that counts, in microseconds.
ALTER TABLE queue_entries ADD COLUMN waits_since BIGINT;
ALTER TABLE queue_entries ADD COLUMN waited BIGINT NOT NULL DEFAULT 0;
UPDATE queue_entries SET waits_since = queued_at WHERE gate IN ('ready', 'taken', 'group');

-- The runs that wait in the queue and have a finding.
CREATE INDEX runs_waiting ON runs (start_at, id) WHERE leased = 0 AND health <> '';

-- +goose Down
DROP INDEX runs_waiting;
ALTER TABLE queue_entries DROP COLUMN waited;
ALTER TABLE queue_entries DROP COLUMN waits_since;
