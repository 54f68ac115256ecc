package delivery

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
	// rebeatDelay is how long after its connection was cut an agent beats again, and
	// rebeatJitter the most that chance adds: a server that restarts cuts all at once.
	rebeatDelay  = 50 * time.Millisecond
	rebeatJitter = 500 * time.Millisecond
	// heldBeats is how many beats a connection must have carried to be missed: some
	// proxies close it after every one.
	heldBeats = 2
)

// cutNotifier is a Server that tells when the connection of heartbeats was cut.
type cutNotifier interface{ HeartbeatsCut() <-chan struct{} }

// Heartbeats sends heartbeats of one attempt. A beat that fails is forgotten: the next one
// says more.
type Heartbeats struct {
	Server  Server
	Run     string
	Attempt int
	Period  time.Duration // until the server sets one
	Begun   time.Time     // of the attempt
	// Evidence fills in what the beat says of the job.
	Evidence func(now time.Time) job.Heartbeat
	// Ready is closed when the server knows the run, which the first append tells it.
	Ready <-chan struct{}
	// Reply is called with each of the server's replies.
	Reply func(job.HeartbeatReply)
	// BeforeBeat is called before each beat, for what can be done on the same occasion; may
	// be nil.
	BeforeBeat func()

	prompt bool // a cut connection is followed by a beat at once
}

// Send sends heartbeats until ctx ends.
func (b *Heartbeats) Send(ctx context.Context) {
	select {
	case <-b.Ready:
	case <-ctx.Done():
		return
	}
	var cut <-chan struct{}
	if n, ok := b.Server.(cutNotifier); ok {
		cut, b.prompt = n.HeartbeatsCut(), true
	}
	next, held := b.Period, 0
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sequence := int64(1); ; {
		select {
		case <-timer.C:
			held++
		case <-cut:
			delay := rebeatDelay + rand.N(rebeatJitter)
			if held >= heldBeats && time.Until(due) > delay {
				due = time.Now().Add(delay)
				timer.Reset(delay)
			}
			held = 0
			continue
		case <-ctx.Done():
			return
		}
		next = b.sendOne(ctx, sequence, due, next)
		sequence++
		due = time.Now().Add(next)
		timer.Reset(next)
	}
}

// sendOne sends a beat that was due at a time, and returns when to send the next.
func (b *Heartbeats) sendOne(ctx context.Context, sequence int64, due time.Time, period time.Duration) time.Duration {
	now := time.Now()
	hb := b.Evidence(now)
	hb.Sequence, hb.SentAt = sequence, now.UTC()
	hb.UptimeMS = now.Sub(b.Begun).Milliseconds()
	hb.SchedulingDelayMS = max(0, now.Sub(due).Milliseconds())
	hb.PeriodMS, hb.Prompt = period.Milliseconds(), b.prompt
	if b.BeforeBeat != nil {
		b.BeforeBeat()
	}
	callCtx, cancel := context.WithTimeout(ctx, max(beatTimeout, period))
	reply, err := b.Server.Beat(callCtx, b.Run, b.Attempt, hb)
	cancel()
	if err != nil {
		var p *job.Problem
		if errors.As(err, &p) && p.RetryAfter > 0 {
			return min(max(p.RetryAfter, shortestBeat), longestBeat)
		}
		return period
	}
	b.Reply(reply)
	if reply.NextMS <= 0 {
		return period
	}
	return min(max(time.Duration(reply.NextMS)*time.Millisecond, shortestBeat), longestBeat)
}
