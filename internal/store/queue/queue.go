// Package queue keeps the runs that wait for a worker: submissions, their ranks, what they wait
// for.
package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/job"
)

// Queue is the queue of one database.
type Queue struct {
	*db.DB
	places  *groups.Places
	mu      sync.Mutex
	waiting map[string]int64 // the entries of each job, and of everything, as they were counted
	counted time.Time
	workers func(context.Context) ([]rules.Worker, error) // nil: not known
}

// New makes the queue of a database.
func New(d *db.DB) *Queue { return &Queue{DB: d, places: groups.New(d)} }

// Entry is an attempt that waits in the queue, or that a worker has claimed.
type Entry struct {
	Run     string
	Attempt int
	// NotBefore is when it may start; nil for now.
	NotBefore *time.Time
	// Avoid are hosts on which the run has failed.
	Avoid []string
	// MemoryBytes is the limit of this attempt; 0 for that of the spec.
	MemoryBytes int64
	// Held is why a person has to release it first; empty for nothing.
	Held string

	// What follows is of the submission. Enqueue reads it from there.

	Job        string
	Definition string
	Group      string
	Weight     int64
	StartBy    *time.Time // for an attempt that has not started
	Spec       job.Spec   // with MemoryBytes
	Parameters map[string]string
}

// States of entries besides the gates of rules.Gate.
const (
	ready = "ready" // it has a row in queue_ready
	Taken = "taken" // a worker has a claim
)

// What the columns become that say how long the wait of an entry counts, at the time $3: waits_since is from when, less
// the time before in which somebody wanted it to wait; it is NULL while that is so, and waited is the time that counts.
const (
	waitCounts = `waits_since = COALESCE(waits_since, CAST($3 AS BIGINT) - waited)`
	waitStops  = `waited = COALESCE(CAST($3 AS BIGINT) - waits_since, waited), waits_since = NULL`
)

// AnyReady reports whether a run is ready for any worker.
func (s *Queue) AnyReady(ctx context.Context) (bool, error) { return IsAnyReady(ctx, s.Reader) }

// IsAnyReady is AnyReady of a database.
func IsAnyReady(ctx context.Context, from db.Querier) (bool, error) {
	n, err := db.QueryNumbers(ctx, from, `SELECT COUNT(*) FROM (SELECT 1 FROM queue_ready LIMIT 1) AS one`)
	if err != nil {
		return false, fmt.Errorf("read whether a run is ready: %w", err)
	}
	return n[0] > 0, nil
}

// RunsReady returns a channel that is closed when a run becomes ready the next time.
func (s *Queue) RunsReady() <-chan struct{} { return s.Signals.Ready.Raised() }
