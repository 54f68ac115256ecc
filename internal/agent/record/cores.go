package record

import "sync"

// Cores reports to the caller how many cores the agent's goroutines can make use of: two while
// it starts, so that what has to be done before the job goes on side by side; one while it
// watches a quiet job, where a second core only means more threads to wake; two again, for
// good, when the job prints so fast that reading and delivering it compete.
type Cores struct {
	use func(n int) // may be nil

	mu   sync.Mutex
	busy bool
}

// NewCores calls use, which may be nil, when the number changes.
func NewCores(use func(n int)) *Cores { return &Cores{use: use} }

// UseOne is called when the job has run for a moment.
func (c *Cores) UseOne() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use != nil && !c.busy {
		c.use(1)
	}
}

// UseTwo is called when a read brought a lot.
func (c *Cores) UseTwo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use != nil && !c.busy {
		c.use(2)
	}
	c.busy = true
}
