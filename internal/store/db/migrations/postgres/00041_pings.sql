-- +goose Up
-- The addresses at which an expectation is pinged: its UUID, which is secret, and its slug, which is the job's
-- name if it is empty.
ALTER TABLE job_due ADD COLUMN uuid TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job_due ADD COLUMN slug TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job_due ADD COLUMN post_only BIGINT NOT NULL DEFAULT 0; -- whether only the method POST counts
UPDATE job_due SET uuid = gen_random_uuid()::text;
CREATE UNIQUE INDEX job_due_uuid ON job_due (uuid);
CREATE INDEX job_due_slug ON job_due (slug) WHERE slug <> '';

-- Successes without a start that are counted, and are no runs.
CREATE TABLE job_pulses (
    job          TEXT COLLATE "C" PRIMARY KEY REFERENCES job_due (job) ON DELETE CASCADE,
    times        BIGINT NOT NULL,
    last_at      BIGINT,          -- of the last one; NULL for none
    body         BYTEA,          -- the beginning of its body
    failed       BIGINT NOT NULL, -- whether the last ping that became a run reported a failure
    reported_day BIGINT NOT NULL  -- the day, in UTC since 1970, of the last success that became a run; -1 for none
);

-- The run to which the next call of a wire that does not name runs may belong: the last one of a job, or of one of
-- its ids on that wire.
CREATE TABLE wire_runs (
    job    TEXT COLLATE "C" NOT NULL,
    wire   TEXT COLLATE "C" NOT NULL,
    rid    TEXT COLLATE "C" NOT NULL, -- empty for none
    run_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (job, wire, rid)
);
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
