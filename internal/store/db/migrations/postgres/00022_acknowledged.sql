-- +goose Up
-- 1: somebody acknowledged what is wrong with the run; doc says who.
ALTER TABLE runs ADD COLUMN acknowledged SMALLINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE runs DROP COLUMN acknowledged;
