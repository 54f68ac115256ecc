-- +goose Up
-- How often the database was counted, and when it was last. A data directory has the same number in a file beside
-- it: a database with a smaller one is an older copy that was put back.
ALTER TABLE installation ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN epoch_at BIGINT;
-- When a server held the queue because the database was restored, and why; NULL for never.
ALTER TABLE installation ADD COLUMN restored_at BIGINT;
ALTER TABLE installation ADD COLUMN restored_why TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE installation DROP COLUMN restored_why;
ALTER TABLE installation DROP COLUMN restored_at;
ALTER TABLE installation DROP COLUMN epoch_at;
ALTER TABLE installation DROP COLUMN epoch;
