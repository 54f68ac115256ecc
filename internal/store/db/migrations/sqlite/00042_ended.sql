-- +goose Up
-- How often runs of a job have ended in a state. Unlike n it never falls: runs that were deleted count.
ALTER TABLE run_counts ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;
UPDATE run_counts SET ended = n WHERE state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost');
DROP TRIGGER runs_counted;
DROP TRIGGER runs_recounted;
-- +goose StatementBegin
CREATE TRIGGER runs_counted AFTER INSERT ON runs BEGIN
    INSERT INTO run_counts (job, state, n, ended) VALUES (new.job, new.state, 1, new.state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost'))
        ON CONFLICT (job, state) DO UPDATE SET n = n + 1, ended = ended + excluded.ended;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_recounted AFTER UPDATE OF state ON runs WHEN old.state <> new.state BEGIN
    UPDATE run_counts SET n = n - 1 WHERE job = old.job AND state = old.state;
    INSERT INTO run_counts (job, state, n, ended) VALUES (new.job, new.state, 1, new.state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost'))
        ON CONFLICT (job, state) DO UPDATE SET n = n + 1, ended = ended + excluded.ended;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER runs_recounted;
DROP TRIGGER runs_counted;
ALTER TABLE run_counts DROP COLUMN ended;
-- +goose StatementBegin
CREATE TRIGGER runs_counted AFTER INSERT ON runs BEGIN
    INSERT INTO run_counts (job, state, n) VALUES (new.job, new.state, 1) ON CONFLICT (job, state) DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_recounted AFTER UPDATE OF state ON runs WHEN old.state <> new.state BEGIN
    UPDATE run_counts SET n = n - 1 WHERE job = old.job AND state = old.state;
    INSERT INTO run_counts (job, state, n) VALUES (new.job, new.state, 1) ON CONFLICT (job, state) DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
