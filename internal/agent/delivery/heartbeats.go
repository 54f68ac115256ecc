package delivery

import (
	"context"
	"math/rand/v2"
	"time"

	"stint.dev/stint/job"
)

const (
	// beatTimeout bounds one beat, and repeatTimeout one after a beat that has failed, while the
	// server may still trust the agent. It waits for 5 s or more after the lease (docs/leases.md):
	// a beat may hang at the end of a cut, and the one after it arrives within that time.
	beatTimeout   = 6 * time.Second
	repeatTimeout = 4 * time.Second
	// The server paces beats within these bounds.
	minBeatInterval = 100 * time.Millisecond
	maxBeatInterval = 10 * time.Minute
	// rebeatDelay is how long after its connection was cut an agent beats again, and
	// rebeatJitter the most that chance adds: a server that restarts cuts all at once.
	rebeatDelay  = 50 * time.Millisecond
	rebeatJitter = 250 * time.Millisecond
	// For rebeatLimit after a cut, a beat that does not reach the server is followed by another
	// rebeatRetryDelay and up to rebeatJitter after it began: whatever is between them may be
	// restarting while the server waits for the agent.
	rebeatLimit      = 5 * time.Second
	rebeatRetryDelay = 200 * time.Millisecond
	// Later, and without a cut, the next one begins a retryShare of the period after it, and
	// up to a quarter more, while the server may still trust the agent.
	retryShare = 5
	// firstLeaseLimit is how long the server trusts the agent before its first reply, at least; it
	// never trusts one that is not suspended for longer than leaseLimit.
	firstLeaseLimit = 15 * time.Second
	leaseLimit      = 15 * time.Minute
)

// cutNotifier is a Server that reports when the connection of heartbeats was cut, after it had
// carried more than one request.
type cutNotifier interface{ HeartbeatsCut() <-chan struct{} }

// Heartbeats sends heartbeats of one attempt. A beat that fails is not repeated: the next one
// is newer.
type Heartbeats struct {
	Server  Server
	Run     string
	Attempt int
	Period  time.Duration // until the server sets one
	Begun   time.Time     // of the attempt
	// Link is shared with the delivery of the run's journal.
	Link *Link
	// Evidence fills in the figures of the job.
	Evidence func(now time.Time) job.Heartbeat
	// Ready is closed when the server knows the run, by the first append.
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
	lease     time.Duration // that the server has given
	renewed   time.Time     // when the last beat was sent that renewed it
	cutAt     time.Time     // when it was last cut
	failed    bool          // the last beat did not renew it
	suspended bool          // the beat that is sent is the last one for a while
}

// trusted reports whether the server may still trust the agent at a time. The lease begins when
// the next beat is due, and the server waits for a while after it.
func (b *Heartbeats) trusted(now time.Time) bool { return now.Sub(b.renewed) < b.period+2*b.lease }

// Send sends heartbeats until ctx ends, or the server does not take any of this run any more.
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
	b.period, b.lease = b.Period, firstLeaseLimit
	due := time.Now()
	b.renewed = due // by the first append
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
		begun := time.Now()
		d := b.sendOne(ctx, due)
		if d.Final() || ctx.Err() != nil {
			return
		}
		wait := b.after(d, begun, time.Now())
		due = time.Now().Add(wait)
		timer.Reset(wait)
	}
}

// after returns how long to wait after a beat that began and ended at these times. While the server
// may still trust the agent, one that did not renew it is followed by another soon, whatever the reply asks for: a
// run must not be called lost because something on the way wanted a pause.
func (b *Heartbeats) after(d Decision, begun, now time.Time) time.Duration {
	switch {
	case d.Action == Proceed:
		return b.period
	case d.Action == FixToken:
		return d.Wait
	case b.trusted(now):
		pause, jitter := b.period/retryShare, b.period/retryShare/4
		if now.Sub(b.cutAt) < rebeatLimit {
			pause, jitter = rebeatRetryDelay, rebeatJitter
		}
		pause = max(pause, d.Wait)
		return min(b.period, max(pause-now.Sub(begun), rebeatDelay)+rand.N(max(jitter, 1)))
	}
	return max(b.period, d.Wait)
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
	timeout := beatTimeout
	if b.failed && b.trusted(now) {
		timeout = repeatTimeout
	}
	callCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reply, err := b.Server.Beat(callCtx, b.Run, b.Attempt, hb)
	if ctx.Err() != nil {
		return Decision{Action: Outage} // it is not waited for any more
	}
	d := Decide(err)
	if d.Final() {
		return d // the append that meets the same decides what becomes of the journal
	}
	b.Link.note("heartbeat", time.Now(), d, err)
	b.failed = d.Action != Proceed
	if d.Action == Proceed {
		if reply.NextMS > 0 {
			b.period = job.Milliseconds(reply.NextMS, minBeatInterval, maxBeatInterval)
		}
		if reply.LeaseMS > 0 {
			b.lease = job.Milliseconds(reply.LeaseMS, 0, leaseLimit)
		}
		b.renewed = now
		b.Reply(reply)
	}
	return d
}
