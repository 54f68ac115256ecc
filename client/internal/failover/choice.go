// Package failover sends requests to one of the several addresses of a server: to the one that answers, as long as it does,
// and then to the next.
package failover

import "time"

const (
	// Patience is how long an address that has answered may fail before another one is used: a server that is restarted is
	// back by then. Jitter is the most that chance adds, so that not all agents of a server move in the same moment.
	Patience = time.Second
	Jitter   = 400 * time.Millisecond
	// firstLimit bounds the wait for a connection to an address while there are others. Each time that all have failed it
	// doubles, up to lastLimit, so that a slow path is used if there is no better one.
	firstLimit = time.Second
	lastLimit  = 8 * time.Second
	// leaveOut is for how long an address of another installation is not asked again.
	leaveOut = time.Minute
)

// Choice is which of several addresses, by their place in order of preference, is in use. An address stays in use until it
// fails. It is a state machine without a clock.
type Choice struct {
	n        int
	at       int
	answered bool          // the address in use has answered since it is in use
	failing  time.Time     // when the first request began that has failed since its last answer; zero for none
	patience time.Duration // with that failure
	failed   int           // addresses that have failed one after the other
	leftOut  []time.Time   // until when each is left out
}

// NewChoice returns the choice of the first of n addresses.
func NewChoice(n int) Choice { return Choice{n: n, leftOut: make([]time.Time, n)} }

// Current returns the address in use.
func (c *Choice) Current() int { return c.at }

// Answered notes that a server answered at an address.
func (c *Choice) Answered(i int) {
	if i == c.at {
		c.answered, c.failing, c.failed = true, time.Time{}, 0
	}
}

// Failed notes that a request to an address, which began at a time, has failed by now, and reports whether another address
// is in use because of that. jitter is by how much longer this outage is borne than Patience. Of an address that is not in
// use any more it says nothing.
func (c *Choice) Failed(i int, begun, now time.Time, jitter time.Duration) (moved bool) {
	if i != c.at {
		return false
	}
	if c.failing.IsZero() {
		c.failing, c.patience = begun, 0
		if c.answered {
			c.patience = Patience + jitter
		}
	}
	if now.Sub(c.failing) < c.patience {
		return false
	}
	c.failed++
	return c.next(now)
}

// LeaveOut notes that an address leads to another installation, and reports whether another one is in use because of that.
func (c *Choice) LeaveOut(i int, now time.Time) (moved bool) {
	c.leftOut[i] = now.Add(leaveOut)
	return i == c.at && c.next(now)
}

// IsLeftOut reports whether an address is left out at a time.
func (c *Choice) IsLeftOut(i int, now time.Time) bool { return now.Before(c.leftOut[i]) }

// next goes on to the next address that is not left out, if there is one.
func (c *Choice) next(now time.Time) (moved bool) {
	c.failing = time.Time{}
	for k := 1; k < c.n; k++ {
		if i := (c.at + k) % c.n; !c.IsLeftOut(i, now) {
			c.at, c.answered = i, false
			return true
		}
	}
	return false
}

// ConnectLimit returns how long to wait for a connection to the address in use; 0 for no limit of this kind.
func (c *Choice) ConnectLimit() time.Duration {
	if c.n == 1 {
		return 0
	}
	return min(firstLimit<<min(c.failed/c.n, 8), lastLimit)
}
