// Package db runs transactions and queries in SQLite or PostgreSQL.
//
// Both engines run the same SQL text, with $N parameters. Their differences (opening, row locks,
// errors after which a transaction is run again, types in the migrations) are in sqlite.go,
// postgres.go and migrations/. Every transaction names the runs whose leases it may change (Touch),
// and runs through the gate, which takes no heartbeats of those runs meanwhile.
package db
