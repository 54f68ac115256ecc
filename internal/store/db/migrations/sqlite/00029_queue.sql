-- +goose Up
-- Runs that were requested at the server, and what they were when they were requested.
CREATE TABLE submissions (
    run_id     TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    job        TEXT NOT NULL,
    definition TEXT NOT NULL, -- the hash of the version; '' for a command without one
    request    TEXT NOT NULL, -- the digest of the request: the same one again is the same run
    selector   TEXT NOT NULL, -- what it asks of a worker, as JSON
    group_name TEXT NOT NULL, -- '' for none
    weight     BIGINT NOT NULL,
    spec       TEXT NOT NULL  -- job.Spec as JSON
) WITHOUT ROWID;

-- What runs ask of a worker. Runs are ranked among those that ask the same.
CREATE TABLE queue_selectors (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    selector     TEXT NOT NULL UNIQUE, -- JSON
    virtual_time BIGINT NOT NULL       -- the highest rank that was taken
);

-- The rank of the next run of each lane.
CREATE TABLE queue_lanes (
    selector BIGINT NOT NULL REFERENCES queue_selectors (id) ON DELETE CASCADE,
    lane     TEXT NOT NULL,
    next     BIGINT NOT NULL,
    PRIMARY KEY (selector, lane)
) WITHOUT ROWID;

-- Attempts that have not got a permit: they wait, or were given to a worker.
CREATE TABLE queue_entries (
    run_id     TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    attempt    BIGINT NOT NULL,
    job        TEXT NOT NULL,
    definition TEXT NOT NULL,
    selector   BIGINT NOT NULL REFERENCES queue_selectors (id),
    group_name TEXT NOT NULL,
    weight     BIGINT NOT NULL,
    rank       BIGINT NOT NULL,
    gate       TEXT NOT NULL, -- 'ready', 'taken', or the first gate that is closed
    queued_at  BIGINT NOT NULL,
    not_before BIGINT,
    start_by   BIGINT,
    held       TEXT NOT NULL, -- why a person has to release it; '' for not
    avoid      TEXT NOT NULL, -- hosts on which it failed, each between two line feeds
    memory     BIGINT NOT NULL -- the limit of memory of this attempt; 0 for that of its spec
) WITHOUT ROWID;
CREATE INDEX queue_entries_of_job ON queue_entries (job);
CREATE INDEX queue_entries_oldest ON queue_entries (queued_at, run_id);
CREATE INDEX queue_entries_selector ON queue_entries (selector);
CREATE INDEX queue_entries_of_group ON queue_entries (group_name, selector, rank, run_id) WHERE gate = 'group';
CREATE INDEX queue_entries_later ON queue_entries (not_before) WHERE gate = 'not_before';
CREATE INDEX queue_entries_start_by ON queue_entries (start_by) WHERE start_by IS NOT NULL;
CREATE INDEX queue_entries_paused ON queue_entries (job, run_id) WHERE gate = 'paused';
CREATE INDEX queue_entries_held ON queue_entries (run_id) WHERE held <> '';

-- The runs that could start now, and nothing else: what is blocked is not looked at.
CREATE TABLE queue_ready (
    selector   BIGINT NOT NULL,
    rank       BIGINT NOT NULL,
    run_id     TEXT NOT NULL UNIQUE REFERENCES queue_entries (run_id) ON DELETE CASCADE,
    job        TEXT NOT NULL,
    group_name TEXT NOT NULL,
    weight     BIGINT NOT NULL,
    avoid      TEXT NOT NULL,
    work       TEXT NOT NULL, -- the definition; the job of a command without one
    PRIMARY KEY (selector, rank, run_id)
) WITHOUT ROWID;
CREATE INDEX queue_ready_of_job ON queue_ready (job, selector, rank, run_id);
CREATE INDEX queue_ready_of_group ON queue_ready (group_name, selector) WHERE group_name <> '';
CREATE INDEX queue_ready_avoids ON queue_ready (selector, rank) WHERE avoid <> '';

-- Runs that have to end before another one starts.
CREATE TABLE queue_after (
    run_id TEXT NOT NULL REFERENCES queue_entries (run_id) ON DELETE CASCADE,
    needs  TEXT NOT NULL,
    how    TEXT NOT NULL, -- 'succeeded', 'ended' or 'failed'
    PRIMARY KEY (run_id, needs)
) WITHOUT ROWID;
CREATE INDEX queue_after_needs ON queue_after (needs, run_id);

-- Limits of how many runs of a group may be active.
CREATE TABLE queue_groups (
    name      TEXT PRIMARY KEY,
    run_limit BIGINT NOT NULL,
    set_at    BIGINT NOT NULL,
    set_by    TEXT NOT NULL
) WITHOUT ROWID;

-- The runs that count for a limit: those that a worker has, until they end.
CREATE TABLE queue_places (
    group_name TEXT NOT NULL,
    run_id     TEXT NOT NULL UNIQUE REFERENCES runs (id) ON DELETE CASCADE,
    taken_at   BIGINT NOT NULL,
    PRIMARY KEY (group_name, run_id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE queue_places;
DROP TABLE queue_groups;
DROP TABLE queue_after;
DROP TABLE queue_ready;
DROP TABLE queue_entries;
DROP TABLE queue_lanes;
DROP TABLE queue_selectors;
DROP TABLE submissions;
