// Package store keeps runs, journals, events and tokens in SQLite or PostgreSQL.
//
// Both engines run the same SQL text, with $N parameters; what differs (how to open, how
// to lock rows, which errors may be tried again, the types in the migrations) is in
// sqlite.go, postgres.go and migrations/.
//
// A journal is stored as blocks: what each append brought, raw, in whole records, in the
// row or, with SQLite, in a segment file beside the database (place.go). Once the attempt
// has ended, its blocks are packed into compressed ones, in the row or in an archive
// (pack.go); Maintain does that, and deletes what is not to be kept (keep.go, trim.go).
//
// Small blocks would pile up under a job that prints a little every second, so they are
// merged while they arrive: sixteen small neighbours of the same tier become one block of
// the next tier (see merge.go), which rewrites a byte at most once per tier. A block's
// start therefore can end up inside a larger block. Blocks and BlockData take any
// offset, so a start that was once handed out stays usable; but BlockData may return
// more than the head that its reader holds said, and the reader cuts at head.Size.
//
// The ids of events rise in the order in which their readers see them, those of one run in the
// order in which they happened, and no id is given twice, also after a restore (events.go).
package store
