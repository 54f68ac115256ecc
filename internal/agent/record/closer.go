package record

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/sink"
	"stint.dev/stint/job"
)

// closer closes output of the job whose reader, on the caller's side, has gone away: the next
// write then ends the job, as it would without an agent in between. Other goroutines may use
// it too.
type closer struct {
	// gone has room for all that can come: each stream once from the passer that writes to
	// it, and once from the watch on it.
	gone chan job.Stream

	mu       sync.Mutex
	closed   map[job.Stream]bool
	captures []*Capture
}

func newCloser() *closer {
	return &closer{gone: make(chan job.Stream, 4), closed: map[job.Stream]bool{}}
}

// run closes what has no reader any more, until ctx ends.
func (c *closer) run(ctx context.Context, stdout, stderr *os.File) {
	watch := sink.NewWatch(stdout, stderr)
	var watching sync.WaitGroup
	if watch != nil {
		watching.Go(func() {
			for i, ok := watch.Next(); ok; i, ok = watch.Next() {
				c.readerGone([]job.Stream{job.Stdout, job.Stderr}[i])
			}
		})
	}
	defer watching.Wait()
	defer watch.Close()
	for {
		select {
		case s := <-c.gone:
			c.close(s)
		case <-ctx.Done():
			return
		}
	}
}

// readerGone notes that a stream has no reader any more. It does not wait.
func (c *closer) readerGone(s job.Stream) {
	select {
	case c.gone <- s:
	default: // it is noted already
	}
}

// close closes a stream in all steps, also those that follow.
func (c *closer) close(s job.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed[s] {
		return
	}
	c.closed[s] = true
	for _, one := range c.captures {
		c.hangUp(one)
	}
}

// add takes over a capture that has begun to drain.
func (c *closer) add(one *Capture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.captures = append(c.captures, one)
	c.hangUp(one)
}

// hangUp closes one stream of a step if it has no reader. The caller holds mu.
func (c *closer) hangUp(one *Capture) {
	if !c.closed[one.stream] {
		return
	}
	select {
	case <-one.done:
		return
	default:
	}
	one.hangUp()
}

// of returns what was closed of a step; nil for nothing.
func (c *closer) of(step int) *job.ClosedOutput {
	c.mu.Lock()
	defer c.mu.Unlock()
	var what []string
	for _, one := range c.captures {
		if one.step != step || !one.hungUp.Load() {
			continue
		}
		if what = append(what, one.what()); one.terminal() {
			return &job.ClosedOutput{What: one.what(), Signal: "SIGHUP", SignalNo: 1}
		}
	}
	if what == nil {
		return nil
	}
	return &job.ClosedOutput{What: strings.Join(what, " and "), Signal: "SIGPIPE", SignalNo: 13}
}

// hangUp ends a capture after what it can read at once, and closes the agent's end. Processes
// that write then get SIGPIPE; those at a terminal, SIGHUP.
func (c *Capture) hangUp() {
	c.hungUp.Store(true)
	c.Release()
	c.Limit(time.Now())
}

// what names what is captured.
func (c *Capture) what() string {
	if c.terminal() {
		return "terminal"
	}
	return string(c.stream)
}

// terminal reports whether the capture is that of a terminal.
func (c *Capture) terminal() bool {
	_, is := c.read.(terminalReader)
	return is
}
