-- +goose Up
-- Whether the worker did not name the claim any more; else it gave it back.
ALTER TABLE ended_claims ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE ended_claims DROP COLUMN lost;
