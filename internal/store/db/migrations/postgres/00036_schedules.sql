-- +goose Up
-- When Stint starts jobs by itself. A schedule keeps its number when a new version of its definition changes it.
CREATE TABLE schedules (
    job        TEXT COLLATE "C" NOT NULL REFERENCES definitions (job) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    position   BIGINT NOT NULL,  -- among the schedules of the definition, from 1
    doc        TEXT COLLATE "C" NOT NULL,    -- the schedule, as JSON, with its zone
    next_at    BIGINT,           -- the first time that has not come, in whole seconds; NULL for none
    due_at     BIGINT,           -- the same with the spread
    set_at     BIGINT NOT NULL,  -- what the clock showed when they were computed
    paused_at  BIGINT,           -- NULL while it is not paused
    paused_by  TEXT COLLATE "C" NOT NULL DEFAULT '',
    paused_why TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (job, number)
);
CREATE INDEX schedules_due ON schedules (due_at, job, number) WHERE due_at IS NOT NULL;
CREATE INDEX schedules_set ON schedules (set_at);

-- What became of each time at which a schedule was due.
CREATE TABLE occurrences (
    job         TEXT COLLATE "C" NOT NULL,
    number      BIGINT NOT NULL, -- of the schedule, which may be gone
    at          BIGINT NOT NULL, -- by the schedule, without its spread
    last        BIGINT NOT NULL, -- the last of several one after the other; at of one
    count       BIGINT NOT NULL,
    result      TEXT COLLATE "C" NOT NULL,
    why         TEXT COLLATE "C" NOT NULL,
    run_id      TEXT COLLATE "C" REFERENCES runs (id) ON DELETE CASCADE,
    nth         BIGINT NOT NULL, -- among equal neighbors without runs, from 1; 0 with a run
    expire_from BIGINT,          -- last, without a run
    PRIMARY KEY (job, number, at)
);
CREATE INDEX occurrences_run ON occurrences (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX occurrences_expire ON occurrences (expire_from) WHERE expire_from IS NOT NULL;

-- +goose Down
DROP TABLE occurrences;
DROP TABLE schedules;
