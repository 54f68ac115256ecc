package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
		b.reports = &reporting{to: c.ReportTo, period: period, say: c.Say, over: make(chan struct{})}
		b.reportDone.Go(func() { b.reports.beats(reportCtx) })
	}
}

func (b *background) startServer(ctx context.Context) {
	a, c := b.a, b.a.cfg
	known, about := make(chan struct{}), make(chan struct{}, 1)
	b.others = newBacklog(a)
	b.delivery = &delivery{
		server: c.Server, run: c.Run, attempt: c.Attempt, from: a.rec.spool, fresh: true,
		more: a.rec.more, urgent: a.rec.urgent, ended: b.ended, beat: about, watched: &a.watched,
		first: func() { close(known) },
	}
	var deliverCtx, beatCtx context.Context
	deliverCtx, b.deliverStop = context.WithCancel(ctx)
	b.delivered = make(chan error, 1)
	go func() { b.delivered <- b.delivery.deliver(deliverCtx) }()
	beatCtx, b.beatStop = context.WithCancel(ctx)
	beats := &beater{
		server: c.Server, run: c.Run, attempt: c.Attempt, period: c.beatPeriod(), begun: a.begun,
		evidence: a.evidence, ready: known, heard: a.heard, about: func() { poke(about) },
	}
	b.beatDone.Go(func() { beats.beats(beatCtx) })
	b.others.start(ctx, known)
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
		b.others.finish(err == nil)
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
	close(b.reports.over)
	limit := time.Now().Add(b.a.cfg.FlushTimeout)
	cut := time.AfterFunc(b.a.cfg.FlushTimeout, b.reportStop)
	b.reportDone.Wait()
	cut.Stop()
	b.reportStop()
	if !b.reports.heard {
		limit = earlier(limit, time.Now().Add(silentServer))
	}
	ctx, cancel := context.WithDeadline(context.Background(), limit)
	defer cancel()
	b.reports.end(ctx, o)
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
			if b.delivery.alive.Load() || b.delivery.from.DiskError() != nil {
				continue
			}
		case <-last.C:
		}
		b.deliverStop()
		err := <-b.delivered
		if errors.Is(err, context.Canceled) {
			if b.delivery.lastErr != nil {
				return fmt.Errorf("%w: %w", errFlushTimeout, b.delivery.lastErr)
			}
			return errFlushTimeout
		}
		return err
	}
}
