-- +goose Up
-- Where the bytes of a block are: in data, or in a segment file, or in an object of the
-- archive; then data is empty.
ALTER TABLE blocks ADD COLUMN codec SMALLINT NOT NULL DEFAULT 0; -- 0 as they came, 1 zstd, 2 dropped: only head and samples are left
ALTER TABLE blocks ADD COLUMN stored BIGINT;  -- how many bytes are kept, when not in data
ALTER TABLE blocks ADD COLUMN segment BIGINT;
ALTER TABLE blocks ADD COLUMN object BIGINT;  -- row of objects
ALTER TABLE blocks ADD COLUMN place BIGINT;   -- offset in the segment or object
CREATE INDEX blocks_segment ON blocks (segment, place) WHERE segment IS NOT NULL;
CREATE INDEX blocks_object ON blocks (object) WHERE object IS NOT NULL;

ALTER TABLE attempts ADD COLUMN packed BIGINT NOT NULL DEFAULT 0; -- the journal up to here is packed
ALTER TABLE attempts ADD COLUMN pack_at BIGINT;                   -- when packing may go on; NULL: nothing to pack
ALTER TABLE attempts ADD COLUMN claim TEXT;                       -- who packs it now
CREATE INDEX attempts_pack ON attempts (pack_at) WHERE pack_at IS NOT NULL;

-- Objects of the archive, from before they are written until after they are deleted.
CREATE TABLE objects (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    state      TEXT NOT NULL,   -- writing, live, dead
    size       BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX objects_state ON objects (state, changed_at) WHERE state <> 'live';

-- What a heartbeat is answered, without reading the document of the run.
ALTER TABLE runs ADD COLUMN cancel TEXT; -- job.Cancel as JSON
UPDATE runs SET cancel = json_extract(doc, '$.cancel') WHERE json_extract(doc, '$.cancel') IS NOT NULL;

-- +goose Down
ALTER TABLE runs DROP COLUMN cancel;
DROP TABLE objects;
DROP INDEX attempts_pack;
ALTER TABLE attempts DROP COLUMN claim;
ALTER TABLE attempts DROP COLUMN pack_at;
ALTER TABLE attempts DROP COLUMN packed;
DROP INDEX blocks_object;
DROP INDEX blocks_segment;
ALTER TABLE blocks DROP COLUMN place;
ALTER TABLE blocks DROP COLUMN object;
ALTER TABLE blocks DROP COLUMN segment;
ALTER TABLE blocks DROP COLUMN stored;
ALTER TABLE blocks DROP COLUMN codec;
