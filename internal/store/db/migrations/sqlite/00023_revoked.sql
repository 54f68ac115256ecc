-- +goose Up
-- How many tokens were revoked: while it stays the same, servers need not look up again each token
-- that they know.
ALTER TABLE installation ADD COLUMN revoked BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE installation DROP COLUMN revoked;
