-- +goose Up
-- What a login must not reveal is with the browser alone.
DELETE FROM logins;
ALTER TABLE logins DROP COLUMN nonce;
ALTER TABLE logins DROP COLUMN verifier;

-- +goose Down
ALTER TABLE logins ADD COLUMN verifier TEXT NOT NULL DEFAULT '';
ALTER TABLE logins ADD COLUMN nonce TEXT NOT NULL DEFAULT '';
