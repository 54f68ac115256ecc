// Package store keeps runs, journals, events and tokens in SQLite or PostgreSQL.
//
// A Store joins its parts, which are packages of their own: how transactions work (db), how the
// tables keep runs (tables) and the bytes of journals (blocks), what comes in (intake), what is asked
// (runs), judged (health), notified of (outbox) and allowed (access), and what keeps all that tidy
// (maintenance). What copies and repairs a store is in a package above it (recovery).
package store
