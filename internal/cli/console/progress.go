package console

import (
	"fmt"
	"sync"
	"time"

	"stint.dev/stint/job"
)

// Progress is one line on stderr that shows what a command waits for. It appears only on a
// terminal and only after a second, and is removed at the end.
type Progress struct {
	c     *Console
	mu    sync.Mutex
	text  string
	since time.Time
	shown bool
	quit  chan struct{}
	done  chan struct{}
}

// Wait starts to show what a command waits for. Call Done at its end.
func (c *Console) Wait(format string, args ...any) *Progress {
	p := &Progress{c: c, text: fmt.Sprintf(format, args...), since: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	if !c.IsTerminal(c.Err) {
		close(p.done)
		return p
	}
	go p.run()
	return p
}

// Update changes the text.
func (p *Progress) Update(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = fmt.Sprintf(format, args...)
}

// Done removes the line. It may be called once.
func (p *Progress) Done() {
	close(p.quit)
	<-p.done
}

func (p *Progress) run() {
	defer close(p.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			if p.shown {
				fmt.Fprint(p.c.Err, "\r\x1b[K")
			}
			return
		case <-tick.C:
			p.mu.Lock()
			text := p.text
			p.mu.Unlock()
			p.shown = true
			fmt.Fprintf(p.c.Err, "\r\x1b[K%s … %s", Clean(text), job.DurationText(time.Since(p.since).Truncate(time.Second)))
		}
	}
}
