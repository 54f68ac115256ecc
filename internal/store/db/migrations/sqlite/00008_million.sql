-- +goose Up
-- How many runs of each job are in each state, kept by the triggers below, so that nobody
-- counts a million rows.
CREATE TABLE run_counts (
    job   TEXT NOT NULL,
    state TEXT NOT NULL,
    n     BIGINT NOT NULL,
    PRIMARY KEY (job, state)
) WITHOUT ROWID;
INSERT INTO run_counts (job, state, n) SELECT job, state, COUNT(*) FROM runs GROUP BY job, state;
-- +goose StatementBegin
CREATE TRIGGER runs_counted AFTER INSERT ON runs BEGIN
    INSERT INTO run_counts (job, state, n) VALUES (new.job, new.state, 1) ON CONFLICT (job, state) DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_uncounted AFTER DELETE ON runs BEGIN
    UPDATE run_counts SET n = n - 1 WHERE job = old.job AND state = old.state;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_recounted AFTER UPDATE OF state ON runs WHEN old.state <> new.state BEGIN
    UPDATE run_counts SET n = n - 1 WHERE job = old.job AND state = old.state;
    INSERT INTO run_counts (job, state, n) VALUES (new.job, new.state, 1) ON CONFLICT (job, state) DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd

-- The texts of runs by all that stands in three letters of them. rowid is text_id of the
-- run, in the order of time. A run without one is not here yet: it comes with the next
-- tidying, not with the append that begins it.
ALTER TABLE runs ADD COLUMN text_id BIGINT;
CREATE UNIQUE INDEX runs_text ON runs (text_id) WHERE text_id IS NOT NULL;
CREATE INDEX runs_no_text ON runs (created_at, id) WHERE text_id IS NULL;
CREATE VIRTUAL TABLE run_texts USING fts5(words, content='', contentless_delete=1, detail='none', tokenize='trigram');
-- +goose StatementBegin
CREATE TRIGGER runs_text_gone AFTER DELETE ON runs WHEN old.text_id IS NOT NULL BEGIN
    DELETE FROM run_texts WHERE rowid = old.text_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER runs_text_changed AFTER UPDATE OF search ON runs WHEN old.text_id IS NOT NULL AND old.search <> new.search BEGIN
    DELETE FROM run_texts WHERE rowid = old.text_id;
    UPDATE runs SET text_id = NULL WHERE id = new.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER runs_text_changed;
DROP TRIGGER runs_text_gone;
DROP TABLE run_texts;
DROP INDEX runs_no_text;
DROP INDEX runs_text;
ALTER TABLE runs DROP COLUMN text_id;
DROP TRIGGER runs_recounted;
DROP TRIGGER runs_uncounted;
DROP TRIGGER runs_counted;
DROP TABLE run_counts;
