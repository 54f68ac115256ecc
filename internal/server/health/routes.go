// Package health serves the results of the health rules (explain.go), comparisons of runs (changes.go), and
// the policies of jobs (policy.go).
package health

import (
	"context"
	"net/http"
	"time"

	"stint.dev/stint/internal/health/diagnose"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Store is the part of the database that the handlers use. Methods that take the name of a run or job
// return *query.NotFoundError if there is none.
type Store interface {
	diagnose.Store
	PolicyStore
	PastStore
}

// QueueStore explains queued runs.
type QueueStore interface {
	// RunOccurrence returns the time of a schedule for which a run was made; nil if it was made for none.
	RunOccurrence(ctx context.Context, run string) (*api.RunOccurrence, error)
	// ExplainQueued returns what a run waits for; nil for a run that is not in the queue.
	ExplainQueued(ctx context.Context, run string) (*job.QueuedRun, error)
	// WaitingRun returns what the health rule about waiting judges a run by, with what is known of workers at a time; nil
	// for a run that is not in the queue.
	WaitingRun(ctx context.Context, run string, now time.Time) (*queue.WaitingRun, error)
}

// PolicyStore stores the policies of jobs.
type PolicyStore interface {
	// Policy returns the policy of a job.
	Policy(ctx context.Context, name string) (policy.Stored, error)
	// PendingLimits returns the limits of retention that wait.
	PendingLimits(ctx context.Context) ([]keep.Pending, error)
	SetPolicy(ctx context.Context, p policy.Stored, actions []byte) error
	DeletePolicy(ctx context.Context, name string) error
}

// PastStore reads runs.
type PastStore interface {
	Run(ctx context.Context, id string) (job.Run, error)
	Runs(ctx context.Context, q query.Runs) (query.RunPage, error)
	// Events returns the changes after an id, oldest first.
	Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error)
	// Samples returns samples of an attempt in the order of time.
	Samples(ctx context.Context, run string, attempt int, q query.Samples) (query.SampleSeries, error)
	// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
	// beginning with the one that holds journal offset from (or the first after it).
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// Neighbors returns the runs of the same job that started just before and just after a run.
	Neighbors(ctx context.Context, run job.Run) (api.Neighbors, error)
}

// Routes handles the requests about health and policies.
type Routes struct {
	httpio.Finder
	Store Store
	Queue QueueStore
	Now   func() time.Time
	// HeavyRead waits for a place among the requests that read a lot. The context that it returns ends
	// when the request must end for another one.
	HeavyRead func(*http.Request) (context.Context, *shares.Place, error)
}
