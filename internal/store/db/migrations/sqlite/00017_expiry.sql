-- +goose Up
-- When the last append came to a journal of which it is not known yet whose it is; NULL once
-- its identity has arrived whole. One that never does expires.
ALTER TABLE attempts ADD COLUMN unidentified_at BIGINT;
UPDATE attempts SET unidentified_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000000 WHERE COALESCE(json_extract(doc, '$.view.job'), '') = '';
CREATE INDEX attempts_unidentified ON attempts (unidentified_at) WHERE unidentified_at IS NOT NULL;

-- What has expired is found without reading the rest.
CREATE INDEX audit_at ON audit (at);
CREATE INDEX logins_expire ON logins (expires_at);
CREATE INDEX sessions_expire ON sessions (expires_at);
CREATE INDEX tokens_expire ON tokens (expires_at) WHERE expires_at IS NOT NULL;

-- +goose Down
DROP INDEX tokens_expire;
DROP INDEX sessions_expire;
DROP INDEX logins_expire;
DROP INDEX audit_at;
DROP INDEX attempts_unidentified;
ALTER TABLE attempts DROP COLUMN unidentified_at;
