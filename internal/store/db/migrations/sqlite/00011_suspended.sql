-- +goose Up
ALTER TABLE runs ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0; -- 1: its agent has stopped itself and the job

-- +goose Down
ALTER TABLE runs DROP COLUMN suspended;
