package delivery

import (
	"context"
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
	rebeatJitter = 250 * time.Millisecond
	// For rebeatFor after a cut, a beat that does not reach the server is followed by another
	// after rebeatRetry and up to rebeatJitter: whatever stands between them may be restarting
	// while the server waits for the agent.
	rebeatFor   = 5 * time.Second
	rebeatRetry = 200 * time.Millisecond
)

// cutNotifier is a Server that tells when the connection of heartbeats was cut, after it had
// carried more than one request.
type cutNotifier interface{ HeartbeatsCut() <-chan struct{} }

// Heartbeats sends heartbeats of one attempt. A beat that fails is forgotten: the next one
// says more.
type Heartbeats struct {
	Server  Server
	Run     string
	Attempt int
	Period  time.Duration // until the server sets one
	Begun   time.Time     // of the attempt
	// Link is shared with the delivery of the run's journal.
	Link *Link
	// Evidence fills in what the beat says of the job.
	Evidence func(now time.Time) job.Heartbeat
	// Ready is closed when the server knows the run, which the first append tells it.
	Ready <-chan struct{}
	// Reply is called with each of the server's replies.
	Reply func(job.HeartbeatReply)
	// BeforeBeat is called before each beat, for what can be done on the same occasion; may
	// be nil.
	BeforeBeat func()
	// Suspender suspends the heartbeats; may be nil.
	Suspender Suspender

	sequence  int64
	period    time.Duration // that the server has set
	cutAt     time.Time     // when it was last cut
	suspended bool          // the beat that is sent is the last one for a while
}

// Send sends heartbeats until ctx ends, or the server wants none of this run any more.
func (b *Heartbeats) Send(ctx context.Context) {
	select {
	case <-b.Ready:
	case <-ctx.Done():
		return
	}
	var cut <-chan struct{}
	if n, ok := b.Server.(cutNotifier); ok {
		cut = n.HeartbeatsCut()
	}
	b.period = b.Period
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-cut:
			b.cutAt = time.Now()
			delay := rebeatDelay + rand.N(rebeatJitter)
			if time.Until(due) > delay {
				due = b.cutAt.Add(delay)
				timer.Reset(delay)
			}
			continue
		case r := <-b.Suspender:
			if d := b.suspend(ctx, r); d.Final() {
				return
			}
			due = time.Now()
			timer.Reset(0)
			continue
		case <-ctx.Done():
			return
		}
		d := b.sendOne(ctx, due)
		if d.Final() || ctx.Err() != nil {
			return
		}
		wait := b.after(d, time.Now())
		due = time.Now().Add(wait)
		timer.Reset(wait)
	}
}

// after is how long to wait after a beat.
func (b *Heartbeats) after(d Decision, now time.Time) time.Duration {
	switch {
	case d.Wait > 0:
		return max(d.Wait, shortestBeat)
	case !d.Reached() && !b.cutAt.IsZero() && now.Sub(b.cutAt) < rebeatFor:
		return min(b.period, rebeatRetry+rand.N(rebeatJitter))
	}
	return b.period
}

// sendOne sends a beat that was due at a time, and acts on the reply.
func (b *Heartbeats) sendOne(ctx context.Context, due time.Time) Decision {
	now := time.Now()
	hb := b.Evidence(now)
	b.sequence++
	hb.Sequence, hb.SentAt = b.sequence, now.UTC()
	hb.UptimeMS = now.Sub(b.Begun).Milliseconds()
	hb.SchedulingDelayMS = max(0, now.Sub(due).Milliseconds())
	hb.PeriodMS, hb.Suspended = b.period.Milliseconds(), b.suspended
	if b.BeforeBeat != nil {
		b.BeforeBeat()
	}
	callCtx, cancel := context.WithTimeout(ctx, max(beatTimeout, b.period))
	defer cancel()
	reply, err := b.Server.Beat(callCtx, b.Run, b.Attempt, hb)
	if ctx.Err() != nil {
		return Decision{Action: Outage} // nobody waits for it any more
	}
	d := Decide(err)
	if d.Final() {
		return d // the append that meets the same says what becomes of the journal
	}
	b.Link.note("heartbeat", time.Now(), d, err)
	if d.Action == Proceed {
		if reply.NextMS > 0 {
			b.period = job.Milliseconds(reply.NextMS, shortestBeat, longestBeat)
		}
		b.Reply(reply)
	}
	return d
}
