// Package worker takes queued runs from the server and starts an agent for each: a process of its
// own, which asks for the permit to start, supervises the attempt, and outlives the worker. A
// worker that comes after it in the same state directory finds these agents again.
//
// One goroutine, that of Run, owns everything. Beside it there is at most one request for runs at
// a time, the delivery of journals that wait on the host, and requests that give claims back.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/job"
)

// Server is what a worker needs of the tracking server.
type Server interface {
	// Claim asks for runs. After an error the same ClaimID returns the same runs.
	Claim(ctx context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error)
	// ReleaseClaim gives a claim back.
	ReleaseClaim(ctx context.Context, worker, claim, reason string) error
}

// Config describes a worker.
type Config struct {
	Name     string
	Host     string
	BootID   string
	Version  string // of the program
	StateDir string
	Server   Server
	// Slots is how many attempts it has at a time.
	Slots  int
	Labels map[string]string
	Trust  Trust
	// Settings are those of every agent, but for its claim.
	Settings Settings
	// Flush delivers the journals that wait on this host; nil for nothing.
	Flush func(ctx context.Context) error
	// Managed says that the worker ends at the first request, because a service manager starts
	// the next one and leaves the agents alone. Otherwise it waits for its agents.
	Managed bool
	// Stops brings the signals that ask the worker to end, and Children those that report the
	// end of a child.
	Stops, Children <-chan os.Signal
	// Print prints one line for people.
	Print func(line string)
	// Getenv reads the worker's environment.
	Getenv func(string) string

	system system               // of this host unless a test sets another
	clock  func() time.Duration // clock.SinceBoot unless a test sets another
}

// Worker is one worker.
type Worker struct {
	cfg    Config
	state  *state
	agents *agents

	claimID string // of the request that is not answered yet
	asking  *asking
	nextAsk time.Time
	backoff time.Duration
	replies chan answer
	// trouble is the kind of trouble with the server that people know of; empty for none.
	trouble string

	answers   bool       // the server has answered
	flushed   chan error // brings the end of a delivery of waiting journals
	flushing  bool
	flushes   int  // how many have ended
	ready     bool // what waited on this host was delivered once
	nextFlush time.Time

	leaving  bool
	stopped  bool // the agents were asked to stop
	draining string
	stopBy   time.Time // the drain's deadline on this host's clock; zero for none

	releases sync.WaitGroup
	cancel   context.CancelFunc // ends what runs beside Run
}

// asking is a request for runs that is under way.
type asking struct {
	request job.ClaimRequest
	begun   time.Time
	cancel  context.CancelFunc
}

// answer is what became of a request for runs.
type answer struct {
	// at is when it was answered, by clock.SinceBoot. Claims count from then: the server may have held the
	// request for longer than they last. If the answer was long on its way, the server refuses the permit.
	at    time.Duration
	reply job.ClaimReply
	err   error
}

// Open locks the state directory and finds the agents of an earlier worker. Close must be called.
// It returns *InUseError when another worker has the directory.
func Open(c Config) (*Worker, error) {
	s, err := openState(c.StateDir)
	if err != nil {
		return nil, err
	}
	if c.clock == nil {
		c.clock = clock.SinceBoot
	}
	if c.system == nil {
		c.system = newHost(c.Getenv)
	}
	w := &Worker{
		cfg: c, state: s, replies: make(chan answer, 1), flushed: make(chan error, 1), claimID: uuid.NewString(),
	}
	if w.agents, err = findAgents(s, c); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return w, nil
}

// Close gives the state directory up. Agents live on.
func (w *Worker) Close() error { return w.state.close() }

// Agents is how many agents the worker has.
func (w *Worker) Agents() int { return len(w.agents.list) }

// Run takes runs until ctx ends, or the worker was asked to end and may. Its parts end in this
// order: no more requests for runs, the last request, which reports that, claims given back, the
// delivery of journals. Agents live on.
func (w *Worker) Run(ctx context.Context) {
	beside, cancel := context.WithCancel(ctx)
	w.cancel = cancel
	defer w.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		w.check(now)
		if w.mayEnd() {
			return
		}
		w.flush(beside, now)
		w.ask(beside, now)
		timer.Reset(time.Until(w.nextDue(now)))
		select {
		case a := <-w.replies:
			w.answered(a, time.Now())
		case err := <-w.flushed:
			w.flushEnded(err, time.Now())
		case <-w.cfg.Children:
		case <-w.cfg.Stops:
			w.requestEnd()
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// check finds out which agents have ended, gives back claims that could not be started, and asks
// agents to stop when a drain's deadline has passed.
func (w *Worker) check(now time.Time) {
	for _, e := range w.agents.check(now) {
		if e.reason != "" {
			w.giveBack(e.record, e.reason)
		}
		if w.asking != nil && w.asking.request.Free == 0 {
			w.asking.cancel() // it asks for too little
		}
		if soon := now.Add(leftPause); e.waits && w.nextFlush.After(soon) {
			w.nextFlush = soon
		}
	}
	if !w.stopBy.IsZero() && !now.Before(w.stopBy) && !w.stopped {
		w.stopAgents("the deadline of the drain has passed")
	}
}

// stopAgents asks the agents to stop their jobs, once.
func (w *Worker) stopAgents(why string) {
	w.stopped = true
	if n := len(w.agents.list); n > 0 {
		w.cfg.Print(fmt.Sprintf("%s: %s asked to stop", why, agentsText(n)))
	}
	w.agents.stop()
}

// agentsText is a number of agents with its verb.
func agentsText(n int) string {
	if n == 1 {
		return "1 agent is"
	}
	return fmt.Sprintf("%d agents are", n)
}

// requestEnd acts on a request to end.
func (w *Worker) requestEnd() {
	switch {
	case w.leaving:
		w.stopAgents("asked to end again")
		return
	case w.cfg.Managed:
		w.cfg.Print(fmt.Sprintf("asked to end; %s left to the next worker", agentsText(len(w.agents.list))))
	case len(w.agents.list) > 0:
		w.cfg.Print(fmt.Sprintf("asked to end: no more runs are taken, and %s waited for; a second signal asks them to stop", agentsText(len(w.agents.list))))
	}
	w.leaving = true
	if w.asking != nil {
		w.asking.cancel()
	}
	w.nextAsk = time.Time{}
}

// mayEnd reports whether a worker that was asked to end is done.
func (w *Worker) mayEnd() bool {
	return w.leaving && w.asking == nil && (w.cfg.Managed || len(w.agents.list) == 0)
}

// end reports that the worker ends, and waits for what runs beside it.
func (w *Worker) end() {
	if w.asking != nil {
		w.asking.cancel()
		<-w.replies
	}
	w.sayGoodbye()
	w.releases.Wait()
	w.cancel()
	if w.flushing {
		<-w.flushed
	}
	w.cfg.system.close()
}

// nextDue is when there is something to do if nothing happens.
func (w *Worker) nextDue(now time.Time) time.Time {
	due := now.Add(time.Minute)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	if w.asking == nil {
		earlier(w.nextAsk)
	}
	if !w.flushing {
		earlier(w.nextFlush)
	}
	if !w.stopped {
		earlier(w.stopBy)
	}
	if w.agents.anyUnwatched() {
		earlier(now.Add(unwatchedPause))
	}
	return due
}
