package record

import (
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
)

// OpenLimit bounds the wait for the state directory before the job starts: until the journal is
// open and holds its first record.
const OpenLimit = 2 * time.Second

// ErrNoStateDir says that the caller could not name a state directory.
var ErrNoStateDir = errors.New("there is no state directory")

// OpenConfig says which journal is opened.
type OpenConfig struct {
	Meta     spool.Meta
	StateDir string // empty: the journal is held in memory
	Limits   spool.Limits
	// Claim takes the run, before the journal is made.
	Claim func(*spool.Spool) error
}

// OpenedJournal is the attempt's journal, and the spool that it is in: nil for none. With Err no job
// should start.
type OpenedJournal struct {
	Spool   *spool.Spool
	Journal *spool.Journal
	Err     error
}

// Opening is a journal that is being opened.
type Opening struct {
	cfg    OpenConfig
	opened chan OpenedJournal
}

// Open begins to open a journal, beside what else has to be done before the job can start: a
// file system may take as long for that as all the rest. Await must be called.
func Open(c OpenConfig) *Opening {
	o := &Opening{cfg: c, opened: make(chan OpenedJournal, 1)}
	if c.StateDir == "" {
		o.opened <- OpenedJournal{Journal: spool.InMemory(c.Meta, spool.Limits{}, ErrNoStateDir)}
	} else {
		go func() { o.opened <- c.open() }()
	}
	return o
}

// Await waits for the journal. A state directory that does not answer, as one on a dead network,
// holds up no job: the journal is then in memory, and what is opened too late is removed.
func (o *Opening) Await() OpenedJournal {
	limit := time.NewTimer(OpenLimit)
	defer limit.Stop()
	select {
	case opened := <-o.opened:
		return opened
	case <-limit.C:
	}
	go func() { // ends when the file system answers
		if late := <-o.opened; late.Journal != nil {
			_ = late.Journal.Remove() // it is empty
		}
	}()
	err := fmt.Errorf("%s does not answer (waited %s)", o.cfg.StateDir, OpenLimit)
	return OpenedJournal{Journal: spool.InMemory(o.cfg.Meta, o.cfg.Limits, err)}
}

// open makes a journal in the spool, or in memory where there is no spool.
func (c OpenConfig) open() (o OpenedJournal) {
	var err error
	if o.Spool, err = spool.Open(c.StateDir); err == nil {
		if err = c.Claim(o.Spool); err == nil {
			o.Journal, err = o.Spool.Create(c.Meta, c.Limits)
		}
		var running *owner.RunningError
		switch {
		case err == nil:
			return o
		case errors.As(err, &running):
			o.Err = err
			return o
		case errors.Is(err, owner.ErrExists):
			o.Err = fmt.Errorf("%w; leave out the run id to start a new run", err)
			return o
		}
	}
	o.Journal = spool.InMemory(c.Meta, c.Limits, err) // the recorder reports why
	return o
}
