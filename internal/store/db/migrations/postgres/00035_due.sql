-- +goose Up
-- When jobs are expected to be started by somebody else.
CREATE TABLE job_due (
    job           TEXT COLLATE "C" PRIMARY KEY,
    every_seconds BIGINT NOT NULL,
    cron          TEXT COLLATE "C" NOT NULL,
    zone          TEXT COLLATE "C" NOT NULL,
    grace_seconds BIGINT NOT NULL,
    paused        BIGINT NOT NULL DEFAULT 0,
    set_at        BIGINT NOT NULL,
    set_by        TEXT COLLATE "C" NOT NULL,
    started_at    BIGINT, -- the last start of a run; NULL if none is known
    next_at       BIGINT, -- the first due time that is not decided; NULL before the first start
    watched_us    BIGINT, -- of due_watch when next_at had come; NULL before
    missed_since  BIGINT, -- the first due time that was missed since the last start; NULL for none
    missed_last   BIGINT, -- the last one
    missed_times  BIGINT NOT NULL DEFAULT 0,
    check_at       BIGINT  -- when to look at it; NULL for when a run starts
);
CREATE INDEX job_due_check ON job_due (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX job_due_missed ON job_due (missed_since) WHERE missed_since IS NOT NULL;

-- Due times that were missed, also if a run started later; several in a row from times = 2 on.
CREATE TABLE job_due_missed_times (
    job        TEXT COLLATE "C" NOT NULL REFERENCES job_due (job) ON DELETE CASCADE,
    due_at     BIGINT NOT NULL,
    last_at    BIGINT NOT NULL, -- the last of several
    times      BIGINT NOT NULL,
    from_at    BIGINT NOT NULL, -- a start counts for it from here on
    until_at   BIGINT NOT NULL, -- and before this
    missed_at  BIGINT NOT NULL,
    started_at BIGINT,          -- a start that counts for it and became known later
    healed_at  BIGINT,          -- when it became known
    PRIMARY KEY (job, due_at)
);
CREATE INDEX job_due_missed_times_due ON job_due_missed_times (due_at);

-- How many due times of a day, in UTC, had a start.
CREATE TABLE job_due_days (
    job  TEXT COLLATE "C" NOT NULL REFERENCES job_due (job) ON DELETE CASCADE,
    day  BIGINT NOT NULL, -- since 1970
    kept BIGINT NOT NULL,
    PRIMARY KEY (job, day)
);
CREATE INDEX job_due_days_day ON job_due_days (day);

-- For how long some server has looked at due times, in all.
CREATE TABLE due_watch (
    id         BIGINT PRIMARY KEY,
    watched_us BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
INSERT INTO due_watch (id, watched_us, seen_at) VALUES (1, 0, 0);

-- +goose Down
DROP TABLE due_watch;
DROP TABLE job_due_days;
DROP TABLE job_due_missed_times;
DROP TABLE job_due;
