// Package blocks keeps the bytes of journals, in blocks.
//
// A block is what an append brought, raw, in whole records, in its row or, with SQLite, in a
// segment file beside the database (place.go). Once the attempt has ended, blocks are packed into
// compressed ones, in the row or in an archive.
//
// Small blocks would pile up under a job that prints a little every second, so they are
// merged while they arrive: sixteen small neighbours of the same tier become one block of
// the next tier (merge.go), which rewrites a byte at most once per tier. A block's
// start therefore can end up inside a larger block. Blocks and BlockData take any
// offset, so a start that was once handed out stays usable; but BlockData may return
// more than the head that its reader holds said, and the reader cuts at head.Size.
package blocks
