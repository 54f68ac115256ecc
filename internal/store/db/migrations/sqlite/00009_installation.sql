-- +goose Up
-- The id of this database, a random UUID, by which agents distinguish
-- installations. It has one row.
CREATE TABLE installation (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
INSERT INTO installation (id)
SELECT substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-8' || substr(h, 18, 3) || '-' || substr(h, 21)
FROM (SELECT lower(hex(randomblob(16))) AS h);
