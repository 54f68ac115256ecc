-- +goose Up
-- What the identity provider stated about the person, as JSON; '' for a session of a token. Access
-- is judged by it at each request, so that it ends with the grant.
ALTER TABLE sessions ADD COLUMN identity TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE sessions DROP COLUMN identity;
