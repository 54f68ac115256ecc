package agent

import "sync"

// cores tells the caller how many cores the agent's goroutines can make use of: two while
// it starts, so that what has to be done before the job goes on side by side; one while it
// watches a quiet job, where a second core only means more threads to wake; two again, for
// good, when the job prints so fast that reading and delivering it compete.
type cores struct {
	use func(n int) // nil: nobody cares

	mu   sync.Mutex
	busy bool
}

// calm is called when the job has run for a moment.
func (c *cores) calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use != nil && !c.busy {
		c.use(1)
	}
}

// hurry is called when a read brought a lot.
func (c *cores) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use != nil && !c.busy {
		c.use(2)
	}
	c.busy = true
}
