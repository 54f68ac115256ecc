-- +goose Up
-- The limits of retention that servers use, or that wait because they would delete many runs at once.
CREATE TABLE keep_limits (
    job      TEXT NOT NULL,    -- empty: all jobs that have no limit of their own
    rule     TEXT NOT NULL,    -- days or runs
    most     BIGINT NOT NULL,  -- microseconds or runs; 0: no limit
    in_force INTEGER NOT NULL, -- 0: it waits
    seen_at  BIGINT NOT NULL,
    used_at  BIGINT NOT NULL,  -- last, by any server
    waited   BIGINT NOT NULL,  -- microseconds
    runs     BIGINT NOT NULL,  -- that it would have deleted when it was seen first
    of_runs  BIGINT NOT NULL,  -- that had ended then
    PRIMARY KEY (job, rule, most)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE keep_limits;
