-- +goose Up
-- The addresses at which an expectation is pinged: its UUID, which is secret, and its slug, which is the job's
-- name if it is empty.
ALTER TABLE job_due ADD COLUMN uuid TEXT NOT NULL DEFAULT '';
ALTER TABLE job_due ADD COLUMN slug TEXT NOT NULL DEFAULT '';
ALTER TABLE job_due ADD COLUMN post_only INTEGER NOT NULL DEFAULT 0; -- whether only the method POST counts
UPDATE job_due SET uuid = lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
    || substr('89AB', 1 + abs(random() % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)));
CREATE UNIQUE INDEX job_due_uuid ON job_due (uuid);
CREATE INDEX job_due_slug ON job_due (slug) WHERE slug <> '';

-- Successes without a start that are counted, and are no runs.
CREATE TABLE job_pulses (
    job          TEXT PRIMARY KEY REFERENCES job_due (job) ON DELETE CASCADE,
    times        BIGINT NOT NULL,
    last_at      BIGINT,          -- of the last one; NULL for none
    body         BLOB,           -- the beginning of its body
    failed       INTEGER NOT NULL, -- whether the last ping that became a run reported a failure
    reported_day BIGINT NOT NULL  -- the day, in UTC since 1970, of the last success that became a run; -1 for none
) WITHOUT ROWID;

-- The run to which the next call of a wire that does not name runs may belong: the last one of a job, or of one of
-- its ids on that wire.
CREATE TABLE wire_runs (
    job    TEXT NOT NULL,
    wire   TEXT NOT NULL,
    rid    TEXT NOT NULL, -- empty for none
    run_id TEXT NOT NULL,
    PRIMARY KEY (job, wire, rid)
) WITHOUT ROWID;
CREATE INDEX wire_runs_run ON wire_runs (run_id);
INSERT INTO wire_runs (job, wire, rid, run_id) SELECT job, 'compat', '', id FROM (
    SELECT runs.job, runs.id, ROW_NUMBER() OVER (PARTITION BY runs.job ORDER BY runs.start_at DESC, runs.id DESC) AS nth
    FROM run_labels JOIN runs ON runs.id = run_labels.run_id WHERE run_labels.key = 'wire' AND run_labels.value = 'compat'
) AS last WHERE nth = 1;

-- +goose Down
DROP TABLE wire_runs;
DROP TABLE job_pulses;
DROP INDEX job_due_slug;
DROP INDEX job_due_uuid;
ALTER TABLE job_due DROP COLUMN post_only;
ALTER TABLE job_due DROP COLUMN slug;
ALTER TABLE job_due DROP COLUMN uuid;
