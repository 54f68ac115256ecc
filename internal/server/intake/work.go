package intake

import (
	"context"
	"time"

	"stint.dev/stint/internal/lease"
)

// worker is the state of one of the goroutines, under the committer's mu.
type worker struct {
	want   int           // how many entries are worth waking for; 0 for any
	turned time.Time     // when it last did something, or found nothing to do
	oldest time.Time     // when the first heartbeat arrived of the group that it works on; zero for none
	over   bool          // it takes no more
	wake   chan struct{} // holds one token when there is work
	ended  chan struct{} // closed when it has ended
}

func newWorker(now time.Time) worker {
	return worker{turned: now, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// wakeUp wakes the goroutine.
func (w *worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (c *committer) recordTurn(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.turned = c.now()
}

// turn returns when the goroutine last turned that has not turned for longer, and lets both turn
// once more.
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

// renewAll answers the beats that need no transaction and passes on the others, group after group,
// until the committer is closed and none is left.
func (c *committer) renewAll() {
	w := &c.renewing
	defer close(w.ended)
	for {
		c.recordTurn(w)
		group, closed := c.takeArrived()
		switch {
		case len(group) > 0:
			if answered := c.renewGroup(group); answered > 0 {
				c.gather(w, answered, c.waitingArrived, func() bool { return false })
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

// run commits group after group until the committer is closed and its queues are empty.
func (c *committer) run(ctx context.Context) {
	w := &c.writing
	defer close(w.ended)
	for {
		c.recordTurn(w)
		group, closed := c.take()
		switch {
		case len(group) > 0:
			c.commit(ctx, group)
			c.gather(w, len(group), c.waiting, c.othersWait)
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// gather waits a moment for those who were answered last, unless others wait already. waiting is how
// many entries the worker could take; it and others are called with mu held.
func (c *committer) gather(w *worker, answered int, waiting func() int, others func() bool) {
	c.mu.Lock()
	want := int(gatherShare * float64(answered+waiting()))
	skip := answered < gatherFrom || others()
	c.mu.Unlock()
	if skip {
		return
	}
	late := time.NewTimer(gatherTime)
	defer late.Stop()
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
		case <-late.C:
			c.mu.Lock()
			w.want = 0
			c.mu.Unlock()
			return
		}
	}
}

// renewGroup answers the beats of a group that need no transaction, and queues the others for one, or
// refuses them. It returns how many it answered.
func (c *committer) renewGroup(group []*entry) (answered int) {
	answer, others := c.renewSome(group)
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
	if len(others) > 0 && c.waiting() >= c.writing.want {
		c.writing.wakeUp()
	}
	c.mu.Unlock()
	for _, e := range answer {
		c.publish(e)
		close(e.ready)
	}
	return answered
}

// renewSome renews what it can, and returns what it renewed, and the other beats. A beat comes behind
// those of its run that wait for a transaction: the last one that arrived is the last one stored.
func (c *committer) renewSome(group []*entry) (renewed, others []*entry) {
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

// noLongerAhead notes that the beats of a group are stored, or failed, before they are answered.
func (c *committer) noLongerAhead(group []*entry) {
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
