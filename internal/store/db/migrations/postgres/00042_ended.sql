-- +goose Up
-- How often runs of a job have ended in a state is the sum of ended. Unlike n it never falls: runs that were deleted count.
ALTER TABLE run_counts ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;
UPDATE run_counts SET ended = n WHERE state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost');
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO run_counts (job, state, n) VALUES (OLD.job, OLD.state, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO run_counts (job, state, n, ended) VALUES (NEW.job, NEW.state, 1,
            CASE WHEN NEW.state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost') THEN 1 ELSE 0 END);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO run_counts (job, state, n) VALUES (OLD.job, OLD.state, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO run_counts (job, state, n) VALUES (NEW.job, NEW.state, 1);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
ALTER TABLE run_counts DROP COLUMN ended;
