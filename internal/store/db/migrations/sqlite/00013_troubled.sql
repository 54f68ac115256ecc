-- +goose Up
-- What could not be done for one run, object or route, and is tried again later. Everything
-- else goes on.
CREATE TABLE troubled (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    error    TEXT NOT NULL,
    tries    INTEGER NOT NULL,
    since_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    next_at  BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE troubled;
