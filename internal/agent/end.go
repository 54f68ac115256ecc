package agent

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/exit"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var (
	errNoServer = errors.New("no server was given")
	errGivenUp  = errors.New("a signal ended the wait for the server")
)

// ending is what follows when the journal is whole. Its methods are called in their order.
type ending struct {
	a      *attempt
	result Result

	ctx       context.Context // ends when a signal asks the agent to wait no longer
	cancel    func()
	released  sync.WaitGroup // of the containment
	reported  sync.WaitGroup // to --report-to
	delivered error          // nil when the server has the whole journal
}

// lastSample ends the measurements with a sample.
func (a *attempt) lastSample() {
	a.meter.Stop()
	a.meter.Sample()
}

// finish writes the outcome, with which the journal is whole.
func (a *attempt) finish(outcome job.Outcome) *ending {
	c := a.cfg
	a.recordNotes()
	if at := c.retryAt(outcome, time.Now()); !at.IsZero() && !a.stop.Final() {
		outcome.RetryAt = &at
	}
	c.events.JobEnded(true) // before the end is visible outside, where it may lead to a stop request
	by := c.retryUntil(outcome, time.Now())
	c.Overlap.Attempted(!by.IsZero())
	if err := a.rec.Finish(time.Now(), journal.Final{Outcome: outcome, Usage: a.meter.Usage()}); err != nil {
		c.Print("the outcome could not be written to the journal: " + err.Error())
	}
	if !by.IsZero() {
		a.retryUntil.Store(&by)
	}
	a.background.journalEnded(a.retryUntil.Load() != nil)
	e := &ending{a: a, result: Result{Outcome: outcome, Dropped: c.droppedBefore}}
	e.ctx, e.cancel = a.untilGivenUp()
	return e
}

// release begins to remove the containment.
func (e *ending) release() {
	e.released.Go(func() {
		e.a.meter.Close()
		if err := e.a.group.Close(); err != nil {
			e.a.cfg.Print("removing what contained the job: " + err.Error())
		}
	})
}

// passOutputOn waits until the caller's readers have taken the output, and notes whether any
// was dropped. The end is meanwhile reported to --report-to.
func (e *ending) passOutputOn() {
	if r := e.a.background.reports; r != nil {
		e.reported.Go(func() { r.Finish(e.ctx, e.result.Outcome, e.a.cfg.FlushTimeout) })
	}
	if p := e.a.passer; p != nil && p.Finish(e.ctx.Done()) > 0 {
		e.result.Dropped = true
	}
	e.a.streams.CloseKeyboard()
	if ended := e.a.cfg.Ended; ended != nil && e.a.retryUntil.Load() == nil {
		ended(e.result.Outcome)
	}
}

// deliver waits until the server has the whole journal, within the flush timeout.
func (e *ending) deliver() {
	e.delivered = errNoServer
	if d := e.a.background.delivery; d != nil {
		e.delivered = d.Finish(e.ctx, e.a.cfg.FlushTimeout)
	}
}

// stopBackground ends the rest of what runs beside the job.
func (e *ending) stopBackground() {
	e.a.background.stop()
	e.reported.Wait()
	if r, ok := e.a.cfg.ReportTo.(interface{ Close() }); ok {
		r.Close()
	}
	e.cancel()
	e.a.cfg.events.JobEnded(false)
}

// conclude removes the journal or has it wait in the spool, and returns how the attempt ended.
func (e *ending) conclude() Result {
	a, c := e.a, e.a.cfg
	e.result.Complete, e.result.WaitsAt = delivery.EndedJournal{
		Run: c.Run, Journal: a.rec.Journal(), Link: c.link, Print: c.Print,
		NoServer: c.Server == nil, Discard: c.ReportTo != nil, // the caller chose the other protocol alone
	}.Conclude(e.delivered)
	if j := a.rec.Journal(); delivery.IsIDTaken(j, e.delivered) {
		e.result.ownRun = flush.OwnRun(j.Recovered().Attempt)
		if flush.DeliverOwnRun(c.flushConfig(), c.FlushTimeout, c.Run, c.Attempt, e.result.WaitsAt, c.Print) {
			e.result.Complete, e.result.WaitsAt = !e.result.Dropped && !j.Dropped(), ""
		}
	}
	e.result.stopped = len(a.stopRequests) > 0
	e.released.Wait()
	a.group.Dismiss()
	requested, sent := a.stop.Signals()
	e.result.ExitCode, e.result.Signal = exit.Of(e.result.Outcome, exit.End{
		Requested: requested, Sent: sent, Dropped: e.result.Dropped, Init: os.Getpid() == 1,
	})
	return e.result
}

// untilGivenUp returns a context that ends when a signal asks the agent to wait no longer;
// cancel must be called. Until then the agent can be suspended.
func (a *attempt) untilGivenUp() (ctx context.Context, cancel func()) {
	ctx, end := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-a.cfg.events.GiveUp():
				end(errGivenUp)
				return
			case e := <-a.cfg.events.Events():
				if e.Action == signals.Suspend {
					a.streams.CloseKeyboard()
					a.cfg.suspendAgent(e.Signal, a.background.suspender)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { end(nil); <-done }
}
