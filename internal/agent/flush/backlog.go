package flush

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"stint.dev/stint/internal/agent/spool"
)

const (
	// The spool is read again outageInterval after the server did not answer, and idleInterval
	// after everything was tried.
	outageInterval = time.Minute
	idleInterval   = 10 * time.Minute
	// stopLimit bounds the wait for a backlog that was stopped.
	stopLimit = 200 * time.Millisecond
)

// Backlog delivers, while a job runs, what other agents left in the spool for its server. It
// never delays the job's end.
type Backlog struct {
	spool  *spool.Spool
	config Config
	except string // the entry of the run that is at work

	cancel context.CancelFunc
	done   chan struct{}
}

// NewBacklog prepares the delivery of every journal in a spool but for that of one attempt.
func NewBacklog(s *spool.Spool, c Config, run string, attempt int) *Backlog {
	return &Backlog{spool: s, config: c, except: run + "." + strconv.Itoa(attempt), done: make(chan struct{})}
}

// Start begins to deliver when known is closed: the server answers. A job that has ended
// before (ended is closed) lets it try while its own journal is sent.
func (b *Backlog) Start(ctx context.Context, known, ended <-chan struct{}) {
	ctx, b.cancel = context.WithCancel(ctx)
	go func() {
		defer close(b.done)
		select {
		case <-known:
		case <-ended:
		case <-ctx.Done():
			return
		}
		b.deliver(ctx)
	}()
}

func (b *Backlog) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		b.spool.Sweep(time.Now(), b.config.Host)
		// Errors are reported by stint flush: what waits here is not this job's.
		report, _ := deliverAll(ctx, b.spool, b.config, b.except)
		pause := idleInterval
		if n := len(report.Journals); n > 0 && isOutage(report.Journals[n-1].Err) {
			pause = outageInterval
		}
		timer := time.NewTimer(pause + rand.N(pause/4))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// Stop ends the delivery. What the server has received counts, and the rest waits as it
// did. A disk that does not answer is not waited for: the goroutine ends when it does.
func (b *Backlog) Stop() {
	b.cancel()
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-b.done:
	case <-limit.C:
	}
}
