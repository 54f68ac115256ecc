package agent

import (
	"context"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/measure"
	"stint.dev/stint/internal/agent/report"
)

// background is what runs beside the job, until the steps of the ending stop it.
type background struct {
	a       *attempt
	started bool

	ended    chan struct{} // closed when the journal is whole
	delivery *delivery.Delivery

	beginBeats func() // a second call does nothing
	beatStop   context.CancelFunc
	beatDone   sync.WaitGroup

	reports *report.Reports

	backlog *flush.Backlog
	// suspender suspends the heartbeats; nil when there are none.
	suspender delivery.Suspender
}

// start starts everything that runs beside the job. It is called when the first process
// has been started, so that nothing comes before the job. A second call does nothing.
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
			To: c.ReportTo, Period: period, Hung: delivery.NewHungServers(c.StateDir, c.ReportURL), Print: c.Print,
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
	delivery.TakeNotices(c.Server, b.ended, c.Print, func(text string) { a.rec.Note(-1, text) })
	b.delivery.Start(ctx)
	if a.permit != nil { // the server knows the run
		c.link.SetReached()
		b.beginBeats()
	}
	var beatCtx context.Context
	beatCtx, b.beatStop = context.WithCancel(ctx)
	b.suspender = make(delivery.Suspender)
	beats := &delivery.Heartbeats{
		Server: c.Server, Run: c.Run, Attempt: c.Attempt, Period: c.heartbeatPeriod(), Begun: a.begun, Link: c.link,
		Evidence: a.evidence, Ready: known, Reply: a.onReply, BeforeBeat: func() { wake(beat) },
		Suspender: b.suspender,
	}
	b.beatDone.Go(func() { beats.Send(beatCtx) })
	if a.spool != nil && a.permit == nil { // a worker delivers what its other agents left
		b.backlog = flush.NewBacklog(a.spool, c.flushConfig(), c.Run, c.Attempt)
		b.backlog.Start(ctx, known, b.ended)
	}
}

// wake sends to a channel of capacity 1, unless it holds a value already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// journalEnded is called when the journal is whole. With waits the agent waits for another
// attempt, which heartbeats report.
func (b *background) journalEnded(waits bool) {
	close(b.ended)
	if b.delivery != nil && waits && !b.a.cfg.link.Printed(delivery.NotWanted) {
		b.beginBeats() // also when the whole journal came at once
	}
}

// stop ends the heartbeats and the delivery of other journals.
func (b *background) stop() {
	if b.delivery != nil {
		b.beatStop()
		b.beatDone.Wait()
	}
	if b.backlog != nil {
		b.backlog.Stop()
	}
}
