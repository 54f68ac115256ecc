-- +goose Up
-- When the copy was made that this database is; NULL for an original.
ALTER TABLE installation ADD COLUMN copied_at INTEGER;

-- +goose Down
ALTER TABLE installation DROP COLUMN copied_at;
