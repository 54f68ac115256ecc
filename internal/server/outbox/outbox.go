// Package outbox serves what people ask of runs (cancel.go, retry.go, acknowledge.go), the notifications and
// actions in the outbox (actions.go), and the routes of notifications (routes.go).
package outbox

import (
	"context"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Store is the part of the database that the handlers use. Methods that take the name of a run or route
// return *query.NotFoundError if there is none.
type Store interface {
	ActionStore
	RouteStore
}

// ActionStore records what people ask of runs.
type ActionStore interface {
	// Actions returns entries of the outbox, newest first.
	Actions(ctx context.Context, q query.Actions) ([]api.Action, error)
	// RequestCancel records that a run is to stop, changes its state by job.StopRequested, and returns
	// the run and the changes. A repeated request changes nothing.
	RequestCancel(ctx context.Context, run string, c job.Cancel) (job.Run, []job.RunEvent, error)
	// RequestRetry records that the agent of a run that has ended is to begin an attempt after the given
	// one, where 0 is the last one. If it cannot, the error is *outbox.NoRetryError.
	RequestRetry(ctx context.Context, run string, attempt int, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
	// AgentWaits returns a run, and until when its agent waits for a retry.
	AgentWaits(ctx context.Context, run string) (job.Run, time.Time, error)
	// Acknowledge records that a person knows about the failure or finding of a run.
	Acknowledge(ctx context.Context, run, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
	// Unacknowledge removes the acknowledgement of a run, if it has one.
	Unacknowledge(ctx context.Context, run, by string, now time.Time) (job.Run, []job.RunEvent, error)
}

// RouteStore stores the routes of notifications.
type RouteStore interface {
	// Deliveries returns all routes with their secrets, and Route returns one of them.
	Deliveries(ctx context.Context) ([]outbox.Delivery, error)
	Route(ctx context.Context, name string) (api.Route, error)
	SetRoute(ctx context.Context, r api.Route) error
	DeleteRoute(ctx context.Context, name string, now time.Time) error
}

// Outbox handles the requests about actions and routes.
type Outbox struct {
	httpio.Finder
	Store Store
	Now   func() time.Time
	// Notifier checks and tests routes; nil for a server that sends no notifications.
	Notifier Notifier
	// Copied reports whether the database is a restored copy, so that nothing is sent.
	Copied bool
	// Notify wakes the live streams of a run.
	Notify func(run string)
	// Changed is called with the changes of runs that were committed.
	Changed func([]job.RunEvent)
}
