package server

import (
	"context"
	"time"

	"stint.dev/stint/internal/query"
	accessapi "stint.dev/stint/internal/server/access"
	"stint.dev/stint/internal/server/definitions"
	"stint.dev/stint/internal/server/due"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/intake"
	"stint.dev/stint/internal/server/jobmetrics"
	"stint.dev/stint/internal/server/live"
	logsapi "stint.dev/stint/internal/server/logs"
	outboxapi "stint.dev/stint/internal/server/outbox"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/queue"
	"stint.dev/stint/internal/server/runs"
)

// Store is the part of the database that the server uses: the sum of the interfaces that the
// packages below declare. internal/store implements it for SQLite and PostgreSQL. Methods that take
// the name of a run or job return *query.NotFoundError if there is none.
type Store interface {
	httpio.RunStore
	intake.Store
	runs.Store
	accessapi.Store
	definitions.Store
	definitions.ScheduleStore
	definitions.CalendarStore
	due.Store
	queue.SubmitStore
	queue.QueueStore
	queue.GroupStore
	queue.WorkerStore
	healthapi.QueueStore
	outboxapi.Store
	ping.Store
	live.Store
	logsapi.Store
	healthapi.Store
	jobmetrics.Store

	// Figures returns the counts that are shown as metrics.
	Figures(ctx context.Context, now time.Time) (query.Figures, error)

	// Ping returns an error unless the database responds and can be written to.
	Ping(ctx context.Context) error
}
