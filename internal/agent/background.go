package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/measure"
	"stint.dev/stint/internal/agent/report"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/job"
)

var (
	errNoServer = errors.New("no server was given")
	errGivenUp  = errors.New("a signal ended the wait for the server")
)

// background is what runs beside the job: each goroutine ends in finish.
type background struct {
	a       *attempt
	started bool

	ended    chan struct{} // closed when the journal is whole
	delivery *delivery.Delivery

	beginBeats func() // again is harmless
	beatStop   context.CancelFunc
	beatDone   sync.WaitGroup

	reports *report.Reports

	others *flush.Backlog
	// suspender suspends the heartbeats; nil when there are none.
	suspender delivery.Suspender
}

// start starts everything that runs beside the job. It is called when the first process
// has been started, so that nothing comes before the job; again is harmless.
func (b *background) start(ctx context.Context) {
	if b.started {
		return
	}
	b.started = true
	ctx = context.WithoutCancel(ctx) // a stop of the job is not the end of its record
	a, c := b.a, b.a.cfg
	b.ended = make(chan struct{})
	a.meter.Start(ctx, measure.Config{
		Source: a.group, Period: c.SamplePeriod, Dir: c.Dir, Env: a.env, BeforeFirst: a.cores.UseOne,
	})
	if a.passer != nil {
		a.passer.Start(ctx)
	}
	if c.Server != nil {
		b.startServer(ctx)
	}
	if c.ReportTo != nil {
		period := c.HeartbeatPeriod
		if period <= 0 {
			period = time.Second
		}
		b.reports = report.Start(ctx, report.Config{
			To: c.ReportTo, Period: period, Hung: delivery.NewHungServers(c.StateDir, c.ReportURL), Print: c.Say,
		})
	}
}

func (b *background) startServer(ctx context.Context) {
	a, c := b.a, b.a.cfg
	known, beat := make(chan struct{}), make(chan struct{}, 1)
	b.beginBeats = sync.OnceFunc(func() { close(known) })
	b.delivery = delivery.New(delivery.Config{
		Server: c.Server, Run: c.Run, Attempt: c.Attempt, Journal: a.rec.Journal(), Fresh: true,
		More: a.rec.More(), Urgent: a.rec.Urgent(), Ended: b.ended, Beat: beat, Watched: &a.watched,
		Link: c.link, Hung: delivery.NewHungServers(c.StateDir, c.ServerURL),
		FirstReply: b.beginBeats,
	})
	b.delivery.Start(ctx)
	var beatCtx context.Context
	beatCtx, b.beatStop = context.WithCancel(ctx)
	b.suspender = make(delivery.Suspender)
	beats := &delivery.Heartbeats{
		Server: c.Server, Run: c.Run, Attempt: c.Attempt, Period: c.beatPeriod(), Begun: a.begun, Link: c.link,
		Evidence: a.evidence, Ready: known, Reply: a.onReply, BeforeBeat: func() { wake(beat) },
		Suspender: b.suspender,
	}
	b.beatDone.Go(func() { beats.Send(beatCtx) })
	if a.spool != nil {
		b.others = flush.NewBacklog(a.spool, flush.Config{Server: c.Server, ServerURL: c.ServerURL, Host: c.host()}, c.Run, c.Attempt)
		b.others.Start(ctx, known, b.ended)
	}
}

// wake sends to a channel of capacity 1, unless it holds a value already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// finish ends everything in the order of the package's list, notes in the result whether
// output that the caller was owed was dropped, and returns how delivery ended: nil when the server has the whole journal.
func (b *background) finish(o job.Outcome, result *Result) error {
	close(b.ended)
	if b.delivery != nil && b.a.nextBy.Load() != nil {
		b.beginBeats() // they say that the agent waits, also when the whole journal came at once
	}
	ctx, cancel := b.untilGivenUp()
	defer cancel()
	var reported sync.WaitGroup
	if b.reports != nil {
		reported.Go(func() { b.reports.Finish(ctx, o, b.a.cfg.FlushTimeout) })
	}
	if p := b.a.passer; p != nil && p.Finish(ctx.Done()) > 0 {
		result.Dropped = true
	}
	b.a.streams.CloseKeyboard()
	err := errNoServer
	if b.delivery != nil {
		err = b.delivery.Finish(ctx, b.a.cfg.FlushTimeout)
		b.beatStop()
		b.beatDone.Wait()
	}
	if b.others != nil {
		b.others.Stop()
	}
	reported.Wait()
	if r, ok := b.a.cfg.ReportTo.(interface{ Close() }); ok {
		r.Close()
	}
	return err
}

// untilGivenUp returns a context that ends when a signal asks the agent to wait no longer;
// cancel must be called. Until then the agent can be suspended.
func (b *background) untilGivenUp() (ctx context.Context, cancel func()) {
	ctx, end := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := b.a.cfg
		for {
			select {
			case <-c.events.GiveUp():
				end(errGivenUp)
				return
			case e := <-c.events.Events():
				if e.Action == signals.Suspend {
					b.a.streams.CloseKeyboard()
					c.suspendAgent(e.Signal, b.suspender)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { end(nil); <-done }
}
