// Package blocks stores the bytes of journals in blocks.
//
// A block holds the whole records of an append, uncompressed, in its row or, with SQLite, in a segment
// file beside the database (place.go). After the end of the attempt, blocks are packed into compressed
// ones, in the row or in an archive.
//
// A job that prints a little every second would make many small blocks, so they are merged while they
// arrive: sixteen small neighbours of a tier become one block of the next tier (merge.go), which
// rewrites a byte at most once per tier. The start of a block can therefore come to lie inside a larger
// block. Blocks and BlockData take any offset, so a start that was returned once stays usable. BlockData
// may then return more bytes than the head of the block counts: a reader cuts them at head.Size.
package blocks
