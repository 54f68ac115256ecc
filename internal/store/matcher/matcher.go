// Package matcher checks the queue periodically: it makes runs ready that wait for nothing any
// more, and ends those that cannot start.
package matcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
)

const (
	// interval is the pause between two rounds that nothing woke: times come, and other servers change
	// the same database. With a round itself, nothing is noticed later than after a second.
	interval = 900 * time.Millisecond
	// listenAgain is the pause before a connection is made again that failed, for notifications of other servers.
	listenAgain = time.Second
	// apart is the least time between the ends and the begins of rounds, so that many changes are one
	// round.
	apart = 5 * time.Millisecond
	// sweepInterval is the pause between searches for what a server that died has left.
	sweepInterval = 30 * time.Second
	tidyInterval  = time.Minute
)

// Matcher is that of one database.
type Matcher struct {
	*db.DB
	queue *queue.Queue
}

// New makes the matcher of a database.
func New(d *db.DB, q *queue.Queue) *Matcher { return &Matcher{DB: d, queue: q} }

// RunQueue does rounds until ctx ends: when something may have become ready, and each second. changed is
// called with runs that ended without a start. Several servers may do this with one database; meanwhile each is notified
// of runs that others make ready.
func (m *Matcher) RunQueue(ctx context.Context, log *slog.Logger, changed func(job.Run)) {
	var listening sync.WaitGroup
	listening.Go(func() { m.listen(ctx, log) })
	defer listening.Wait()
	failures := periodic.Failures{Log: log, Failing: "the queue cannot be matched: runs that could start may wait", Working: "the queue is matched again"}
	var swept, tidied time.Time
	for ctx.Err() == nil {
		woken := m.Signals.Match.Raised()
		sweep := time.Since(swept) >= sweepInterval
		err := m.MatchQueue(ctx, sweep, changed)
		if sweep && err == nil {
			swept = time.Now()
		}
		if time.Since(tidied) >= tidyInterval {
			tidied = time.Now()
			err = errors.Join(err, m.TidyQueue(ctx))
		}
		failures.Note(ctx, err)
		if db.Sleep(ctx, apart) == nil {
			waitFor(ctx, woken, interval)
		}
	}
}

// listen waits for notifications of other servers until ctx ends.
func (m *Matcher) listen(ctx context.Context, log *slog.Logger) {
	failures := periodic.Failures{Log: log, Failing: "other servers cannot notify this one of runs that are ready: they may start later", Working: "other servers notify this one of runs again"}
	for m.Dialect.Postgres && ctx.Err() == nil {
		failures.Note(ctx, m.ListenReady(ctx, func() { failures.Note(ctx, nil) }))
		_ = db.Sleep(ctx, listenAgain) // it ends with ctx
	}
}

// waitFor waits for a signal, but no longer than a time.
func waitFor(ctx context.Context, woken <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-timer.C:
	}
}

// MatchQueue is one round. With sweep it also looks for runs whose dependency ended unnoticed, because a
// server died, and wakes those who wait for a run if one is ready: a notification of another server may be lost with a
// connection. Otherwise only what becomes ready wakes them, so that one that nobody may take costs nothing.
func (m *Matcher) MatchQueue(ctx context.Context, sweep bool, changed func(job.Run)) error {
	err := errors.Join(m.endDependencies(ctx, sweep, changed), m.expire(ctx, changed), m.queue.FollowClock(ctx), m.queue.Match(ctx))
	if !sweep || !m.Dialect.Postgres {
		return err
	}
	left, rerr := m.queue.AnyReady(ctx)
	if left {
		m.Signals.Ready.Raise()
	}
	return errors.Join(err, rerr)
}
