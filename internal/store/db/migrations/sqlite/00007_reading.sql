-- +goose Up
ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT '';
UPDATE runs SET host = COALESCE(json_extract(doc, '$.host'), '');
CREATE INDEX runs_of_host ON runs (host, created_at, id);

-- +goose Down
DROP INDEX runs_of_host;
ALTER TABLE runs DROP COLUMN host;
