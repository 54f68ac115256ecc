package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/permit"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Submitted is what a worker was given to start an attempt of a submitted run. The attempt starts
// nothing, and leaves nothing on the host, unless the server permits it.
type Submitted struct {
	Server permit.Server
	Claim  string // the token of the claim
	// Until is when the claim ends, by clock.SinceBoot.
	Until time.Duration
	// Of the identity record: see journal.Attempt.
	Definition string
	Parameters map[string]string
	Worker     string
	// Incarnation identifies this process: see permit.NewIncarnation.
	Incarnation string
	// Clock is clock.SinceBoot unless a test sets another.
	Clock func() time.Duration
}

// errAskedToEnd ends the wait for a permit.
var errAskedToEnd = errors.New("the agent was asked to end before the attempt started")

// askPermit asks for the permit to start, with the journal as it is up to the identity record, and
// returns these bytes. Until then the journal is in memory only.
func (a *attempt) askPermit(ctx context.Context, secrets *redact.Set) (first []byte, err error) {
	s := a.cfg.Submitted
	memory := spool.InMemory(a.meta(), spool.Limits{}, record.ErrNoStateDir)
	a.rec = record.New(record.Config{Journal: memory, Secrets: secrets, Print: a.cfg.Print, InMemory: true})
	if err := a.identify(); err != nil {
		return nil, err
	}
	first = make([]byte, memory.Size())
	if _, err := memory.ReadAt(first, 0); err != nil {
		return nil, fmt.Errorf("read the first record of the journal: %w", err)
	}
	ctx, end := a.untilAskedToEnd(ctx)
	a.permit, err = permit.Ask(ctx, permit.Request{
		Server: s.Server, Until: s.Until, Clock: s.Clock,
		PermitRequest: client.PermitRequest{
			Run: a.cfg.Run, Attempt: a.cfg.Attempt, Claim: s.Claim, Incarnation: s.Incarnation, Journal: first,
		},
	})
	end()
	if err != nil {
		return nil, fmt.Errorf("nothing was started: %w", err)
	}
	if errors.Is(context.Cause(ctx), errAskedToEnd) { // when the permit had come
		a.requestStop(job.StopCause{Reason: job.Evicted, By: "a signal"})
	}
	if a.permit.Token != "" && a.cfg.WithToken != nil {
		a.cfg.Server = a.cfg.WithToken(a.permit.Token)
	}
	return first, nil
}

// untilAskedToEnd returns a context that ends when a signal asks the agent to end; end must be
// called.
func (a *attempt) untilAskedToEnd(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e := <-a.cfg.events.Events():
				if e.Action == signals.Begin {
					cancel(errAskedToEnd)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// restoreFirst puts what was sent with the question for the permit into the journal on the disk.
func (a *attempt) restoreFirst(j *spool.Journal, first []byte) error {
	if _, err := j.Extend(first[journal.HeaderSize:]); err != nil {
		return fmt.Errorf("write the first record of the journal: %w", err)
	}
	if a.permit.Size <= int64(len(first)) {
		j.Acknowledge(a.permit.Size)
	}
	return nil
}

// confirmPermit returns the outcome of a submitted run's attempt that may not start any more,
// because its permit is too old; nil for one that may, and for a run that was started by hand.
func (a *attempt) confirmPermit(ctx context.Context, s step) *job.Outcome {
	if a.permit == nil {
		return nil
	}
	_, err := runInterruptibly(ctx, a, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.permit.Confirm(ctx, a.cfg.Server)
	})
	var o job.Outcome
	switch {
	case err == nil:
		return nil
	case a.stop.Begun():
		o = neverStarted(s, a.stop.Cause())
	case errors.Is(err, permit.ErrSuperseded):
		o = neverStarted(s, &job.StopCause{Reason: job.Superseded})
	default:
		o = job.Unfinished(false, time.Now())
		o.Message = "Nothing was started: " + err.Error() + "."
	}
	return &o
}
