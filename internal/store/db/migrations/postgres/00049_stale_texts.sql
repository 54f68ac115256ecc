-- +goose Up
-- SQLite deletes stale texts many at once since this version. PostgreSQL deletes a row of run_texts cheaply.
SELECT 1;

-- +goose Down
SELECT 1;
