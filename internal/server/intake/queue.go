package intake

import (
	"errors"
	"net/http"
	"time"

	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

func (e *entry) size() int64 {
	if e.append != nil {
		return int64(len(e.append.Data))
	}
	return 0
}

func (e *entry) run() string {
	if e.append != nil {
		return e.append.Run
	}
	return e.beat.Run
}

// enqueue queues an entry, or refuses it.
func (c *committer) enqueue(e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return httpio.Busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down: try again")
	}
	if err := c.admit(e); err != nil {
		e.leave()
		c.counters.refusedBusy.Inc()
		return err
	}
	if e.append == nil {
		c.arrived = append(c.arrived, e)
		if c.waitingArrived() >= c.renewing.want {
			c.renewing.wakeUp()
		}
		return nil
	}
	of := c.runs[e.run()]
	c.runs[e.run()] = share{of.entries + 1, of.bytes + e.size()}
	c.owners[e.owner]++
	c.queue = append(c.queue, e)
	c.bytes += e.size()
	if c.waiting() >= c.writing.want {
		c.writing.wakeUp()
	}
	return nil
}

// leave gives back the entry's room in the queues.
func (e *entry) leave() {
	for _, p := range e.places {
		p.Leave()
	}
	e.places = nil
}

// admit takes room in the queues for an entry; the caller holds mu.
func (c *committer) admit(e *entry) error {
	run := e.run()
	if of := c.runs[run]; e.append != nil && (of.entries >= runEntries || of.entries > 0 && of.bytes+e.size() > runBytes) {
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "run %s has too much on its way at the moment: try again", job.Quote(run))
	}
	if e.append == nil {
		return e.enter(c.arrivedRoom, 1)
	}
	if err := e.enter(c.appendRoom, 1); err != nil {
		return err
	}
	return e.enter(c.byteRoom, e.size())
}

// enter takes n places of a room for the entry.
func (e *entry) enter(room *shares.Shares, n int64) error {
	p, err := room.Enter(e.owner, n, nil)
	var full *shares.FullError
	switch {
	case errors.As(err, &full) && full.Own:
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "this client has too much on its way at the moment: try again")
	case err != nil:
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "the server has too much to write at the moment: try again")
	}
	e.places = append(e.places, p)
	return nil
}

// waiting is how many entries wait for a transaction; the caller holds mu.
func (c *committer) waiting() int { return len(c.queue) + len(c.beats) }

// waitingArrived is how many beats have arrived and are in no group; the caller holds mu.
func (c *committer) waitingArrived() int { return len(c.arrived) }

// othersWait reports whether entries wait of the kind that the last group did not have; the caller
// holds mu.
func (c *committer) othersWait() bool {
	if c.lastOfBeats {
		return len(c.queue) > 0
	}
	return len(c.beats) > 0
}

// takeArrived removes the next group of the beats that arrived.
func (c *committer) takeArrived() (group []*entry, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.arrived), groupEntries)
	group, c.arrived = c.arrived[:n:n], c.arrived[n:]
	if n > 0 {
		c.renewing.oldest = group[0].beat.At
	}
	return group, c.closed
}

// take removes the next group from the queues: of beats if there are any, and after one of
// beats of appends if there are any.
func (c *committer) take() (group []*entry, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastOfBeats = len(c.beats) > 0 && (!c.lastOfBeats || len(c.queue) == 0)
	c.writing.oldest = time.Time{}
	if c.lastOfBeats {
		c.writing.oldest = c.beats[0].beat.At
		n := min(len(c.beats), groupEntries)
		group, c.beats = c.beats[:n:n], c.beats[n:]
	} else {
		group = c.takeAppends()
	}
	for _, e := range group {
		e.leave()
	}
	return group, c.closed && c.renewing.over
}

// takeAppends removes the next group of appends. A run or an owner that has much in the queue
// waits with the rest for the next group while others go first; the order within each run
// stays. The caller holds mu.
func (c *committer) takeAppends() (group []*entry) {
	size, inGroup, ofOwner := int64(0), map[string]int64{}, map[shares.Owner]share{}
	waits, alone := map[string]bool{}, len(c.owners) < 2
	left := c.queue[:0:0]
	for i, e := range c.queue {
		if len(group) >= groupEntries || len(group) > 0 && size+e.size() > groupBytes {
			left = append(left, c.queue[i:]...)
			break
		}
		run, owns := e.run(), ofOwner[e.owner]
		full := inGroup[run] > 0 && inGroup[run]+e.size() > runGroup ||
			!alone && owns.entries > 0 && (owns.bytes+e.size() > ownerGroup || owns.entries >= ownerCommits)
		if waits[run] || full {
			waits[run] = true
			left = append(left, e)
			continue
		}
		inGroup[run] += e.size()
		ofOwner[e.owner] = share{owns.entries + 1, owns.bytes + e.size()}
		size += e.size()
		group = append(group, e)
		c.taken(e)
	}
	c.queue = left
	c.bytes -= size
	return group
}

// taken gives the share of a run in the queue back; the caller holds mu.
func (c *committer) taken(e *entry) {
	if c.owners[e.owner]--; c.owners[e.owner] == 0 {
		delete(c.owners, e.owner)
	}
	of := c.runs[e.run()]
	if of.entries == 1 {
		delete(c.runs, e.run())
		return
	}
	c.runs[e.run()] = share{of.entries - 1, of.bytes - e.size()}
}
