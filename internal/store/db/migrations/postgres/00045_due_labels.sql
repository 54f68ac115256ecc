-- +goose Up
-- The labels of the runs that pings make, as a JSON object; empty for none.
ALTER TABLE job_due ADD COLUMN labels TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE job_due DROP COLUMN labels;
