-- +goose Up
-- The id of this database, a random UUID, by which agents tell one installation from
-- another. It has one row.
CREATE TABLE installation (id TEXT NOT NULL PRIMARY KEY);
INSERT INTO installation (id) VALUES (gen_random_uuid()::text);
