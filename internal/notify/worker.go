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
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/job"
)

// Store is what the worker needs of the database.
type Store interface {
	// Dispatch finds the routes of up to limit causes, oldest first.
	Dispatch(ctx context.Context, now time.Time, limit int, to func(job.Action, *job.Run) (routes []string, why string)) (int, error)
	// Deliveries returns every route with its secret, and whether something waits for it.
	Deliveries(ctx context.Context) ([]outbox.Delivery, error)
	// ReserveRoute makes owner the only one that delivers to a route until a time.
	ReserveRoute(ctx context.Context, name, owner string, now, until time.Time) (bool, error)
	// RouteRows returns the pending rows of a route, oldest first.
	RouteRows(ctx context.Context, route string, limit int) ([]job.Action, error)
	// StoreResults stores the results of rows.
	StoreResults(ctx context.Context, results []outbox.Result) error
	// TidyOutbox drops what waits for routes that are gone, and deletes what was done
	// before a time.
	TidyOutbox(ctx context.Context, now, before time.Time, limit int) error

	// ReportLate stores what people are notified of runs that were delivered late.
	ReportLate(ctx context.Context, now time.Time) error

	Run(ctx context.Context, id string) (job.Run, error)
	Acknowledged(ctx context.Context, run string, since time.Time) (bool, error)
	SucceededSince(ctx context.Context, name string, after, known time.Time) (bool, error)

	// DueActions returns pending cancels and retries whose time has come. ActionFailed has
	// one tried again after a pause, and ActionFollowed forgets that it had failed.
	DueActions(ctx context.Context, now time.Time, limit int) ([]job.Action, error)
	ActionFailed(ctx context.Context, a job.Action, cause error, now time.Time) error
	ActionFollowed(ctx context.Context, a job.Action)
	FollowCancel(ctx context.Context, run string, attempt int, c job.Cancel, force bool) (outbox.Progress, error)
	WatchRetry(ctx context.Context, run string, attempt int, announced, now time.Time) (outbox.Progress, error)
	RequestRetry(ctx context.Context, run string, attempt int, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
}

// Config is what a worker is made of. Store is required.
type Config struct {
	Store   Store
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // the server's clock; nil: time.Now
	Options Options
	// PublicURL is where people reach the page, for links; empty for no links.
	PublicURL string
	// Ending returns the end of what an attempt of a run printed; nil for none.
	Ending func(ctx context.Context, run string, attempt int) (ending.Ending, error)
	// EndingTimeout is how long a message waits for the ends of its runs' output, which may be in
	// a bucket that does not answer; 0: a second.
	EndingTimeout time.Duration
	// Changed is called with each run that an action changed. It must not block; nil for
	// nobody.
	Changed func(run string)
	// open makes a route's channel; tests replace it.
	open func(job.Route) (Channel, error)
}

const (
	// Every is the pause between two rounds.
	Every = time.Second
	// reserveFor is how long a route belongs to a server after its last sign of life.
	reserveFor = time.Minute
	// keepFor is how long rows that are done can be looked up.
	keepFor = 30 * 24 * time.Hour
	// dispatchAtOnce bounds one transaction.
	dispatchAtOnce = 200
	tidyEvery      = time.Minute
	tidyAtOnce     = 5000
)

// Worker brings the outbox to its receivers until its context ends.
type Worker struct {
	Config
	owner  string
	opened time.Time // set when Run begins

	mu   sync.Mutex
	busy map[string]bool      // routes that have a goroutine
	wait map[string]time.Time // routes at which nothing is due before a time
	// known is when each route was last changed.
	known map[string]time.Time
	// panicked are attempts whose output cannot be read without a panic.
	panicked map[attemptOf]bool
	all      sync.WaitGroup
	woken    chan struct{} // holds a token when a round is to come at once

	// Of the loop alone:
	tidied time.Time
}

// New makes a worker; Run starts it.
func New(c Config) *Worker {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.open == nil {
		g := guard{c.Options.PrivateTargets}
		c.open = func(r job.Route) (Channel, error) { return open(r, g) }
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Worker{
		Config: c, owner: hex.EncodeToString(id[:]), busy: map[string]bool{}, wait: map[string]time.Time{},
		known: map[string]time.Time{}, panicked: map[attemptOf]bool{}, woken: make(chan struct{}, 1),
	}
}

// Wake makes the worker check for notifications at once, and not with its next round: something
// has happened of which people are to be notified. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It then stops in this order:
//
//  1. no new message is begun; a try that is under way is cut off, and counts as none;
//  2. the goroutines of the routes give their routes back, so that another server goes on
//     at once, and end;
//  3. Run returns.
func (w *Worker) Run(ctx context.Context) {
	w.opened = w.Now()
	defer w.all.Wait()
	// Hundreds of cancels take their time, and no message waits for them.
	w.all.Go(func() {
		w.loop("cancels and retries wait in the outbox", "cancels and retries go on").Run(ctx, func(now time.Time) error {
			return w.act(ctx, now)
		})
	})
	notices := w.loop("notifications wait in the outbox", "notifications go on")
	notices.Wake = w.woken
	notices.Run(ctx, func(time.Time) error { return w.round(ctx) })
}

// loop returns a loop of rounds, which logs that they fail, and that they work again.
func (w *Worker) loop(failing, working string) periodic.Loop {
	return periodic.Loop{Every: Every, Now: w.Now, Failures: periodic.Failures{Log: w.Log, Failing: failing, Working: working}}
}

// round handles causes that have no route yet, and routes for which something is due.
func (w *Worker) round(ctx context.Context) error {
	// What cannot be reported must not hold up notifications of other runs.
	return errors.Join(w.Store.ReportLate(ctx, w.Now()), w.deliver(ctx))
}

func (w *Worker) deliver(ctx context.Context) error {
	now := w.Now()
	routes, err := w.Store.Deliveries(ctx)
	if err != nil {
		return err
	}
	for n := dispatchAtOnce; n == dispatchAtOnce; {
		n, err = w.Store.Dispatch(ctx, now, dispatchAtOnce, func(a job.Action, run *job.Run) ([]string, string) {
			return routesOf(routes, a, run)
		})
		if err != nil {
			return err
		}
		if n > 0 {
			if routes, err = w.Store.Deliveries(ctx); err != nil {
				return err
			}
			w.wakeAll()
		}
	}
	w.start(ctx, routes, now)
	if now.Sub(w.tidied) >= tidyEvery {
		w.tidied = now
		return w.Store.TidyOutbox(ctx, now, now.Add(-keepFor), tidyAtOnce)
	}
	return nil
}

// wakeAll makes every route be checked: something new may be due before what was.
func (w *Worker) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.wait)
}

// start begins a goroutine for each route for which something may be due and that has
// none. A route that was changed is checked again.
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

// current reports whether a route is as it was when its delivery began. A backlog is
// delivered for a long time; who changes or disables the route does not want that.
func (w *Worker) current(r job.Route) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.known[r.Name]
	return known && at.Equal(r.ChangedAt)
}

// serve delivers what is due for one route, and returns when to look again; zero for the
// next round.
func (w *Worker) serve(ctx context.Context, r job.Route) time.Time {
	channel, err := w.open(r)
	quiet, qerr := parseQuiet(r.Quiet)
	if err = errors.Join(err, qerr); err != nil {
		// It was fine when it was set; this server is started with other options.
		channel, quiet = broken{err}, hours{}
	}
	mine, err := w.Store.ReserveRoute(ctx, r.Name, w.owner, w.Now(), w.Now().Add(reserveFor))
	if err != nil || !mine {
		w.complain(ctx, r.Name, err)
		return w.Now().Add(Every)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, err := w.Store.ReserveRoute(end, r.Name, w.owner, w.Now(), w.Now().Add(-time.Second))
		w.complain(end, r.Name, err)
	}()
	for ctx.Err() == nil && w.current(r) {
		wait, err := w.deliverOne(ctx, r, channel, quiet)
		if err != nil {
			w.complain(ctx, r.Name, err)
			return w.Now().Add(5 * Every)
		}
		if wait.After(w.Now()) || wait.IsZero() {
			return wait
		}
		if mine, err = w.Store.ReserveRoute(ctx, r.Name, w.owner, w.Now(), w.Now().Add(reserveFor)); err != nil || !mine {
			w.complain(ctx, r.Name, err)
			return w.Now().Add(Every)
		}
	}
	return time.Time{}
}

// broken is the channel of a route that this server cannot serve.
type broken struct{ err error }

func (b broken) Send(context.Context, Message) error {
	return &SendError{Why: fmt.Sprintf("this server cannot use the route: %v", b.err)}
}

func (w *Worker) complain(ctx context.Context, route string, err error) {
	if err != nil && ctx.Err() == nil {
		w.Log.Error("a route cannot be served now", "route", route, "error", err)
	}
}
