package db

import (
	"context"

	"stint.dev/stint/job"
)

// Touch is the set of runs whose leases and owners a transaction may read or change.
type Touch struct {
	Every bool // all runs; IDs is empty
	IDs   map[string]bool
}

var (
	// All is for a transaction that may read or change any run.
	All = Touch{Every: true}
	// None is for a transaction that reads and changes no lease or owner.
	None = Touch{}
)

// Runs returns the set of the given runs.
func Runs(ids ...string) Touch {
	return RunsOf(ids, func(id string) string { return id })
}

// RunsOf returns the set of the runs of items.
func RunsOf[T any](items []T, id func(T) string) Touch {
	runs := make(map[string]bool, len(items))
	for _, item := range items {
		runs[id(item)] = true
	}
	return Touch{IDs: runs}
}

// Has reports whether the set contains a run.
func (t Touch) Has(run string) bool { return t.Every || t.IDs[run] }

// gate runs the transactions of a process one after the other. It holds heartbeats that are not in
// the rows of their runs yet.
type gate interface {
	// Write runs fn in one transaction, which transact makes, after it has stored the heartbeats of
	// the runs in touch. If fn is nil, the transaction only stores heartbeats.
	Write(ctx context.Context, touch Touch, transact func(context.Context, func(*Tx) error) error, fn func(*Tx) error) error
	// HasUnflushed reports whether there are heartbeats that are not in the rows of their runs.
	HasUnflushed() bool
	// WithHeartbeat returns a run with the time of its last heartbeat.
	WithHeartbeat(run job.Run) job.Run
}
