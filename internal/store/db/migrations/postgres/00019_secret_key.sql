-- +goose Up
-- The id of the key that secrets of routes are encrypted with: routes.secret is the encrypted
-- URL and signing secret of a route. NULL: none yet.
ALTER TABLE installation ADD COLUMN secret_key TEXT COLLATE "C";
-- 1: deleted rows and pages may still hold secrets in clear, or encrypted with a key given up.
ALTER TABLE installation ADD COLUMN secret_remains INTEGER NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE installation DROP COLUMN secret_remains;
ALTER TABLE installation DROP COLUMN secret_key;
