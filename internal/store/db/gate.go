package db

import (
	"context"

	"stint.dev/stint/job"
)

// Touch says which runs' leases and owners a transaction may depend on, or change.
type Touch struct {
	Every bool
	Ids   map[string]bool
}

var (
	// All is for transactions that may be about any run.
	All = Touch{Every: true}
	// None is for transactions that depend on no run's lease or owner, and change none.
	None = Touch{}
)

// Runs is for transactions that are about some runs.
func Runs(ids ...string) Touch {
	return RunsOf(ids, func(id string) string { return id })
}

// RunsOf is for transactions that are about the runs of some items.
func RunsOf[T any](items []T, id func(T) string) Touch {
	runs := make(map[string]bool, len(items))
	for _, item := range items {
		runs[id(item)] = true
	}
	return Touch{Ids: runs}
}

// Has reports whether a run is among those that are touched.
func (t Touch) Has(run string) bool { return t.Every || t.Ids[run] }

// gate is what the transactions of a process pass one by one: it knows heartbeats that the rows
// of their runs do not have yet.
type gate interface {
	// Write runs fn in one transaction, which transact makes. The rows of the runs that it touches
	// are up to date in it. A transaction without fn only brings rows up to date.
	Write(ctx context.Context, touch Touch, transact func(context.Context, func(*Tx) error) error, fn func(*Tx) error) error
	// Behind reports whether there are rows that are not up to date.
	Behind() bool
	// Show puts a heartbeat into a run that its row does not have yet.
	Show(run job.Run) job.Run
}
