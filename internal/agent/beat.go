package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"stint.dev/stint/job"
)

const (
	beatTimeout = 10 * time.Second
	// The server paces beats within these bounds.
	shortestBeat = 100 * time.Millisecond
	longestBeat  = 10 * time.Minute
	// again is how long after its connection was cut an agent beats again, and mostAgain
	// the most of it that chance adds: a server that restarts cuts all at once.
	again     = 50 * time.Millisecond
	mostAgain = 500 * time.Millisecond
	// heldBeats is how many beats a connection must have carried to be missed: some
	// proxies close it after every one.
	heldBeats = 2
)

// holder is a Server that tells when the connection of heartbeats was cut.
type holder interface{ HeartbeatsCut() <-chan struct{} }

// beater sends heartbeats. A beat that fails is forgotten: the next one says more.
type beater struct {
	server  Server
	run     string
	attempt int
	period  time.Duration
	begun   time.Time
	// evidence fills in what the beat says of the job.
	evidence func(now time.Time) job.Heartbeat
	// ready is closed when the server knows the run, which the first append tells it.
	ready <-chan struct{}
	heard func(job.HeartbeatReply)
	// prompt is true when a cut connection is followed by a beat at once; beats sets it.
	prompt bool
	// about is called before each beat, for what can be done on the same occasion.
	about func()
}

// beats runs until ctx ends.
func (b *beater) beats(ctx context.Context) {
	select {
	case <-b.ready:
	case <-ctx.Done():
		return
	}
	var cut <-chan struct{}
	if h, ok := b.server.(holder); ok {
		cut, b.prompt = h.HeartbeatsCut(), true
	}
	next, held := b.period, 0
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sequence := int64(1); ; {
		select {
		case <-timer.C:
			held++
		case <-cut:
			soon := again + rand.N(mostAgain)
			if held >= heldBeats && time.Until(due) > soon {
				due = time.Now().Add(soon)
				timer.Reset(soon)
			}
			held = 0
			continue
		case <-ctx.Done():
			return
		}
		next = b.one(ctx, sequence, due, next)
		sequence++
		due = time.Now().Add(next)
		timer.Reset(next)
	}
}

// one sends a beat that was due at a time, and returns when to send the next.
func (b *beater) one(ctx context.Context, sequence int64, due time.Time, period time.Duration) time.Duration {
	now := time.Now()
	hb := b.evidence(now)
	hb.Sequence, hb.SentAt = sequence, now.UTC()
	hb.UptimeMS = now.Sub(b.begun).Milliseconds()
	hb.SchedulingDelayMS = max(0, now.Sub(due).Milliseconds())
	hb.PeriodMS, hb.Prompt = period.Milliseconds(), b.prompt
	b.about()
	callCtx, cancel := context.WithTimeout(ctx, max(beatTimeout, period))
	reply, err := b.server.Beat(callCtx, b.run, b.attempt, hb)
	cancel()
	if err != nil {
		var p *job.Problem
		if errors.As(err, &p) && p.RetryAfter > 0 {
			return min(max(p.RetryAfter, shortestBeat), longestBeat)
		}
		return period
	}
	b.heard(reply)
	if reply.NextMS <= 0 {
		return period
	}
	return min(max(time.Duration(reply.NextMS)*time.Millisecond, shortestBeat), longestBeat)
}
