package agent

import (
	"errors"
	"fmt"

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

// openJournal makes the journal, beside what else has to be done before the job can start:
// a file system may take as long for that as all the rest.
func (a *attempt) openJournal() <-chan openedJournal {
	c := a.cfg
	meta := spool.Meta{Run: c.Run, Attempt: c.Attempt, Job: c.Job, Server: c.ServerURL, CreatedAt: a.begun.UTC()}
	opened := make(chan openedJournal, 1)
	if c.StateDir == "" {
		opened <- openedJournal{journal: spool.InMemory(meta, spool.Limits{}, errNoStateDir)}
	} else {
		go func() { opened <- openIn(c.StateDir, meta, spool.Limits{Unsent: c.SpoolLimit}) }()
	}
	return opened
}

// openIn makes a journal in the spool, or in memory where there is no spool.
func openIn(stateDir string, meta spool.Meta, limits spool.Limits) (o openedJournal) {
	var err error
	if o.spool, err = spool.Open(stateDir); err == nil {
		if o.journal, err = o.spool.Create(meta, limits); err == nil {
			return o
		}
		if errors.Is(err, spool.ErrExists) {
			o.err = fmt.Errorf("%w; leave out the run id to start a new run", err)
			return o
		}
	}
	o.journal = spool.InMemory(meta, limits, err) // the recorder says why
	return o
}
