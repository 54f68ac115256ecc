package flush

import (
	"context"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/spool"
)

// Backlog delivers, beside a run, what other agents left in the spool for its server.
type Backlog struct {
	spool   *spool.Spool // nil when there is none
	config  Config
	run     string // which attempt's journal is left alone
	attempt int

	stop context.CancelFunc
	done sync.WaitGroup
}

// NewBacklog prepares a backlog of every journal in a spool, which may be nil, but for that
// of one attempt.
func NewBacklog(s *spool.Spool, c Config, run string, attempt int) *Backlog {
	return &Backlog{spool: s, config: c, run: run, attempt: attempt}
}

// Start begins to deliver when known is closed: the server answers.
func (b *Backlog) Start(ctx context.Context, known <-chan struct{}) {
	ctx, b.stop = context.WithCancel(ctx)
	if b.spool == nil {
		return
	}
	b.done.Go(func() {
		select {
		case <-known:
		case <-ctx.Done():
			return
		}
		if !b.spool.HasOthers(b.run, b.attempt) {
			return
		}
		// What goes wrong here is reported by stint flush; this is a favour.
		_, _ = Run(ctx, b.config)
	})
}

// Finish waits for what is under way, but not longer than a limit.
func (b *Backlog) Finish(limit time.Duration) {
	if limit > 0 {
		timer := time.AfterFunc(limit, b.stop)
		defer timer.Stop()
	} else {
		b.stop()
	}
	b.done.Wait()
	b.stop()
}
