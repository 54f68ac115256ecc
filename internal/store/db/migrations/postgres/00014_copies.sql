-- +goose Up
-- When this database was found to be a copy; NULL for an original. place is the cluster and
-- the database that it lives in: a copy finds itself in another one.
ALTER TABLE installation ADD COLUMN copied_at BIGINT;
ALTER TABLE installation ADD COLUMN place TEXT;

-- +goose Down
ALTER TABLE installation DROP COLUMN copied_at, DROP COLUMN place;
