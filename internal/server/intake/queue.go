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

// enqueue queues an entry, or returns why it is refused.
func (c *committer) enqueue(e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return httpio.Busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down: try again")
	}
	if err := c.reserve(e); err != nil {
		e.leave()
		c.counters.refusedBusy.Inc()
		return err
	}
	if e.append == nil {
		c.arrived = append(c.arrived, e)
		if c.arrivedCount() >= c.renewing.want {
			c.renewing.wakeUp()
		}
		return nil
	}
	of := c.runs[e.run()]
	c.runs[e.run()] = share{of.entries + 1, of.bytes + e.size()}
	c.owners[e.owner]++
	c.queue = append(c.queue, e)
	c.bytes += e.size()
	if c.appendCount() >= c.writing.want {
		c.writing.wakeUp()
	}
	return nil
}

// leave releases the entry's places in the queues.
func (e *entry) leave() {
	for _, p := range e.places {
		p.Leave()
	}
	e.places = nil
}

// reserve takes places in the queues for an entry. The caller holds mu.
func (c *committer) reserve(e *entry) error {
	run := e.run()
	if of := c.runs[run]; e.append != nil && (of.entries >= runEntries || of.entries > 0 && of.bytes+e.size() > runBytes) {
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "too many appends of run %s wait to be stored: try again", job.Quote(run))
	}
	if e.append == nil {
		return e.enter(c.arrivedRoom, 1)
	}
	if err := e.enter(c.appendRoom, 1); err != nil {
		return err
	}
	return e.enter(c.byteRoom, e.size())
}

// enter takes n places for the entry.
func (e *entry) enter(room *shares.Shares, n int64) error {
	p, err := room.Enter(e.owner, n, nil)
	var full *shares.FullError
	switch {
	case errors.As(err, &full) && full.Own:
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "too many requests of this client wait to be stored: try again")
	case err != nil:
		return httpio.Busy(http.StatusTooManyRequests, time.Second, "too many requests wait to be stored: try again")
	}
	e.places = append(e.places, p)
	return nil
}

// appendCount returns how many appends wait. The caller holds mu.
func (c *committer) appendCount() int { return len(c.queue) }

// beatCount returns how many beats wait for a transaction. The caller holds mu.
func (c *committer) beatCount() int { return len(c.beats) }

// arrivedCount returns how many beats have arrived and are in no group. The caller holds mu.
func (c *committer) arrivedCount() int { return len(c.arrived) }

// takeArrived removes and returns the next group of the beats that arrived.
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

// takeBeats removes and returns the next group of beats that need a transaction. over reports that none is left, and none
// can come.
func (c *committer) takeBeats() (group []*entry, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []*entry
	for i, e := range c.beats {
		if len(group) >= groupEntries {
			left = append(left, c.beats[i:]...)
			break
		}
		if c.appending[e.run()] {
			left = append(left, e)
			continue
		}
		group = append(group, e)
	}
	c.beats = left
	c.begin(&c.beating, group, len(left) > 0)
	if len(group) > 0 {
		c.beating.oldest = group[0].beat.At
	}
	return group, c.closed && c.renewing.over && len(left) == 0
}

// takeAppends removes and returns the next group of appends. over reports that none is left, and none can come.
func (c *committer) takeAppends() (group []*entry, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	group = c.nextAppends()
	c.appending = make(map[string]bool, len(group))
	for _, e := range group {
		c.appending[e.run()] = true
	}
	c.begin(&c.writing, group, len(c.queue) > 0)
	return group, c.closed && len(c.queue) == 0
}

// begin begins a group of a loop. passed reports that entries are left, perhaps for the group of the other loop. The caller
// holds mu.
func (c *committer) begin(w *worker, group []*entry, passed bool) {
	w.handedOver = passed
	for _, e := range group {
		e.leave()
	}
}

// nextAppends removes and returns the next group of appends. What exceeds the limits of a run or an
// owner, or is of a run whose beats wait or are committed now, stays for the next group while appends of others pass it; the order
// within each run stays. The caller holds mu.
func (c *committer) nextAppends() (group []*entry) {
	size, inGroup, ofOwner := int64(0), map[string]int64{}, map[shares.Owner]share{}
	waits, alone := map[string]bool{}, len(c.owners) < 2
	left := c.queue[:0:0]
	for i, e := range c.queue {
		if len(group) >= groupEntries || len(group) > 0 && size+e.size() > groupBytes {
			left = append(left, c.queue[i:]...)
			break
		}
		run, owns := e.run(), ofOwner[e.owner]
		full := inGroup[run] > 0 && inGroup[run]+e.size() > runGroupBytes ||
			!alone && owns.entries > 0 && (owns.bytes+e.size() > ownerGroupBytes || owns.entries >= ownerGroupEntries)
		if waits[run] || full || c.ahead[run] > 0 {
			waits[run] = true
			left = append(left, e)
			continue
		}
		inGroup[run] += e.size()
		ofOwner[e.owner] = share{owns.entries + 1, owns.bytes + e.size()}
		size += e.size()
		group = append(group, e)
		c.removeShare(e)
	}
	c.queue = left
	c.bytes -= size
	return group
}

// removeShare subtracts an append from the shares of its run and owner in the queue. The caller holds mu.
func (c *committer) removeShare(e *entry) {
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
