-- +goose Up
-- The id of this database, a random UUID, by which agents distinguish
-- installations. It has one row.
CREATE TABLE installation (id TEXT NOT NULL PRIMARY KEY);
INSERT INTO installation (id) VALUES (gen_random_uuid()::text);
