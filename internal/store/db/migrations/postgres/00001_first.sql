-- +goose Up
-- Text compares byte by byte, as it does in SQLite: hence the collation.
-- Times are microseconds since 1970 UTC, spans are microseconds.
CREATE TABLE jobs (
    name        TEXT COLLATE "C" PRIMARY KEY,
    next_number BIGINT NOT NULL
);

CREATE TABLE runs (
    id          TEXT COLLATE "C" PRIMARY KEY,
    job         TEXT COLLATE "C" NOT NULL,
    number      BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    health      TEXT COLLATE "C" NOT NULL,
    leased      SMALLINT NOT NULL, -- 1: active, so the lease counts
    created_at  BIGINT NOT NULL,
    started_at  BIGINT,
    ended_at    BIGINT,
    heard_at    BIGINT NOT NULL,
    beat_at     BIGINT,
    lease_us    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    period_us   BIGINT NOT NULL,
    peak_memory BIGINT NOT NULL,
    search      TEXT COLLATE "C" NOT NULL,
    doc         TEXT COLLATE "C" NOT NULL -- job.Run as JSON; the columns above win over it
);
CREATE UNIQUE INDEX runs_number ON runs (job, number);
CREATE INDEX runs_newest ON runs (created_at, id);
CREATE INDEX runs_of_job ON runs (job, created_at, id);
CREATE INDEX runs_of_state ON runs (state, created_at, id);
CREATE INDEX runs_of_job_state ON runs (job, state, created_at, id);
CREATE INDEX runs_leased ON runs (expires_at) WHERE leased = 1;
CREATE INDEX runs_health ON runs (health, created_at, id) WHERE leased = 1;

CREATE TABLE run_labels (
    key    TEXT COLLATE "C" NOT NULL,
    value  TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX run_labels_value ON run_labels (key, value, run_id);

-- An attempt is stored from its first byte; its run exists once the identity is whole.
CREATE TABLE attempts (
    run_id  TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    size    BIGINT NOT NULL, -- durable bytes, tail included
    doc     TEXT COLLATE "C" NOT NULL,   -- what folding needs to go on, as JSON
    tail    BYTEA,            -- a record that has not arrived whole
    PRIMARY KEY (run_id, attempt)
);

CREATE TABLE blocks (
    run_id     TEXT COLLATE "C" NOT NULL,
    attempt    BIGINT NOT NULL,
    start      BIGINT NOT NULL, -- offset in the journal
    size       BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    lines      BIGINT NOT NULL,
    head       TEXT COLLATE "C" NOT NULL,   -- index.BlockHead as JSON
    samples    TEXT COLLATE "C",            -- the samples in it as a JSON array, so that charts need no data
    data       BYTEA NOT NULL,   -- last, so that reading the rest never touches it
    PRIMARY KEY (run_id, attempt, start),
    FOREIGN KEY (run_id, attempt) REFERENCES attempts (run_id, attempt) ON DELETE CASCADE
);
-- Journals are compressed in other places, if at all: not once more on every append.
ALTER TABLE blocks ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX blocks_line ON blocks (run_id, attempt, first_line, lines, start);

CREATE TABLE events (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt    BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    clock      TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    from_value TEXT COLLATE "C" NOT NULL,
    to_value   TEXT COLLATE "C" NOT NULL,
    rule       TEXT COLLATE "C" NOT NULL,
    evidence   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX events_of_run ON events (run_id, id);

CREATE TABLE tokens (
    id           TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    scope        TEXT COLLATE "C" NOT NULL,
    prefix       TEXT COLLATE "C" NOT NULL,
    hash         BYTEA NOT NULL,
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
