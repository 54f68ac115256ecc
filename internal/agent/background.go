package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/report"
	"stint.dev/stint/job"
)

const (
	// silentServer bounds the wait, after the end, for a server that never answered.
	silentServer = 5 * time.Second
	// othersLimit bounds the wait, after the end, for the journals of others.
	othersLimit = 10 * time.Second
)

var (
	errNoServer     = errors.New("no server was given")
	errFlushTimeout = errors.New("the flush timeout is over")
)

// start starts everything that runs beside the job. It is called when the first process
// has been started, so that nothing comes before the job; again is harmless.
func (b *background) start(ctx context.Context) {
	if b.started {
		return
	}
	b.started = true
	b.a.rec.start()
	if b.a.cfg.Started != nil {
		b.a.cfg.Started()
	}
	b.a.meter.open(b.a.group, b.a.cfg.SamplePeriod)
	ctx = context.WithoutCancel(ctx) // a stop of the job is not the end of its record
	a, c := b.a, b.a.cfg
	b.ended = make(chan struct{})
	var meterCtx context.Context
	meterCtx, b.meterStop = context.WithCancel(ctx)
	b.meterDone.Go(func() { a.meter.samples(meterCtx, a.cores.calm) })
	b.meterDone.Go(func() { a.meter.gpus.watch(meterCtx, c.Dir, a.env, max(gpuPeriod, c.SamplePeriod)) })
	if c.passing() {
		var passCtx context.Context
		passCtx, b.passerStop = context.WithCancel(ctx)
		b.passer = newPasser(a.rec, c)
		go b.passer.run(passCtx)
	}
	if c.Server != nil {
		b.startServer(ctx)
	}
	if c.ReportTo != nil {
		period := c.HeartbeatPeriod
		if period <= 0 {
			period = time.Second
		}
		var reportCtx context.Context
		reportCtx, b.reportStop = context.WithCancel(ctx)
		b.reports = report.New(c.ReportTo, period, c.Say)
		b.reportDone.Go(func() { b.reports.Beat(reportCtx) })
	}
}

func (b *background) startServer(ctx context.Context) {
	a, c := b.a, b.a.cfg
	known, beat := make(chan struct{}), make(chan struct{}, 1)
	b.delivery = delivery.New(delivery.Config{
		Server: c.Server, Run: c.Run, Attempt: c.Attempt, Journal: a.rec.spool, Fresh: true,
		More: a.rec.more, Urgent: a.rec.urgent, Ended: b.ended, Beat: beat, Watched: &a.watched,
		FirstReply: func() { close(known) },
	})
	var deliverCtx, beatCtx context.Context
	deliverCtx, b.deliverStop = context.WithCancel(ctx)
	b.delivered = make(chan error, 1)
	go func() { b.delivered <- b.delivery.Run(deliverCtx) }()
	beatCtx, b.beatStop = context.WithCancel(ctx)
	beats := &delivery.Heartbeats{
		Server: c.Server, Run: c.Run, Attempt: c.Attempt, Period: c.beatPeriod(), Begun: a.begun,
		Evidence: a.evidence, Ready: known, Reply: a.heard, BeforeBeat: func() { poke(beat) },
	}
	b.beatDone.Go(func() { beats.Send(beatCtx) })
	b.others = flush.NewBacklog(a.spool, flush.Config{StateDir: c.StateDir, Server: c.Server, ServerURL: c.ServerURL, BootID: c.BootID}, c.Run, c.Attempt)
	b.others.Start(ctx, known)
}

// stopMeter ends the sampling; the last sample is the caller's.
func (b *background) stopMeter() {
	if b.started {
		b.meterStop()
		b.meterDone.Wait()
	}
}

// finish ends everything in the order of the package's list, and returns how delivery
// ended: nil when the server has the whole journal.
func (b *background) finish(o job.Outcome) error {
	close(b.ended)
	var told sync.WaitGroup
	if b.reports != nil {
		told.Go(func() { b.finishReports(o) })
	}
	if b.passer != nil {
		b.passer.finish(passStall)
		b.passerStop()
	}
	err := errNoServer
	if b.delivery != nil {
		err = b.waitDelivered()
		b.beatStop()
		b.beatDone.Wait()
		limit := time.Duration(0)
		if err == nil {
			limit = min(othersLimit, b.a.cfg.FlushTimeout)
		}
		b.others.Finish(limit)
	}
	told.Wait()
	if r, ok := b.a.cfg.ReportTo.(interface{ Close() }); ok {
		r.Close()
	}
	return err
}

// finishReports tells the end in the two-call wire. A call that is under way may finish:
// cut off, nobody would know whether it was heard. A server that never answered is not
// waited for long.
func (b *background) finishReports(o job.Outcome) {
	b.reports.EndBeats()
	limit := time.Now().Add(b.a.cfg.FlushTimeout)
	cut := time.AfterFunc(b.a.cfg.FlushTimeout, b.reportStop)
	b.reportDone.Wait()
	cut.Stop()
	b.reportStop()
	if !b.reports.Answered() {
		limit = earlier(limit, time.Now().Add(silentServer))
	}
	ctx, cancel := context.WithDeadline(context.Background(), limit)
	defer cancel()
	b.reports.End(ctx, o)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// waitDelivered waits for delivery: as long as the flush timeout allows, and not long for
// a server that never said a word.
func (b *background) waitDelivered() error {
	defer b.deliverStop()
	limit := b.a.cfg.FlushTimeout
	first := time.NewTimer(min(limit, silentServer))
	defer first.Stop()
	last := time.NewTimer(limit)
	defer last.Stop()
	for {
		select {
		case err := <-b.delivered:
			return err
		case <-first.C:
			if b.delivery.Answered() || b.a.rec.spool.DiskError() != nil {
				continue
			}
		case <-last.C:
		}
		b.deliverStop()
		err := <-b.delivered
		if errors.Is(err, context.Canceled) {
			if last := b.delivery.LastError(); last != nil {
				return fmt.Errorf("%w: %w", errFlushTimeout, last)
			}
			return errFlushTimeout
		}
		return err
	}
}
