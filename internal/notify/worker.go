package notify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/notify/quiet"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Store is the part of the database that the worker uses.
type Store interface {
	RouteStore
	RunStore
	ActionStore
}

// RouteStore has the notifications in the outbox.
type RouteStore interface {
	// Dispatch assigns up to limit causes, oldest first, to the routes that to returns, and returns how
	// many they were.
	Dispatch(ctx context.Context, now time.Time, limit int, to func(api.Action, *job.Run) (routes []string, why string)) (int, error)
	// Deliveries returns all routes with their secrets, and whether something waits for them.
	Deliveries(ctx context.Context) ([]outbox.Delivery, error)
	// ReserveRoute makes owner the only one that delivers to a route until a time, and reports whether it is.
	ReserveRoute(ctx context.Context, name, owner string, now, until time.Time) (bool, error)
	// RouteRows returns the pending rows of a route, oldest first.
	RouteRows(ctx context.Context, route string, limit int) ([]api.Action, error)
	// StoreResults stores the results of rows.
	StoreResults(ctx context.Context, results []outbox.Result) error
	// TidyOutbox drops the rows of deleted routes, and deletes up to limit rows that were done before a
	// time.
	TidyOutbox(ctx context.Context, now, before time.Time, limit int) error
	// ReportLate stores the notifications about runs that were delivered late.
	ReportLate(ctx context.Context, now time.Time) error
}

// RunStore has the runs of notifications.
type RunStore interface {
	Run(ctx context.Context, id string) (job.Run, error)
	// Acknowledged reports whether a run was acknowledged since a time.
	Acknowledged(ctx context.Context, run string, since time.Time) (bool, error)
	// SucceededSince reports whether a run of a job that started after a time succeeded, and was stored
	// after known.
	SucceededSince(ctx context.Context, name string, after, known time.Time) (bool, error)
}

// ActionStore has the cancels and retries in the outbox.
type ActionStore interface {
	// DueActions returns pending cancels and retries that are due. ActionFailed records that one failed,
	// so that it is tried again later, and ActionFollowed that it did not.
	DueActions(ctx context.Context, now time.Time, limit int) ([]api.Action, error)
	ActionFailed(ctx context.Context, a api.Action, cause error, now time.Time) error
	ActionFollowed(ctx context.Context, a api.Action)
	FollowCancel(ctx context.Context, run string, attempt int, c job.Cancel, force bool) (outbox.Progress, error)
	WatchRetry(ctx context.Context, run string, attempt int, announced, now time.Time) (outbox.Progress, error)
	RequestRetry(ctx context.Context, run string, attempt int, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
}

// Config configures a Worker. Store is required.
type Config struct {
	Store   Store
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // the server's clock; nil: time.Now
	Options Options
	// PublicURL is the address of the web page, for links; empty for no links.
	PublicURL string
	// Ending returns the end of the output of an attempt; nil for messages without it.
	Ending func(ctx context.Context, run string, attempt int) (ending.Ending, error)
	// EndingTimeout is how long a message waits for the ends of its runs' output, which may be in an
	// object store that does not respond; 0 for a second.
	EndingTimeout time.Duration
	// Changed is called with each run that an action changed. It must not block, and may be nil.
	Changed func(run string)
	// open returns the channel of a route; tests replace it.
	open func(api.Route) (Channel, error)
}

const (
	// Interval is the time between two rounds.
	Interval = time.Second
	// deleteAfter is how long rows are kept after they are done.
	deleteAfter = 30 * 24 * time.Hour
	// maxDispatch is how many causes one transaction assigns to routes.
	maxDispatch  = 200
	tidyInterval = time.Minute
	maxTidy      = 5000
)

// Worker delivers the rows of the outbox.
type Worker struct {
	Config
	owner     string
	startedAt time.Time // when Run began

	mu   sync.Mutex
	busy map[string]bool      // routes that have a goroutine
	wait map[string]time.Time // until when nothing is due for a route
	// known is when each route was last changed.
	known map[string]time.Time
	// panicked are attempts the end of whose output cannot be read, because that panicked.
	panicked map[attemptKey]bool
	all      sync.WaitGroup
	wake     chan struct{} // holds a token when the next round is due at once

	// Used by the loop only:
	tidiedAt time.Time
	roundAt  time.Time // when the last round began
}

// New returns a Worker, which does nothing before Run is called.
func New(c Config) *Worker {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.open == nil {
		g := guard{c.Options.PrivateTargets}
		c.open = func(r api.Route) (Channel, error) { return open(r, g) }
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Worker{
		Config: c, owner: hex.EncodeToString(id[:]), busy: map[string]bool{}, wait: map[string]time.Time{},
		known: map[string]time.Time{}, panicked: map[attemptKey]bool{}, wake: make(chan struct{}, 1),
	}
}

// Wake begins the next round at once, because there is a new notification. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run delivers messages and handles actions until ctx ends. It then stops in this order:
//
//  1. no other message is begun; the present try is canceled, and does not count;
//  2. the goroutines of the routes release their routes, so that another server continues at once, and end;
//  3. Run returns.
func (w *Worker) Run(ctx context.Context) {
	w.startedAt = w.Now()
	defer w.all.Wait()
	// Notifications must not wait for hundreds of cancels.
	w.all.Go(func() {
		w.loop("cancels and retries cannot be processed and wait in the outbox", "cancels and retries are processed again").Run(ctx, func(now time.Time) error {
			return w.act(ctx, now)
		})
	})
	notices := w.loop("notifications cannot be processed and wait in the outbox", "notifications are processed again")
	notices.Wake = w.wake
	notices.Run(ctx, func(time.Time) error { return w.round(ctx) })
}

// loop returns a loop that logs when rounds fail, and when they succeed again.
func (w *Worker) loop(failing, working string) periodic.Loop {
	return periodic.Loop{Every: Interval, Now: w.Now, Failures: periodic.Failures{Log: w.Log, Failing: failing, Working: working}}
}

// round stores the notifications about late runs, and delivers.
func (w *Worker) round(ctx context.Context) error {
	// An error of the former must not delay other notifications.
	return errors.Join(w.Store.ReportLate(ctx, w.Now()), w.deliver(ctx))
}

// deliver assigns new causes to routes, and starts the goroutines of routes for which something is due.
func (w *Worker) deliver(ctx context.Context) error {
	now := w.Now()
	if now.Before(w.roundAt) { // the clock was set back
		w.clearWaits()
	}
	w.roundAt = now
	routes, err := w.Store.Deliveries(ctx)
	if err != nil {
		return err
	}
	for n := maxDispatch; n == maxDispatch; {
		n, err = w.Store.Dispatch(ctx, now, maxDispatch, func(a api.Action, run *job.Run) ([]string, string) {
			return routesOf(routes, a, run)
		})
		if err != nil {
			return err
		}
		if n > 0 {
			if routes, err = w.Store.Deliveries(ctx); err != nil {
				return err
			}
			w.clearWaits()
		}
	}
	w.start(ctx, routes, now)
	if now.Sub(w.tidiedAt) >= tidyInterval {
		w.tidiedAt = now
		return w.Store.TidyOutbox(ctx, now, now.Add(-deleteAfter), maxTidy)
	}
	return nil
}

// clearWaits has all routes checked, because something may be due before what they wait for.
func (w *Worker) clearWaits() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.wait)
}

// start starts a goroutine for each route that has none and for which something may be due. A changed route is
// checked at once.
func (w *Worker) start(ctx context.Context, routes []outbox.Delivery, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.known, func(name string, _ time.Time) bool {
		return !slices.ContainsFunc(routes, func(d outbox.Delivery) bool { return d.Route.Name == name })
	})
	for _, d := range routes {
		name := d.Route.Name
		if at, known := w.known[name]; !known || !at.Equal(d.Route.ChangedAt) {
			w.known[name] = d.Route.ChangedAt
			delete(w.wait, name)
		}
		if !d.Pending || !d.Route.Enabled || d.Route.Error != "" || w.busy[name] || w.wait[name].After(now) || ctx.Err() != nil {
			continue
		}
		w.busy[name] = true
		w.all.Go(func() {
			until := w.serve(ctx, d.Route)
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.busy, name)
			if !until.IsZero() {
				w.wait[name] = until
			}
		})
	}
}

// isCurrent reports whether a route has not been changed since r was read, because a change must also apply to a
// backlog that is being delivered.
func (w *Worker) isCurrent(r api.Route) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.known[r.Name]
	return known && at.Equal(r.ChangedAt)
}

// serve delivers what is due for a route, and returns when something is due again; zero for the next round.
func (w *Worker) serve(ctx context.Context, r api.Route) time.Time {
	channel, err := w.open(r)
	hours, qerr := quiet.Parse(r.Quiet)
	if err = errors.Join(err, qerr); err != nil {
		// The route was valid when it was set, but this server has other options.
		channel, hours = unusable{err}, quiet.Hours{}
	}
	reserved, err := w.Store.ReserveRoute(ctx, r.Name, w.owner, w.Now(), w.Now().Add(outbox.ReserveTime))
	if err != nil || !reserved {
		w.logFailure(ctx, r.Name, err)
		return w.Now().Add(Interval)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, err := w.Store.ReserveRoute(end, r.Name, w.owner, w.Now(), w.Now().Add(-time.Second))
		w.logFailure(end, r.Name, err)
	}()
	for ctx.Err() == nil && w.isCurrent(r) {
		wait, err := w.deliverOne(ctx, r, channel, hours)
		if err != nil {
			w.logFailure(ctx, r.Name, err)
			return w.Now().Add(5 * Interval)
		}
		if wait.After(w.Now()) || wait.IsZero() {
			return wait
		}
		if reserved, err = w.Store.ReserveRoute(ctx, r.Name, w.owner, w.Now(), w.Now().Add(outbox.ReserveTime)); err != nil || !reserved {
			w.logFailure(ctx, r.Name, err)
			return w.Now().Add(Interval)
		}
	}
	return time.Time{}
}

// unusable is the channel of a route that this server cannot use.
type unusable struct{ err error }

// Send returns the error.
func (u unusable) Send(context.Context, message.Message) error {
	return &SendError{Why: fmt.Sprintf("this server cannot use the route: %v", u.err)}
}

// logFailure logs an error of a route, unless the worker is ending.
func (w *Worker) logFailure(ctx context.Context, route string, err error) {
	if err != nil && ctx.Err() == nil {
		w.Log.Error("notifications of a route cannot be delivered now", "route", route, "error", err)
	}
}
