package server

import (
	"context"
	"time"

	"stint.dev/stint/internal/query"
	accessapi "stint.dev/stint/internal/server/access"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/intake"
	"stint.dev/stint/internal/server/live"
	logsapi "stint.dev/stint/internal/server/logs"
	outboxapi "stint.dev/stint/internal/server/outbox"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/runs"
)

// Store is what the server needs of the database. internal/store implements it for SQLite
// and PostgreSQL, held to one conformance suite. Methods that name a run or job return
// *query.NotFoundError when it is not there.
type Store interface {
	httpio.RunStore
	intake.Store
	runs.Store
	accessapi.Store
	outboxapi.Store
	ping.Store
	live.Store
	logsapi.Store
	healthapi.Store

	// Figures counts what is shown to monitoring.
	Figures(ctx context.Context, now time.Time) (query.Figures, error)

	// Ping reports whether the database answers and may be written to.
	Ping(ctx context.Context) error
}
