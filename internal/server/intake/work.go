package intake

import (
	"context"
	"time"

	"stint.dev/stint/internal/lease"
)

// worker is the state of one of the committer's loops. The committer's mu guards it.
type worker struct {
	want   int           // how many entries must wait before the loop is woken; 0 for any
	turned time.Time     // when it last finished a round, or found nothing to do
	oldest time.Time     // when the first beat of its current group arrived; zero for none
	over   bool          // the loop has ended
	wake   chan struct{} // holds one token when there is work
}

func newWorker(now time.Time) worker {
	return worker{turned: now, wake: make(chan struct{}, 1)}
}

// wakeUp wakes the loop.
func (w *worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// recordTurn records that a loop has finished a round.
func (c *committer) recordTurn(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.turned = c.now()
}

// turn returns when the slower of the two loops last finished a round, and wakes both.
func (c *committer) turn() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewing.wakeUp()
	c.writing.wakeUp()
	if c.renewing.turned.Before(c.writing.turned) {
		return c.renewing.turned
	}
	return c.writing.turned
}

// renewAll answers the beats that need no transaction and queues the others, group after group, until
// the committer is closed and no beat is left.
func (c *committer) renewAll() {
	w := &c.renewing
	for {
		c.recordTurn(w)
		group, closed := c.takeArrived()
		switch {
		case len(group) > 0:
			if answered := c.renewGroup(group); answered > 0 {
				c.gather(w, answered, c.arrivedCount, func() bool { return false })
			}
		case closed:
			c.mu.Lock()
			w.over = true
			c.writing.wakeUp()
			c.mu.Unlock()
			return
		default:
			<-w.wake
		}
	}
}

// commitAll commits group after group until renewAll has ended and the queues are empty.
func (c *committer) commitAll(ctx context.Context) {
	w := &c.writing
	for {
		c.recordTurn(w)
		group, closed := c.takeGroup()
		switch {
		case len(group) > 0:
			c.commit(ctx, group)
			c.gather(w, len(group), c.waitingCount, c.othersWait)
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// gather waits up to gatherTimeout for the next requests of the clients that were answered last, unless
// others reports that other entries wait already. waiting returns how many entries the loop could take.
// Both functions are called with mu held.
func (c *committer) gather(w *worker, answered int, waiting func() int, others func() bool) {
	c.mu.Lock()
	want := int(gatherShare * float64(answered+waiting()))
	skip := answered < gatherFrom || others()
	c.mu.Unlock()
	if skip {
		return
	}
	timeout := time.NewTimer(gatherTimeout)
	defer timeout.Stop()
	for {
		c.mu.Lock()
		w.want = want
		enough := c.closed || waiting() >= w.want
		if enough {
			w.want = 0
		}
		c.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-w.wake:
		case <-timeout.C:
			c.mu.Lock()
			w.want = 0
			c.mu.Unlock()
			return
		}
	}
}

// renewGroup answers the beats of a group that need no transaction, and queues or refuses the others.
// It returns how many it answered.
func (c *committer) renewGroup(group []*entry) (answered int) {
	answer, others := c.renewKnown(group)
	answered = len(answer)
	for _, e := range group {
		e.leave()
	}
	c.mu.Lock()
	c.renewing.oldest = time.Time{}
	for _, e := range others {
		if e.err = e.enter(c.beatRoom, 1); e.err != nil {
			c.counters.refusedBusy.Inc()
			answer = append(answer, e)
			continue
		}
		c.ahead[e.run()]++
		c.beats = append(c.beats, e)
	}
	if len(others) > 0 && c.waitingCount() >= c.writing.want {
		c.writing.wakeUp()
	}
	c.mu.Unlock()
	for _, e := range answer {
		c.notify(e)
		close(e.ready)
	}
	return answered
}

// renewKnown renews the beats of a group that need no transaction, and returns them and the other
// beats. A beat of a run of which others wait for a transaction is one of the others, so that the last
// one that arrived is the last one stored.
func (c *committer) renewKnown(group []*entry) (renewed, others []*entry) {
	var beats []lease.Beat
	var sent []*entry
	c.mu.Lock()
	for _, e := range group {
		if c.ahead[e.run()] > 0 {
			others = append(others, e)
			continue
		}
		beats, sent = append(beats, *e.beat), append(sent, e)
	}
	c.mu.Unlock()
	for i, done := range c.renew(beats) {
		if done == nil {
			others = append(others, sent[i])
			continue
		}
		sent[i].renewed = *done
		renewed = append(renewed, sent[i])
	}
	return renewed, others
}

// removeAhead removes the beats of a group from ahead, because they are stored or have failed. It must
// be called before they are answered.
func (c *committer) removeAhead(group []*entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing.oldest = time.Time{}
	for _, e := range group {
		if e.beat == nil {
			continue
		}
		if c.ahead[e.run()]--; c.ahead[e.run()] == 0 {
			delete(c.ahead, e.run())
		}
	}
}
