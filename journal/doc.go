// Package journal is the format of a journal: the append-only record of one attempt.
//
// A journal is a 16-byte header and then records, each with a 17-byte frame (checksum,
// length, type, time) and a payload. The last record of a finished attempt is its outcome,
// which also has the length and the digest of everything before it, so that two copies
// can be proved equal. docs/journal.md specifies every byte and has test vectors.
//
// The package imports the standard library and the words of package job, does no IO but
// through the io interfaces it is given, and reads no clock.
package journal
