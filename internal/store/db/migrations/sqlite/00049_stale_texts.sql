-- +goose Up
-- Rows of run_texts whose runs have another text now. They are deleted with the next tidying, many at once: each statement that
-- changes run_texts writes a part of its own to the index, which is merged with the others later.
CREATE TABLE stale_texts (
    text_id INTEGER PRIMARY KEY
);
DROP TRIGGER runs_text_changed;
-- +goose StatementBegin
CREATE TRIGGER runs_text_changed AFTER UPDATE OF search ON runs WHEN old.text_id IS NOT NULL AND old.search <> new.search BEGIN
    INSERT INTO stale_texts (text_id) VALUES (old.text_id);
    UPDATE runs SET text_id = NULL WHERE id = new.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER runs_text_changed;
DELETE FROM run_texts WHERE rowid IN (SELECT text_id FROM stale_texts);
-- +goose StatementBegin
CREATE TRIGGER runs_text_changed AFTER UPDATE OF search ON runs WHEN old.text_id IS NOT NULL AND old.search <> new.search BEGIN
    DELETE FROM run_texts WHERE rowid = old.text_id;
    UPDATE runs SET text_id = NULL WHERE id = new.id;
END;
-- +goose StatementEnd
DROP TABLE stale_texts;
