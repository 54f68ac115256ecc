-- +goose Up
-- How many bytes of journals are kept, as each server process counts what it adds and
-- takes away; the sum of all rows is the whole.
CREATE TABLE stored_bytes (
    server TEXT PRIMARY KEY,
    bytes  BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO stored_bytes (server, bytes) SELECT 'before', COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks;

-- Journals longer than the limit, of which the middle is to go.
ALTER TABLE attempts ADD COLUMN trim_at BIGINT;
CREATE INDEX attempts_trim ON attempts (trim_at) WHERE trim_at IS NOT NULL;

-- A label's runs in the order of time, so that a page of them is read off the index.
ALTER TABLE run_labels ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
UPDATE run_labels SET created_at = (SELECT created_at FROM runs WHERE id = run_id);
DROP INDEX run_labels_value;
CREATE INDEX run_labels_value ON run_labels (key, value, created_at, run_id);

-- +goose Down
DROP INDEX run_labels_value;
ALTER TABLE run_labels DROP COLUMN created_at;
CREATE INDEX run_labels_value ON run_labels (key, value, run_id);
DROP INDEX attempts_trim;
ALTER TABLE attempts DROP COLUMN trim_at;
DROP TABLE stored_bytes;
