// Package flush delivers the journals that wait in the spool of a host. It completes those
// whose agents died.
package flush

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Config says which waiting journals to deliver, and where.
type Config struct {
	StateDir  string
	Server    delivery.Server
	ServerURL string // its addresses, one a line
	// WithToken returns Server with the token of a journal that has one of its own; nil where
	// no token is needed.
	WithToken func(token string) delivery.Server
	// AnyServer also delivers journals that are meant for another server, or that were
	// refused before; Any these and journals of other hosts, whose agents may be at work.
	AnyServer, Any bool
	Host           owner.Host // this one; its boot id shows whether it was rebooted since

	installation string // of the server; empty while it is not known

	swept   *string   // which processes of the attempt were ended; nil before that
	endedAt time.Time // when they had ended; zero where nobody saw that
}

// Skip is why a journal was left alone.
type Skip string

// The reasons to leave a journal alone.
const (
	InUse       Skip = "in_use"       // its agent is at work
	Gone        Skip = "gone"         // another agent has just delivered it
	OtherServer Skip = "other_server" // it is meant for another server
	// OtherInstallation: a part of it was taken by another installation than that of the server.
	OtherInstallation Skip = "other_installation"
	OtherHost         Skip = "other_host" // its agent runs or ran on another host
	Refused           Skip = "refused"    // the server has refused it for good
)

// Journal is what became of one waiting journal.
type Journal struct {
	Run     string
	Attempt int
	Job     string
	Path    string
	Bytes   int64
	// Delivered is true when the server has all of it; the journal was removed.
	Delivered bool
	// OwnRun is the run as which it was delivered, because its id is that of another run; empty for its own.
	OwnRun string
	// Deleted is true when the run was deleted on the server; the journal was removed.
	Deleted bool
	// Empty is true when its agent had written nothing; the journal was removed.
	Empty bool
	// Unfinished is true when the agent had died and the outcome was added now. Damaged is true
	// when the outcome is the agent's, and what precedes it was damaged on the disk.
	Unfinished, Damaged bool
	// Skipped is why it was left alone; empty if it was not. Server is the server that it is
	// meant for, Installation the one that has a part of it, Host the host of its agent, and Refusal why it was refused before.
	Skipped      Skip
	Server       string // its addresses, one a line
	Installation string
	Host         string
	Refusal      string
	// Err is why it still waits.
	Err error

	ownToken bool // it was sent with a token of its own
}

// Report is what a flush did.
type Report struct {
	Journals []Journal
	// Untried is how many journals were not tried because the server did not answer.
	Untried int
}

// Run delivers the journals that wait in the spool, oldest first. A journal whose agent
// died is completed with what is known of its end. Each journal is reported for itself;
// the error is for the spool as a whole, or ctx's. After one journal has met trouble on
// the way to the server, the rest is left for another time.
func Run(ctx context.Context, c Config) (Report, error) {
	s, err := spool.Open(c.StateDir)
	if err != nil {
		return Report{}, err
	}
	s.Sweep(time.Now(), c.Host)
	return deliverAll(ctx, s, c, "")
}

// deliverAll delivers what waits in a spool but for the entry with one name.
func deliverAll(ctx context.Context, s *spool.Spool, c Config, except string) (Report, error) {
	var report Report
	names, err := s.Names()
	if err != nil {
		return report, err
	}
	c.ServerURL = delivery.WithoutCredentials(c.ServerURL)
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		e, there := s.Entry(name)
		if name == except || !there {
			continue
		}
		j := deliverOne(ctx, s, e, c)
		report.Journals = append(report.Journals, j)
		if isOutage(j.Err) && !(j.ownToken && delivery.Decide(j.Err).Action == delivery.FixToken) {
			report.Untried = len(names) - i - 1
			break
		}
	}
	return report, nil
}

// errSpool marks trouble with one journal on disk, which says nothing about the others.
var errSpool = errors.New("the journal on disk")

// isOutage reports whether other journals would meet the same error. What a Stint server
// replies about one journal is no outage.
func isOutage(err error) bool {
	var refused *delivery.RefusedError
	var read *delivery.ReadError
	var p *job.Problem
	switch {
	case err == nil, errors.As(err, &refused), errors.As(err, &read), errors.Is(err, errSpool):
		return false
	case errors.As(err, &p) && p.FromStint():
		return p.Status == http.StatusUnauthorized || delivery.Decide(err).Action == delivery.Pause
	}
	return true
}

// mayTake returns why a journal is left alone before it is opened; empty for no reason. One that an installation has a part of
// belongs to that installation, at whatever address; any other one to the servers of its addresses.
func (c Config) mayTake(m spool.Meta) Skip {
	switch {
	case c.Any:
	case !c.Host.Is(m.Host):
		return OtherHost
	case m.Installation != "" && c.installation != "" && m.Installation != c.installation:
		return OtherInstallation
	case c.AnyServer:
	case (m.Installation == "" || c.installation == "") && !c.hasAddressOf(m):
		return OtherServer
	case m.Refused != "":
		return Refused
	}
	return ""
}

// hasAddressOf reports whether the server has one of the addresses that a journal is meant for.
func (c Config) hasAddressOf(m spool.Meta) bool {
	given := strings.Split(c.ServerURL, "\n")
	return m.Server == "" || slices.ContainsFunc(strings.Split(m.Server, "\n"), func(one string) bool { return slices.Contains(given, one) })
}

// identifiedServer is a server that says which installation it belongs to; empty for one that does not name its own.
type identifiedServer interface {
	Installation(ctx context.Context) (string, error)
}

// identify finds out which installation the server belongs to, if that decides what becomes of a journal.
func (c *Config) identify(ctx context.Context, m spool.Meta) (err error) {
	s, able := c.Server.(identifiedServer)
	if !able || c.installation != "" || m.Installation == "" || c.Any || !c.Host.Is(m.Host) {
		return nil
	}
	c.installation, err = s.Installation(ctx)
	return err
}

func deliverOne(ctx context.Context, s *spool.Spool, e spool.Entry, c Config) Journal {
	f := Journal{
		Run: e.Meta.Run, Attempt: e.Meta.Attempt, Job: e.Meta.Job, Path: e.Path, Bytes: e.Size,
		Server: e.Meta.Server, Installation: e.Meta.Installation, Host: e.Meta.Host.Name, Refusal: e.Meta.Refused,
	}
	if f.Run == "" {
		f.Run = e.Name
	}
	if e.Err != nil {
		f.Err = fmt.Errorf("%w: %w", errSpool, e.Err)
		return f
	}
	err := c.identify(ctx, e.Meta)
	if f.Skipped = c.mayTake(e.Meta); f.Skipped != "" {
		return f
	}
	if f.Err = err; err != nil {
		return f
	}
	j, _, err := s.Adopt(ctx, e)
	switch {
	case errors.Is(err, spool.ErrBusy):
		f.Skipped = InUse
		return f
	case errors.Is(err, spool.ErrGone):
		f.Skipped = Gone
		return f
	case err != nil:
		f.Err = fmt.Errorf("%w: %w", errSpool, err)
		return f
	}
	if token := j.Meta().Token; token != "" && c.WithToken != nil {
		c.Server, f.ownToken = c.WithToken(token), true
	}
	f.completeAndDeliver(ctx, j, c)
	f.conclude(j)
	if f.Err != nil && ctx.Err() != nil { // an interrupted request shows nothing about the server
		f.Err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	return f
}

// completeAndDeliver brings a journal to the server, as a run of its own if its id is that of another run.
func (f *Journal) completeAndDeliver(ctx context.Context, j *spool.Journal, c Config) {
	var server delivery.Server
	var own bool
	if server, own, f.Unfinished, f.Err = complete(ctx, j, c); f.Unfinished {
		_, _, f.Damaged = keptOutcome(j)
		f.Unfinished = !f.Damaged
	}
	if f.Err != nil {
		return
	}
	f.Bytes, f.Empty = j.Size(), j.Size() <= journal.HeaderSize
	if !own {
		f.Err = deliver(ctx, j, server)
		var taken *delivery.TakenError
		if errors.As(f.Err, &taken) { // an earlier process completed it, and died before it was delivered
			f.Err = takeOverAndDeliver(ctx, j, server)
		}
		own = delivery.IsIDTaken(j, f.Err)
	}
	if own && !f.Empty {
		f.OwnRun, f.Err = deliverAsOwnRun(ctx, j, server)
	}
}

// conclude removes a journal that the server has or does not take, marks one that it refuses
// for good, and leaves any other as it is.
func (f *Journal) conclude(j *spool.Journal) {
	var refused *delivery.RefusedError
	var deleted *delivery.DeletedError
	var whole *delivery.WholeError
	if errors.As(f.Err, &whole) { // this host lost its end, or never learned that it was delivered
		f.Err = nil
	}
	switch {
	case f.Err == nil:
		f.Err = j.Remove()
		f.Delivered = f.Err == nil && !f.Empty
	case errors.As(f.Err, &deleted):
		f.Err = j.Remove()
		f.Deleted = f.Err == nil
	case errors.As(f.Err, &refused):
		j.Refuse(f.Err.Error())
		f.Err = errors.Join(f.Err, j.Close())
	default:
		f.Err = errors.Join(f.Err, j.Close())
	}
}

// giveUpAfter is how long a server that answered may fail before the journals in the spool
// are left for another time.
const giveUpAfter = 30 * time.Second

// takeOverAndDeliver brings a whole journal to the server after another process that has died.
func takeOverAndDeliver(ctx context.Context, j *spool.Journal, s delivery.Server) error {
	m := j.Meta()
	s, size, err := delivery.TakeOver(ctx, s, m.Run, m.Attempt, j.Size())
	var whole *delivery.WholeError
	if errors.As(err, &whole) && whole.Size != j.Size() {
		return &delivery.RefusedError{Why: fmt.Sprintf("another process completed this journal: it has %d bytes on the server, and %d here", whole.Size, j.Size()), Cause: err}
	}
	if err == nil {
		err = acknowledge(j, size)
	}
	if err != nil {
		return err
	}
	return deliver(ctx, j, s)
}

// acknowledge notes how much of a whole journal the server has, unless that is more than the journal.
func acknowledge(j *spool.Journal, size int64) error {
	if size > j.Size() {
		return delivery.AheadError(size, j.Size())
	}
	j.Acknowledge(size)
	return nil
}

// deliver brings a whole journal to the server. It does not wait out an outage.
func deliver(ctx context.Context, j *spool.Journal, s delivery.Server) error {
	if j.Size() <= journal.HeaderSize {
		return nil // it is empty
	}
	ended := make(chan struct{})
	close(ended)
	d := delivery.New(delivery.Config{
		Server: s, Run: j.Meta().Run, Attempt: j.Meta().Attempt, Journal: j,
		Ended: ended, Watched: new(atomic.Bool), GiveUpAfter: giveUpAfter,
	})
	if j.Unsent() == 0 { // the agent before may have guessed: ask the server
		size, err := askSize(ctx, j, s)
		if err == nil {
			err = acknowledge(j, size)
		}
		if err != nil {
			return err
		}
	}
	return d.Run(ctx)
}
