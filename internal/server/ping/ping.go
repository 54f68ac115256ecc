package ping

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// A call of these wires names a job, and not a run. The server finds the run in the store for each call, so that a
// restart changes nothing, and writes the journal of the run itself, so that the run is like any other.

// Store finds the run to which a call belongs, and what is pinged.
type Store interface {
	// Run returns *query.NotFoundError if there is none.
	Run(ctx context.Context, id string) (job.Run, error)
	// WireRun returns the last run of a job on a wire; one without id if there is none.
	WireRun(ctx context.Context, name string, w index.Wire) (job.Run, error)
	// LockJob takes the lock of a job's name, which all servers on the database share. unlock releases it.
	LockJob(ctx context.Context, name string) (unlock func(), err error)

	// TargetByUUID and TargetsBySlug return what is pinged with a UUID, or with a slug: up to two.
	TargetByUUID(ctx context.Context, id string) (t due.Target, ok bool, err error)
	TargetsBySlug(ctx context.Context, slug string) ([]due.Target, error)
	PutDue(ctx context.Context, name string, set api.DueRequest, by string, now time.Time) error
	// CountPulse counts a success that is no run, and NoteReported notes what one that is a run reported.
	CountPulse(ctx context.Context, name string, body []byte, now time.Time) error
	NoteReported(ctx context.Context, name string, failed bool, now time.Time) error
}

// Intake makes appends and heartbeats durable.
type Intake interface {
	Append(ctx context.Context, a index.Append) (index.Appended, error)
	Beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error)
}

// Config configures a Ping.
type Config struct {
	httpio.ErrorWriter
	Store  Store
	Now    func() time.Time
	Intake Intake
	// Claim returns an error unless the caller of a request may write to a run.
	Claim func(ctx context.Context, run string) error
	// Caller returns who pings with a key, or an error.
	Caller func(r *http.Request, key string) (access.Caller, error)
	// ReadJournal returns a reader of the stored journal of an attempt.
	ReadJournal func(ctx context.Context, run string, attempt int) io.Reader
	// BodyStallTimeout is how long the client of a body may send next to nothing, and BodyTimeout how long it may
	// take for the whole body.
	BodyStallTimeout, BodyTimeout time.Duration
}

// Ping handles the calls.
type Ping struct {
	Config
	bodies  *shares.Shares // memory of bodies
	pending sync.WaitGroup // pings that are being stored
}

// New returns a Ping.
func New(cfg Config) *Ping {
	return &Ping{Config: cfg, bodies: shares.New(shares.Limits{
		All: bodyMemory, Token: bodyMemory / 2, Address: bodyMemory / 2, Silence: bodyStall,
	}, time.Now)}
}

// Wait waits until the pings are stored that were accepted.
func (s *Ping) Wait() { s.pending.Wait() }
