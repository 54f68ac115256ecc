-- +goose Up
-- A person does not want it suggested when the job is expected to be started.
ALTER TABLE jobs ADD COLUMN no_suggestion INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE jobs DROP COLUMN no_suggestion;
