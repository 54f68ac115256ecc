package store

import (
	"context"

	"stint.dev/stint/job"
)

// touch says which runs' leases and owners a transaction may depend on, or change.
type touch struct {
	every bool
	ids   map[string]bool
}

var (
	// allRuns is for transactions that may be about any run.
	allRuns = touch{every: true}
	// noRuns is for transactions that depend on no run's lease or owner, and change none.
	noRuns = touch{}
)

// theseRuns is for transactions that are about some runs.
func theseRuns(ids ...string) touch {
	return runsOf(ids, func(id string) string { return id })
}

// runsOf is for transactions that are about the runs of some items.
func runsOf[T any](items []T, id func(T) string) touch {
	runs := make(map[string]bool, len(items))
	for _, item := range items {
		runs[id(item)] = true
	}
	return touch{ids: runs}
}

// has reports whether a run is among those that are touched.
func (t touch) has(run string) bool { return t.every || t.ids[run] }

// gate is what the transactions of a process pass one by one: it knows heartbeats that the rows
// of their runs do not have yet.
type gate interface {
	// Write runs fn in one transaction, which transact makes. The rows of the runs that it touches
	// are up to date in it. A transaction without fn only brings rows up to date.
	Write(ctx context.Context, touch touch, transact func(context.Context, func(*tx) error) error, fn func(*tx) error) error
	// Behind reports whether there are rows that are not up to date.
	Behind() bool
	// Show puts a heartbeat into a run that its row does not have yet.
	Show(run job.Run) job.Run
}
