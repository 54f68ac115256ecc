// Package db is the one way to a transaction, in SQLite and in PostgreSQL.
//
// Both engines run the same SQL text, with $N parameters; what differs (how to open, how
// to lock rows, which errors may be tried again, the types in the migrations) is in
// sqlite.go, postgres.go and migrations/. Every transaction says which runs it is about (Touch),
// and passes the gate, which keeps the heartbeats of those runs out meanwhile.
package db
