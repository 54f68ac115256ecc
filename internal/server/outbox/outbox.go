// Package outbox takes what people ask of runs, and shows and sets what is sent because of them.
package outbox

import (
	"context"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// Store is what the calls read and set. Methods that name a run or route return
// *query.NotFoundError when it is not there.
type Store interface {
	ActionStore
	RouteStore
}

// ActionStore records what people ask of runs.
type ActionStore interface {
	// Actions returns outbox rows, newest first.
	Actions(ctx context.Context, q query.Actions) ([]job.Action, error)
	// RequestCancel records that somebody wants the run to stop, moves its state by
	// job.StopRequested and returns the run and what changed. Repeating it is harmless.
	RequestCancel(ctx context.Context, run string, c job.Cancel) (job.Run, []job.RunEvent, error)
	// RequestRetry asks the agent of a run that has ended for an attempt after the given one
	// (0: the last one); the error is also *outbox.NoRetryError.
	RequestRetry(ctx context.Context, run string, attempt int, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
	// AgentWaits returns a run, and until when its agent waits for a retry.
	AgentWaits(ctx context.Context, run string) (job.Run, time.Time, error)
	// Acknowledge records that a person knows what is wrong with a run.
	Acknowledge(ctx context.Context, run, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
	// Unacknowledge takes that back. Without an acknowledgement nothing changes.
	Unacknowledge(ctx context.Context, run, by string, now time.Time) (job.Run, []job.RunEvent, error)
}

// RouteStore keeps the routes of notifications.
type RouteStore interface {
	// Deliveries returns every route with its secret; Route one of them.
	Deliveries(ctx context.Context) ([]outbox.Delivery, error)
	Route(ctx context.Context, name string) (job.Route, error)
	SetRoute(ctx context.Context, r job.Route) error
	DeleteRoute(ctx context.Context, name string, now time.Time) error
}

// Outbox answers the calls.
type Outbox struct {
	httpio.Finder
	Store Store
	Now   func() time.Time
	// Notifier checks and tests routes; nil for a server that sends nothing.
	Notifier Notifier
	// Copied reports that the server works on a restored copy, and sends nothing.
	Copied bool
	// Notify wakes those who follow a run.
	Notify func(run string)
	// Changed counts changes of runs.
	Changed func([]job.RunEvent)
}
