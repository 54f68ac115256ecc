-- +goose Up
-- How many tokens were revoked: while it stays the same, servers use the
-- tokens in their caches.
ALTER TABLE installation ADD COLUMN revoked BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE installation DROP COLUMN revoked;
