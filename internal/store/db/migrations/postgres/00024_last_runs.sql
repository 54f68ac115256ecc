-- +goose Up
-- The last runs of a job, with what an overview shows of them, are read off this index alone.
DROP INDEX runs_of_job;
CREATE INDEX runs_of_job ON runs (job, start_at, id, number, state);

-- +goose Down
DROP INDEX runs_of_job;
CREATE INDEX runs_of_job ON runs (job, start_at, id);
