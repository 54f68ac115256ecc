-- +goose Up
-- What jobs are when the server starts them. The content is that of the version.
CREATE TABLE definitions (
    job        TEXT PRIMARY KEY,
    version    TEXT NOT NULL,
    source     TEXT NOT NULL, -- where the file is kept; '' for none
    yaml       TEXT NOT NULL, -- as it was last written: the same version may have several texts
    applied_at BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    edited_at  BIGINT,          -- on the page, since it was applied; NULL for not
    edited_by  TEXT NOT NULL DEFAULT '',
    paused_at  BIGINT,          -- NULL while it is not paused
    paused_by  TEXT NOT NULL DEFAULT '',
    paused_why TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX definitions_of_source ON definitions (source, job);

-- Every content that the definition of a job has had, also of one that is deleted.
CREATE TABLE definition_versions (
    job        TEXT NOT NULL,
    hash       TEXT NOT NULL,
    yaml       TEXT NOT NULL,
    canonical  TEXT NOT NULL, -- JSON; the hash is of these bytes
    source     TEXT NOT NULL,
    first_at   BIGINT NOT NULL,
    applied_at BIGINT NOT NULL, -- when it last became the definition
    applied_by TEXT NOT NULL,
    PRIMARY KEY (job, hash)
) WITHOUT ROWID;
CREATE INDEX definition_versions_applied ON definition_versions (job, applied_at);

-- What was changed, where the path does not say it: versions of definitions.
ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE audit DROP COLUMN detail;
DROP TABLE definition_versions;
DROP TABLE definitions;
