-- +goose Up
-- The worker that a token of the scope worker is for, and the labels that it may have, as JSON.
ALTER TABLE tokens ADD COLUMN worker TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN labels TEXT NOT NULL DEFAULT 'null';

-- +goose Down
ALTER TABLE tokens DROP COLUMN labels;
ALTER TABLE tokens DROP COLUMN worker;
