-- +goose Up
-- What jobs are when the server starts them. The content is that of the version.
CREATE TABLE definitions (
    job        TEXT COLLATE "C" PRIMARY KEY,
    version    TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL, -- where the file is kept; '' for none
    yaml       TEXT COLLATE "C" NOT NULL, -- as it was last written: the same version may have several texts
    applied_at BIGINT NOT NULL,
    applied_by TEXT COLLATE "C" NOT NULL,
    edited_at  BIGINT,          -- on the page, since it was applied; NULL for not
    edited_by  TEXT COLLATE "C" NOT NULL DEFAULT '',
    paused_at  BIGINT,          -- NULL while it is not paused
    paused_by  TEXT COLLATE "C" NOT NULL DEFAULT '',
    paused_why TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX definitions_of_source ON definitions (source, job);

-- Every content that the definition of a job has had, also of one that is deleted.
CREATE TABLE definition_versions (
    job        TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL,
    yaml       TEXT COLLATE "C" NOT NULL,
    canonical  TEXT COLLATE "C" NOT NULL, -- JSON; the hash is of these bytes
    source     TEXT COLLATE "C" NOT NULL,
    first_at   BIGINT NOT NULL,
    applied_at BIGINT NOT NULL, -- when it last became the definition
    applied_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (job, hash)
);
CREATE INDEX definition_versions_applied ON definition_versions (job, applied_at);

-- What was changed, where the path does not say it: versions of definitions.
ALTER TABLE audit ADD COLUMN detail TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE audit DROP COLUMN detail;
DROP TABLE definition_versions;
DROP TABLE definitions;
