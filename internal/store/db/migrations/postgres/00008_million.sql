-- +goose Up
-- How many runs of each job are in each state is the sum of n. Every change adds rows, so
-- that two servers never wait for each other; the tidying adds them up.
CREATE TABLE run_counts (
    job   TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    n     BIGINT NOT NULL
);
CREATE INDEX run_counts_of_job ON run_counts (job);
INSERT INTO run_counts (job, state, n) SELECT job, state, COUNT(*) FROM runs GROUP BY job, state;
-- +goose StatementBegin
CREATE FUNCTION runs_counted() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER runs_counted AFTER INSERT OR DELETE ON runs FOR EACH ROW EXECUTE FUNCTION runs_counted();
CREATE TRIGGER runs_recounted AFTER UPDATE OF state ON runs FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION runs_counted();

-- The texts of runs, apart from what heartbeats change. text_id is that of the run, in the
-- order of time. A run without one is not here yet: it comes with the next tidying.
ALTER TABLE runs ADD COLUMN text_id BIGINT;
CREATE UNIQUE INDEX runs_text ON runs (text_id) WHERE text_id IS NOT NULL;
CREATE INDEX runs_no_text ON runs (created_at, id) WHERE text_id IS NULL;
CREATE TABLE run_texts (
    text_id BIGINT PRIMARY KEY,
    created BIGINT NOT NULL,
    run     TEXT COLLATE "C" NOT NULL,
    words   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX run_texts_newest ON run_texts (created, run);
-- Without the extension, which comes with PostgreSQL and which the owner of a database may
-- create since version 13, a search in texts reads all of run_texts.
-- +goose StatementBegin
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX run_texts_words ON run_texts USING gin (words gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'no index for texts: %', SQLERRM;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION runs_text_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM run_texts WHERE text_id = OLD.text_id;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    NEW.text_id := NULL;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER runs_text_gone BEFORE DELETE ON runs FOR EACH ROW WHEN (OLD.text_id IS NOT NULL) EXECUTE FUNCTION runs_text_gone();
CREATE TRIGGER runs_text_changed BEFORE UPDATE OF search ON runs FOR EACH ROW
    WHEN (OLD.text_id IS NOT NULL AND OLD.search <> NEW.search) EXECUTE FUNCTION runs_text_gone();

-- +goose Down
DROP TRIGGER runs_text_changed ON runs;
DROP TRIGGER runs_text_gone ON runs;
DROP FUNCTION runs_text_gone();
DROP TABLE run_texts;
DROP INDEX runs_no_text;
DROP INDEX runs_text;
ALTER TABLE runs DROP COLUMN text_id;
DROP TRIGGER runs_recounted ON runs;
DROP TRIGGER runs_counted ON runs;
DROP FUNCTION runs_counted();
DROP TABLE run_counts;
