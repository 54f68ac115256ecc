// Package store keeps runs, journals, events and tokens in SQLite or PostgreSQL.
//
// A Store joins its parts, which are packages of their own: transactions (db), the rows of runs
// (tables) and the bytes of journals (blocks), appends and heartbeats (intake), queries (runs), leases
// and verdicts (health), notifications and actions (outbox), tokens and sessions (access), and deletion
// and compression (maintenance). Backup and repair of a whole store are in a package above it
// (recovery).
package store
