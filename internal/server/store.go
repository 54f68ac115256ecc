package server

import (
	"context"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	accessapi "stint.dev/stint/internal/server/access"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/httpio"
	outboxapi "stint.dev/stint/internal/server/outbox"
	"stint.dev/stint/internal/server/runs"
)

// Store is what the server needs of the database. internal/store implements it for SQLite
// and PostgreSQL, held to one conformance suite. Methods that name a run or job return
// *query.NotFoundError when it is not there.
type Store interface {
	// Ingest commits a group of appends and beats in one transaction and returns when
	// they are durable. Results stand in the order of the arguments. The error is for
	// the group as a whole: nothing of it was committed.
	Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error)

	// Renew makes beats durable that need no transaction, because their owners are known, and
	// returns the answers to them; nil for a beat that Ingest has to take. It does not wait for
	// what Ingest does with other runs.
	Renew(beats []lease.Beat) []*lease.BeatResult

	// JournalSize is how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
	// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
	// beginning with the one that holds journal offset from (or the first after it).
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlocksFromLine is the same, beginning with the block in which line begins.
	BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start. They are more than
	// BlockHead.Size when the block was merged since its head was read: cut them there.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)

	LastEventID(ctx context.Context) (int64, error)
	KnowsEventID(ctx context.Context, id int64) (bool, error)
	// LockJob returns once nobody else, on this server or another one of the database, holds the
	// lock of a job's name, and keeps it until unlock is called.
	LockJob(ctx context.Context, name string) (unlock func(), err error)

	httpio.RunStore
	runs.Store
	accessapi.Store
	outboxapi.Store
	healthapi.Store

	// Figures counts what is shown to monitoring.
	Figures(ctx context.Context, now time.Time) (query.Figures, error)

	// Installation is the id of the database, a UUID that all its servers share.
	Installation() string

	// Ping reports whether the database answers and may be written to.
	Ping(ctx context.Context) error
}
