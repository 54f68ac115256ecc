package agent

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/spool"
)

// errNoStateDir stands for a state directory that the caller could not name.
var errNoStateDir = errors.New("there is no state directory")

// openedJournal is the attempt's journal, and the spool that it is in: nil for none. The
// error is one before which no job should start.
type openedJournal struct {
	spool   *spool.Spool
	journal *spool.Journal
	err     error
}

// meta says whose journal it is.
func (a *attempt) meta() spool.Meta {
	c := a.cfg
	return spool.Meta{
		Run: c.Run, Attempt: c.Attempt, Job: c.Job, Server: c.ServerURL, PID: os.Getpid(),
		Host: c.host(),
	}
}

// openJournal makes the journal, beside what else has to be done before the job can start:
// a file system may take as long for that as all the rest.
func (a *attempt) openJournal() <-chan openedJournal {
	c, meta := a.cfg, a.meta()
	opened := make(chan openedJournal, 1)
	if c.StateDir == "" {
		opened <- openedJournal{journal: spool.InMemory(meta, spool.Limits{}, errNoStateDir)}
	} else {
		go func() { opened <- openIn(c, meta) }()
	}
	return opened
}

// openLimit bounds the wait for the state directory before the job starts: until the journal is
// open and holds its first record.
const openLimit = 2 * time.Second

// awaitJournal waits for the journal that is being opened. A state directory that does not
// answer, as one on a dead network, holds up no job: the journal is then in memory, and what is
// opened too late is removed.
func (a *attempt) awaitJournal(opened <-chan openedJournal) openedJournal {
	limit := time.NewTimer(openLimit)
	defer limit.Stop()
	select {
	case o := <-opened:
		return o
	case <-limit.C:
	}
	go func() { // ends when the file system answers
		if late := <-opened; late.journal != nil {
			_ = late.journal.Remove() // it is empty
		}
	}()
	err := fmt.Errorf("%s does not answer (waited %s)", a.cfg.StateDir, openLimit)
	return openedJournal{journal: spool.InMemory(a.meta(), spool.Limits{Unsent: a.cfg.SpoolLimit}, err)}
}

// openIn makes a journal in the spool, or in memory where there is no spool.
func openIn(c Config, meta spool.Meta) (o openedJournal) {
	limits := spool.Limits{Unsent: c.SpoolLimit}
	var err error
	if o.spool, err = spool.Open(c.StateDir); err == nil {
		if err = c.claim.take(o.spool, c); err == nil {
			o.journal, err = o.spool.Create(meta, limits)
		}
		var running *spool.RunningError
		switch {
		case err == nil:
			return o
		case errors.As(err, &running):
			o.err = err
			return o
		case errors.Is(err, spool.ErrExists):
			o.err = fmt.Errorf("%w; leave out the run id to start a new run", err)
			return o
		}
	}
	o.journal = spool.InMemory(meta, limits, err) // the recorder says why
	return o
}

// runClaim is what keeps other agents of this host from the run, also between two attempts.
// Its zero value holds nothing.
type runClaim struct {
	mu   sync.Mutex
	held *spool.Claim
}

// take holds the run if there may be several attempts of it; for a single one it looks whether
// another agent holds it, and the lock of the journal does the rest.
func (r *runClaim) take(s *spool.Spool, c Config) error {
	if c.Attempt != c.FirstAttempt {
		return nil
	}
	if r == nil {
		return s.Claimed(c.Run, c.host())
	}
	held, err := s.Claim(c.Run, c.host())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
	return err
}

// releaseLimit bounds the wait for a disk that does not answer.
const releaseLimit = time.Second

// release lets go of the run.
func (r *runClaim) release() {
	r.mu.Lock()
	held := r.held
	r.held = nil
	r.mu.Unlock()
	if held == nil {
		return
	}
	bounded.Do(releaseLimit, func() { _ = held.Release() }) // what is left of it is swept later
}
