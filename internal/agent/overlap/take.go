package overlap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/filelock"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/spool/owner"
)

// answerLimit bounds the wait for the state directory, which may be on a file system that does not answer.
const answerLimit = 2 * time.Second

// Config says which start of which job this is.
type Config struct {
	Mode     Mode
	StateDir string // of the agent; empty where there is none
	Job, Run string
	Host     owner.Host
	// OuterRun is the run around this start, whose job it was started by; empty for none.
	OuterRun string
	// Signals are those that the process gets, and SuspendSelf stops it, while it waits: see the agent's Config.
	Signals     <-chan os.Signal
	SuspendSelf func(syscall.Signal)
	// Print prints one line for people. Waits is called once when the start begins to wait; may be nil.
	Print, Waits func(line string)
}

// NotStartedError reports why a start does not become a run.
type NotStartedError struct {
	Text string
	Code int            // with which stint run exits
	Die  syscall.Signal // that it dies of; 0 for none
}

func (e *NotStartedError) Error() string { return e.Text }

const (
	// Skipped is the exit code of a start that was skipped: EX_TEMPFAIL.
	Skipped = 75
	// nested is that of a start inside of the run that it would wait for: wrong usage.
	nested = 2
)

// Take takes the lock of the job, as the mode says, and waits for it if need be. Without an error the job
// may start; the guard is nil if nothing is to be minded. The error is a *NotStartedError.
//
// The job comes first: where the state directory does not allow it to find out what else is at
// work, the job starts. One line and a note of the run say so.
func Take(ctx context.Context, c Config) (*Guard, error) {
	if c.Mode == Allow || c.Mode == "" {
		return nil, nil //nolint:nilnil // nothing is minded
	}
	p := &place{Config: c, key: keyOf(c.Job, c.Host)}
	ahead, err := bounded.Call(answerLimit, func() ([]Holder, error) { return p.arrive(time.Now()) })
	switch {
	case err != nil:
		return p.unguarded(err), nil
	case len(ahead) == 0:
		return p.guard, nil
	}
	for _, h := range ahead {
		if c.isInside(h) {
			return nil, &NotStartedError{Code: nested, Text: c.nestedText(h)}
		}
	}
	switch {
	case c.Mode == Skip:
		return nil, &NotStartedError{Code: Skipped, Text: c.skippedText(ahead[0]) + p.unrecorded}
	case isFull(len(ahead)):
		return nil, &NotStartedError{Code: Skipped, Text: c.fullText(ahead) + p.unrecorded}
	}
	if c.Waits != nil {
		c.Waits(c.waitsText(ahead))
	}
	return p.await(ctx, ahead[0])
}

// mostWaiting is how many starts of a job may wait. A job that hangs, with a start each minute, would else fill the
// host with processes.
const mostWaiting = 100

// isFull reports whether no further start may wait behind as many, of which the first does not wait.
func isFull(ahead int) bool { return ahead > mostWaiting }

// place is the place of a start among those of its job.
type place struct {
	Config
	key string
	dir directory

	name   string   // of its ticket; empty before it has one
	file   *os.File // of its ticket, with the lock
	before *os.File // of the ticket before its own, which lived when it was last checked; nil for none
	asked  time.Time
	guard  *Guard // when it has the lock of the job

	unrecorded string // what a skipped start says if it cannot be recorded for the run with the lock
}

// arrive takes a ticket, and returns who is ahead, the holder of the lock first. A start that is to be skipped, that
// finds too many, or that is inside of one of them, takes no ticket then.
func (p *place) arrive(now time.Time) (ahead []Holder, err error) {
	if p.dir, err = openDirectory(p.StateDir); err != nil {
		return nil, err
	}
	p.asked = now
	err = p.dir.locked(func() error {
		list, last, err := p.ahead(now)
		if err != nil {
			return err
		}
		inside := false
		for _, t := range list {
			h := readHolder(p.dir.path(t.name))
			ahead, inside = append(ahead, h), inside || p.isInside(h)
		}
		switch {
		case len(list) > 0 && inside:
			return nil
		case len(list) > 0 && p.Mode == Skip, isFull(len(list)):
			p.recordSkip(ahead[0].Run, now)
			return nil
		}
		if err := p.makeTicket(last + 1); err != nil {
			return err
		}
		return p.findBefore(now)
	})
	return ahead, err
}

// ahead lists the living tickets with lower numbers than the start's own, and the highest number
// there is. Tickets whose process died are removed.
func (p *place) ahead(now time.Time) (list []found, last int64, err error) {
	all, err := p.dir.ticketsOf(p.key, p.Host, now)
	if err != nil {
		return nil, 0, err
	}
	for _, t := range all {
		last = max(last, t.number)
		if t.name == p.name {
			break
		}
		file, err := p.dir.living(t.name)
		switch {
		case err != nil:
			return nil, 0, err
		case file == nil:
			_ = os.Remove(p.dir.path(t.name)) // another time
			continue
		}
		list = append(list, t)
		if err := file.Close(); err != nil {
			return nil, 0, err
		}
	}
	return list, last, nil
}

// makeTicket makes the ticket of the start, with its lock.
func (p *place) makeTicket(number int64) error {
	name := ticketName(p.key, number)
	file, err := os.OpenFile(p.dir.path(name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := filelock.Exclusive(int(file.Fd())); err != nil {
		_ = file.Close() // nothing was written
		_ = os.Remove(p.dir.path(name))
		return fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	p.name, p.file = name, file
	writeHolder(file, p.holder(nil))
	return nil
}

func (p *place) holder(since *time.Time) Holder {
	return Holder{
		Job: p.Job, Run: p.Run, PID: os.Getpid(), StartedTicks: member.StartedAt(os.Getpid()),
		Asked: p.asked.UTC(), Since: since, Host: p.Host,
	}
}

// findBefore finds the ticket before the start's own, or makes the guard if there is none. The directory is locked.
func (p *place) findBefore(now time.Time) error {
	list, _, err := p.ahead(now)
	if err != nil {
		return err
	}
	for i := len(list) - 1; i >= 0; i-- {
		if p.before, err = p.dir.living(list[i].name); p.before != nil || err != nil {
			return err
		}
	}
	since := now.UTC()
	p.guard = &Guard{dir: p.dir, key: p.key, run: p.Run, ticket: p.name, file: p.file, holder: p.holder(&since)}
	writeHolder(p.file, p.guard.holder)
	s := p.dir.readSkips(p.key).of(p.Run)
	if text := s.earlierText(); text != "" {
		p.guard.pending = append(p.guard.pending, text)
	}
	s.Earlier, s.EarlierRun = 0, ""
	if s.Count == 0 {
		return p.dir.removeSkips(p.key)
	}
	return p.dir.writeSkips(p.key, s)
}

// advance checks whether it is the start's turn: then it has a guard.
func (p *place) advance(now time.Time) error {
	if p.before != nil {
		alive, err := isLocked(p.before)
		if alive || err != nil {
			return err
		}
		if err := p.before.Close(); err != nil {
			return err
		}
		p.before = nil
	}
	return p.dir.locked(func() error { return p.findBefore(now) })
}

// recordSkip records for the run that has the lock that this start was skipped. The directory is
// locked.
func (p *place) recordSkip(run string, now time.Time) {
	s := p.dir.readSkips(p.key).add(run, start{At: now.UTC().Truncate(time.Second), PID: os.Getpid(), User: member.UserName(os.Getuid())})
	if err := p.dir.writeSkips(p.key, s); err != nil {
		p.unrecorded = fmt.Sprintf("; that run will not note it: %v", err)
	}
}

// unguarded returns the guard of a job that starts because the directory cannot be used.
func (p *place) unguarded(err error) *Guard {
	var none *bounded.NoAnswerError
	if errors.As(err, &none) {
		err = fmt.Errorf("state directory %s: %w", p.StateDir, err)
	}
	text := fmt.Sprintf("the job starts without the lock of its name (--overlap %s), and may run beside another one: %v", p.Mode, err)
	p.Print(text)
	return &Guard{pending: []string{text}}
}
