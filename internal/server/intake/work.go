package intake

import (
	"context"
	"time"

	"stint.dev/stint/internal/lease"
)

// worker is the state of one of the committer's loops. The committer's mu guards it.
type worker struct {
	want       int           // how many entries must wait before the loop is woken; 0 for any
	turned     time.Time     // when it last finished a round, or found nothing to do
	oldest     time.Time     // when the first beat of its current group arrived; zero for none
	over       bool          // the loop has ended
	handedOver bool          // entries wait for the current group of that other loop
	wake       chan struct{} // holds one token when there is work
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

// turn returns when the slowest of the loops last finished a round, and wakes all.
func (c *committer) turn() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	slowest := c.renewing.turned
	for _, w := range []*worker{&c.renewing, &c.beating, &c.writing} {
		w.wakeUp()
		if w.turned.Before(slowest) {
			slowest = w.turned
		}
	}
	return slowest
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
				c.gather(w, answered, c.arrivedCount)
			}
		case closed:
			c.mu.Lock()
			w.over = true
			c.beating.wakeUp()
			c.mu.Unlock()
			return
		default:
			<-w.wake
		}
	}
}

// commitAll commits group after group, until take reports that none is left and none can come. waiting returns how many
// entries wait for the loop; it is called with mu held.
func (c *committer) commitAll(ctx context.Context, w *worker, take func() (group []*entry, over bool), waiting func() int) {
	for {
		c.recordTurn(w)
		group, over := take()
		switch {
		case len(group) > 0:
			c.commit(ctx, w, group)
			c.gather(w, len(group), waiting)
		case over:
			return
		default:
			<-w.wake
		}
	}
}

// gather waits up to gatherTimeout for the next requests of the clients that were answered last. waiting returns how many
// entries the loop could take; it is called with mu held.
func (c *committer) gather(w *worker, answered int, waiting func() int) {
	if answered < gatherFrom {
		return
	}
	c.mu.Lock()
	want := int(gatherShare * float64(answered+waiting()))
	c.mu.Unlock()
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
	if len(others) > 0 && c.beatCount() >= c.beating.want {
		c.beating.wakeUp()
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

// end ends the current group of a loop, before it is answered: its beats are stored, or have failed, and the other loop may
// have its runs.
func (c *committer) end(w *worker, group []*entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.oldest = time.Time{}
	if w == &c.writing {
		c.appending = nil
	}
	for _, e := range group {
		if e.beat == nil {
			continue
		}
		if c.ahead[e.run()]--; c.ahead[e.run()] == 0 {
			delete(c.ahead, e.run())
		}
	}
	for _, other := range []*worker{&c.beating, &c.writing} {
		if other != w && other.handedOver {
			other.wakeUp()
		}
	}
}
