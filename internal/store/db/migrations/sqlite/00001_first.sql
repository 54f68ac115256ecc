-- +goose Up
-- Times are microseconds since 1970 UTC, spans are microseconds.
CREATE TABLE jobs (
    name        TEXT PRIMARY KEY,
    next_number BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    job         TEXT NOT NULL,
    number      BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    state       TEXT NOT NULL,
    health      TEXT NOT NULL,
    leased      INTEGER NOT NULL, -- 1: active, so the lease counts
    created_at  BIGINT NOT NULL,
    started_at  BIGINT,
    ended_at    BIGINT,
    heard_at    BIGINT NOT NULL,
    beat_at     BIGINT,
    lease_us    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    period_us   BIGINT NOT NULL,
    peak_memory BIGINT NOT NULL,
    search      TEXT NOT NULL,
    doc         TEXT NOT NULL -- job.Run as JSON; the columns above win over it
);
CREATE UNIQUE INDEX runs_number ON runs (job, number);
CREATE INDEX runs_newest ON runs (created_at, id);
CREATE INDEX runs_of_job ON runs (job, created_at, id);
CREATE INDEX runs_of_state ON runs (state, created_at, id);
CREATE INDEX runs_of_job_state ON runs (job, state, created_at, id);
CREATE INDEX runs_leased ON runs (expires_at) WHERE leased = 1;
CREATE INDEX runs_health ON runs (health, created_at, id) WHERE leased = 1;

CREATE TABLE run_labels (
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;
CREATE INDEX run_labels_value ON run_labels (key, value, run_id);

-- An attempt is stored from its first byte; its run exists once the identity is whole.
CREATE TABLE attempts (
    run_id  TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    size    BIGINT NOT NULL, -- durable bytes, tail included
    doc     TEXT NOT NULL,   -- what folding needs to go on, as JSON
    tail    BLOB,            -- a record that has not arrived whole
    PRIMARY KEY (run_id, attempt)
);

CREATE TABLE blocks (
    run_id     TEXT NOT NULL,
    attempt    BIGINT NOT NULL,
    start      BIGINT NOT NULL, -- offset in the journal
    size       BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    lines      BIGINT NOT NULL,
    head       TEXT NOT NULL,   -- index.BlockHead as JSON
    samples    TEXT,            -- the samples in it as a JSON array, so that charts need no data
    data       BLOB NOT NULL,   -- last, so that reading the rest never touches it
    PRIMARY KEY (run_id, attempt, start),
    FOREIGN KEY (run_id, attempt) REFERENCES attempts (run_id, attempt) ON DELETE CASCADE
);
CREATE INDEX blocks_line ON blocks (run_id, attempt, first_line, lines, start);

CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt    BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    clock      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    from_value TEXT NOT NULL,
    to_value   TEXT NOT NULL,
    rule       TEXT NOT NULL,
    evidence   TEXT NOT NULL
);
CREATE INDEX events_of_run ON events (run_id, id);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         BLOB NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);

-- +goose Down
DROP TABLE tokens;
DROP TABLE events;
DROP TABLE blocks;
DROP TABLE attempts;
DROP TABLE run_labels;
DROP TABLE runs;
DROP TABLE jobs;
