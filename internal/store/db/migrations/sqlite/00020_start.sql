-- +goose Up
-- When a run started, on the server's clock; lists go by it. Of the runs of older servers nobody
-- knows what their agents' clocks were: the agent's time counts as it is.
DROP INDEX runs_newest;
DROP INDEX runs_of_job;
DROP INDEX runs_of_state;
DROP INDEX runs_of_job_state;
DROP INDEX runs_health;
DROP INDEX runs_of_host;
DROP INDEX runs_no_text;
DROP INDEX runs_diagnose;
ALTER TABLE runs ADD COLUMN start_at BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET start_at = MAX(0, MIN(COALESCE(started_at, created_at), created_at)), text_id = NULL;
CREATE INDEX runs_newest ON runs (start_at, id);
CREATE INDEX runs_of_job ON runs (job, start_at, id);
CREATE INDEX runs_of_state ON runs (state, start_at, id);
CREATE INDEX runs_of_job_state ON runs (job, state, start_at, id);
CREATE INDEX runs_health ON runs (health, start_at, id) WHERE leased = 1;
CREATE INDEX runs_of_host ON runs (host, start_at, id);
CREATE INDEX runs_no_text ON runs (start_at, id) WHERE text_id IS NULL;
CREATE INDEX runs_diagnose ON runs (start_at) WHERE diagnose = 1;

ALTER TABLE run_labels RENAME COLUMN created_at TO start_at;
UPDATE run_labels SET start_at = (SELECT start_at FROM runs WHERE id = run_id);

-- Text ids are in the order of starts: the server makes all runs searchable anew.
INSERT INTO run_texts (run_texts) VALUES ('delete-all');

-- +goose Down
INSERT INTO run_texts (run_texts) VALUES ('delete-all');
ALTER TABLE run_labels RENAME COLUMN start_at TO created_at;
UPDATE run_labels SET created_at = (SELECT created_at FROM runs WHERE id = run_id);
DROP INDEX runs_newest;
DROP INDEX runs_of_job;
DROP INDEX runs_of_state;
DROP INDEX runs_of_job_state;
DROP INDEX runs_health;
DROP INDEX runs_of_host;
DROP INDEX runs_no_text;
DROP INDEX runs_diagnose;
UPDATE runs SET text_id = NULL;
ALTER TABLE runs DROP COLUMN start_at;
CREATE INDEX runs_newest ON runs (created_at, id);
CREATE INDEX runs_of_job ON runs (job, created_at, id);
CREATE INDEX runs_of_state ON runs (state, created_at, id);
CREATE INDEX runs_of_job_state ON runs (job, state, created_at, id);
CREATE INDEX runs_health ON runs (health, created_at, id) WHERE leased = 1;
CREATE INDEX runs_of_host ON runs (host, created_at, id);
CREATE INDEX runs_no_text ON runs (created_at, id) WHERE text_id IS NULL;
CREATE INDEX runs_diagnose ON runs (created_at) WHERE diagnose = 1;
