-- +goose Up
ALTER TABLE runs ADD COLUMN beat TEXT;     -- the last heartbeat as JSON
ALTER TABLE runs ADD COLUMN evidence TEXT; -- index.Evidence as JSON: what the heartbeats reported, as far as it was folded
ALTER TABLE runs ADD COLUMN status TEXT NOT NULL DEFAULT '';       -- the job's own last word
ALTER TABLE runs ADD COLUMN gone_at BIGINT NOT NULL DEFAULT 0;     -- when the connection of its heartbeats closed, seen by a server that does not judge
ALTER TABLE runs ADD COLUMN diagnose INTEGER NOT NULL DEFAULT 0;   -- 1: a diagnosis is to be made
CREATE INDEX runs_gone ON runs (gone_at) WHERE leased = 1;
CREATE INDEX runs_diagnose ON runs (created_at) WHERE diagnose = 1;

-- What the last good runs of a job needed: a JSON array of index.Figures.
CREATE TABLE job_bands (
    job     TEXT PRIMARY KEY,
    figures TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE job_policies (
    job     TEXT PRIMARY KEY,
    yaml    TEXT NOT NULL,
    actions TEXT NOT NULL, -- what it says is to be done, as JSON by rule and end
    set_at  BIGINT NOT NULL,
    set_by  TEXT NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE job_policies;
DROP TABLE job_bands;
DROP INDEX runs_diagnose;
DROP INDEX runs_gone;
ALTER TABLE runs DROP COLUMN diagnose;
ALTER TABLE runs DROP COLUMN gone_at;
ALTER TABLE runs DROP COLUMN status;
ALTER TABLE runs DROP COLUMN evidence;
ALTER TABLE runs DROP COLUMN beat;
