package server

import (
	"context"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/job/ref"
)

const (
	// maxReads is how many reads for requests the database does at once. It is less than the number
	// of connections that read, so that the health monitor and appends never wait for such reads.
	maxReads = 4
	// maxReadsOfOwner is how many of them may be for one client while others wait.
	maxReadsOfOwner = maxReads / 2
	// readTurnTimeout is how long a read waits for others.
	readTurnTimeout = 5 * time.Second
)

// sharedReads is a Store that limits how many reads run at once, and divides them among the clients
// that send requests. The reads that appends and heartbeats need are not limited.
type sharedReads struct {
	Store
	turns *shares.Shares
}

func shareReads(store Store) *sharedReads {
	return &sharedReads{store, shares.New(shares.Limits{All: maxReads, Token: maxReadsOfOwner, Address: maxReadsOfOwner}, time.Now)}
}

// readInTurn waits until the client that sent the request of ctx may read, and calls read.
func readInTurn[T any](ctx context.Context, s *sharedReads, read func() (T, error)) (T, error) {
	var none T
	defer httpio.TurnOf(ctx).Pause()()
	limit, cancel := context.WithTimeout(ctx, readTurnTimeout)
	defer cancel()
	place, err := s.turns.EnterWait(limit, access.CallerOf(ctx).Owner(), 1, nil)
	if ctx.Err() != nil {
		place.Leave()
		return none, ctx.Err()
	}
	if err != nil {
		return none, httpio.Busy(http.StatusTooManyRequests, time.Second, "the database is busy with other reads: %s", err)
	}
	defer place.Leave()
	return read()
}

// BlockData is not limited, because it may wait for an archive and not for the database.
func (s *sharedReads) BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error) {
	defer httpio.TurnOf(ctx).Pause()()
	return s.Store.BlockData(ctx, run, attempt, start)
}

// Each of the following methods is that of Store, limited as above.

func (s *sharedReads) Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error) {
	return readInTurn(ctx, s, func() ([]index.BlockHead, error) { return s.Store.Blocks(ctx, run, attempt, from, limit) })
}

func (s *sharedReads) BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error) {
	return readInTurn(ctx, s, func() ([]index.BlockHead, error) { return s.Store.BlocksFromLine(ctx, run, attempt, line, limit) })
}

func (s *sharedReads) LastBlocks(ctx context.Context, run string, attempt, limit int) ([]index.BlockHead, error) {
	return readInTurn(ctx, s, func() ([]index.BlockHead, error) { return s.Store.LastBlocks(ctx, run, attempt, limit) })
}

func (s *sharedReads) FindRun(ctx context.Context, r ref.Ref) (string, error) {
	return readInTurn(ctx, s, func() (string, error) { return s.Store.FindRun(ctx, r) })
}

func (s *sharedReads) Run(ctx context.Context, id string) (job.Run, error) {
	return readInTurn(ctx, s, func() (job.Run, error) { return s.Store.Run(ctx, id) })
}

func (s *sharedReads) RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error) {
	return readInTurn(ctx, s, func() (job.Run, error) { return s.Store.RunAttempt(ctx, id, attempt) })
}

func (s *sharedReads) Runs(ctx context.Context, q query.Runs) (query.RunPage, error) {
	return readInTurn(ctx, s, func() (query.RunPage, error) { return s.Store.Runs(ctx, q) })
}

func (s *sharedReads) RunCounts(ctx context.Context, q query.Runs) (query.RunCounts, error) {
	return readInTurn(ctx, s, func() (query.RunCounts, error) { return s.Store.RunCounts(ctx, q) })
}

func (s *sharedReads) LiveAgents(ctx context.Context) ([]lease.LiveAgent, error) {
	return readInTurn(ctx, s, func() ([]lease.LiveAgent, error) { return s.Store.LiveAgents(ctx) })
}

func (s *sharedReads) Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error) {
	return readInTurn(ctx, s, func() ([]job.RunEvent, error) { return s.Store.Events(ctx, run, after, limit) })
}

func (s *sharedReads) AgentWaits(ctx context.Context, id string) (run job.Run, until time.Time, err error) {
	run, err = readInTurn(ctx, s, func() (job.Run, error) {
		var err error
		run, until, err = s.Store.AgentWaits(ctx, id)
		return run, err
	})
	return run, until, err
}

func (s *sharedReads) KnowsEventID(ctx context.Context, id int64) (bool, error) {
	return readInTurn(ctx, s, func() (bool, error) { return s.Store.KnowsEventID(ctx, id) })
}

func (s *sharedReads) LastEventID(ctx context.Context) (int64, error) {
	return readInTurn(ctx, s, func() (int64, error) { return s.Store.LastEventID(ctx) })
}

func (s *sharedReads) Jobs(ctx context.Context, q query.Jobs) (query.JobPage, error) {
	return readInTurn(ctx, s, func() (query.JobPage, error) { return s.Store.Jobs(ctx, q) })
}

func (s *sharedReads) Overview(ctx context.Context, q query.Overview) (api.Overview, error) {
	return readInTurn(ctx, s, func() (api.Overview, error) { return s.Store.Overview(ctx, q) })
}

func (s *sharedReads) Job(ctx context.Context, name string) (api.Summary, error) {
	return readInTurn(ctx, s, func() (api.Summary, error) { return s.Store.Job(ctx, name) })
}

func (s *sharedReads) Expected(ctx context.Context, names ...string) (map[string]*job.Expected, error) {
	return readInTurn(ctx, s, func() (map[string]*job.Expected, error) { return s.Store.Expected(ctx, names...) })
}

func (s *sharedReads) Neighbors(ctx context.Context, run job.Run) (api.Neighbors, error) {
	return readInTurn(ctx, s, func() (api.Neighbors, error) { return s.Store.Neighbors(ctx, run) })
}

func (s *sharedReads) GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error) {
	return readInTurn(ctx, s, func() ([]job.Run, error) { return s.Store.GoodRunsBefore(ctx, run, limit) })
}

func (s *sharedReads) Lease(ctx context.Context, run string) (lease.Lease, error) {
	return readInTurn(ctx, s, func() (lease.Lease, error) { return s.Store.Lease(ctx, run) })
}

func (s *sharedReads) SampledBytes(ctx context.Context, run string, attempt int) (int64, error) {
	return readInTurn(ctx, s, func() (int64, error) { return s.Store.SampledBytes(ctx, run, attempt) })
}

func (s *sharedReads) Figures(ctx context.Context, now time.Time) (query.Figures, error) {
	return readInTurn(ctx, s, func() (query.Figures, error) { return s.Store.Figures(ctx, now) })
}

func (s *sharedReads) Troubled(ctx context.Context, limit int) ([]job.TroubledItem, error) {
	return readInTurn(ctx, s, func() ([]job.TroubledItem, error) { return s.Store.Troubled(ctx, limit) })
}
