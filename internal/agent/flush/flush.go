// Package flush delivers the journals that wait in the spool of a host. It completes those
// whose agents died.
package flush

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/journal"
)

// Config says which waiting journals to deliver, and where.
type Config struct {
	StateDir  string
	Server    delivery.Server
	ServerURL string
	// Any delivers every journal to this server, also those meant for another one and
	// those that were refused before.
	Any    bool
	BootID string // of this host, to tell a dead agent from a host that went down
	// Each is called for each journal as soon as it is done; may be nil.
	Each func(Journal)
}

// Journal is what became of one waiting journal.
type Journal struct {
	Run     string
	Attempt int
	Job     string
	Path    string
	Bytes   int64
	// Delivered is true when the server has all of it; the journal was removed.
	Delivered bool
	// Unfinished is true when the agent had died and the outcome was added now.
	Unfinished bool
	// Skipped is why it was left alone: in use, for another server.
	Skipped string
	Err     error
}

// Report is what a flush did.
type Report struct {
	Journals []Journal
}

// Run delivers the journals that wait in the spool, oldest first. A journal whose agent
// died is completed with what is known of its end. Each journal is reported for itself;
// the error is for the spool as a whole, or ctx's. After one journal has met trouble on
// the way to the server, the rest is left for another time.
func Run(ctx context.Context, c Config) (Report, error) {
	var report Report
	s, err := spool.Open(c.StateDir)
	if err != nil {
		return report, err
	}
	s.Sweep(time.Now())
	entries, err := s.List()
	if err != nil {
		return report, err
	}
	c.ServerURL = delivery.WithoutCredentials(c.ServerURL)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		f := flushOne(ctx, s, e, c)
		report.Journals = append(report.Journals, f)
		if c.Each != nil {
			c.Each(f)
		}
		var refused *delivery.RefusedError
		if f.Err != nil && !errors.As(f.Err, &refused) && !errors.Is(f.Err, errSpool) {
			return report, nil
		}
	}
	return report, nil
}

// errSpool marks trouble with one journal on disk, which says nothing about the others.
var errSpool = errors.New("the journal on disk")

func flushOne(ctx context.Context, s *spool.Spool, e spool.Entry, c Config) Journal {
	f := Journal{Run: e.Meta.Run, Attempt: e.Meta.Attempt, Job: e.Meta.Job, Path: e.Path, Bytes: e.Size}
	if f.Run == "" {
		f.Run = e.Name
	}
	switch {
	case e.Err != nil:
		f.Err = fmt.Errorf("%w: %w", errSpool, e.Err)
		return f
	case !c.Any && e.Meta.Server != "" && e.Meta.Server != c.ServerURL:
		f.Skipped = "meant for " + e.Meta.Server
		return f
	case !c.Any && e.Meta.Refused != "":
		f.Skipped = "refused before: " + e.Meta.Refused
		return f
	}
	j, _, err := s.Adopt(e)
	switch {
	case errors.Is(err, spool.ErrBusy):
		f.Skipped = "its agent is at work"
		return f
	case errors.Is(err, spool.ErrGone):
		f.Skipped = "delivered meanwhile"
		return f
	case err != nil:
		f.Err = fmt.Errorf("%w: %w", errSpool, err)
		return f
	}
	f.Unfinished, f.Err = complete(ctx, j, c.Server, c.BootID)
	if f.Err == nil {
		f.Bytes = j.Size()
		f.Err = deliverWaiting(ctx, j, c.Server)
	}
	f.Delivered = f.Err == nil
	f.Err = errors.Join(f.Err, putAway(j, f.Err))
	return f
}

// putAway removes a delivered journal and keeps any other.
func putAway(j *spool.Journal, err error) error {
	if err == nil {
		return j.Remove()
	}
	if delivery.IsFinal(err) {
		j.Refuse(err.Error())
	}
	return j.Close()
}

// giveUpAfter is how long a server that answered may fail before the journals in the
// spool are left for another time.
const giveUpAfter = 30 * time.Second

// deliverWaiting brings a whole journal to the server. It does not wait out an outage.
func deliverWaiting(ctx context.Context, j *spool.Journal, s delivery.Server) error {
	if j.Size() <= journal.HeaderSize {
		return nil // it says nothing
	}
	ended := make(chan struct{})
	close(ended)
	d := delivery.New(delivery.Config{
		Server: s, Run: j.Meta().Run, Attempt: j.Meta().Attempt, Journal: j,
		Ended: ended, Watched: new(atomic.Bool), GiveUpAfter: giveUpAfter,
	})
	if j.Unsent() == 0 { // a guess of the agent before: ask the server
		size, err := askSize(ctx, j, s)
		switch {
		case err != nil:
			return err
		case size > j.Size():
			return delivery.AheadError(size, j.Size())
		}
		j.Acknowledge(size)
	}
	return d.Run(ctx)
}
