package servercmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/heap"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/notify"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/jobmetrics"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/web"
	"stint.dev/stint/job"
)

type serveConfig struct {
	Listener net.Listener
	Store    store.Options
	Access   accessOptions
	Shown    server.Settings
	Labels   []jobmetrics.Label
	Badges   bool // without a token
	Private  bool // notifications may go to private networks
	NewJobs  int  // names of jobs that one client may begin within an hour
	Activate bool // a restored copy becomes the original
	Restored bool // hold the queue, because the database was restored
	Version  string
	Log      *slog.Logger
	Ready    func() // called once the server answers
	// Watchdog runs until its context ends, with a function that returns when the loop that
	// is furthest behind last turned; nil for none.
	Watchdog func(ctx context.Context, lastTurn func() time.Time)
}

// pageURL returns the address of the page, for links in messages; empty if it is neither configured
// nor a loopback address.
func (c serveConfig) pageURL() string {
	if c.Access.PublicURL == "" && c.Access.TLS == nil && access.Loopback(c.Listener.Addr()) {
		return "http://" + c.Listener.Addr().String()
	}
	return c.Access.PublicURL
}

// server returns the configuration of the HTTP server, without the monitor and the outbox.
func (c serveConfig) server(db *store.Store) server.Config {
	return server.Config{
		Store: db, Version: c.Version, Log: c.Log, Settings: c.Shown,
		PublicURL: c.Access.PublicURL, TLS: c.Access.TLS,
		AgentCertificates: c.Access.AgentCertificates, OIDC: c.Access.OIDC,
		RequireToken: c.Access.RequireToken, Insecure: c.Access.Insecure, TrustLocal: c.Access.TrustLocal,
		Hosts: c.Access.Hosts, Proxies: c.Access.Proxies, MetricsLabels: c.Labels, PublicBadges: c.Badges, NewJobs: c.NewJobs,
		TokenRevoked: func(ctx context.Context) {
			if err := removeRevoked(ctx, db, c.Access.TokenFiles); err != nil {
				c.Log.Warn("the file of a revoked token could not be removed", "error", err)
			}
		},
		UI: web.Handler(c.Version),
	}
}

// address returns what the server listens on, with the scheme that it speaks.
func (c serveConfig) address() string { return c.Access.scheme() + "://" + c.Listener.Addr().String() }

// plainHTTP reports whether clients reach the server over a network without TLS, as far as
// the server can know: a proxy in front of it has an address that begins with https.
func (c serveConfig) plainHTTP() bool {
	return c.Access.TLS == nil && !access.Loopback(c.Listener.Addr()) && !strings.HasPrefix(c.Access.PublicURL, "https://")
}

// readEnding returns a function that reads the end of what an attempt of a run printed.
func readEnding(db *store.Store) func(ctx context.Context, run string, attempt int) (ending.Ending, error) {
	return func(ctx context.Context, run string, attempt int) (ending.Ending, error) {
		view, err := db.RunAttempt(ctx, run, attempt)
		if err != nil {
			return ending.Ending{}, err
		}
		return ending.Read(ctx, db, view)
	}
}

// serve joins store, server, monitor and page, and runs them until ctx ends. They stop in
// this order:
//
//  1. the monitor ends, because heartbeats will not arrive any more;
//  2. the HTTP server drains: no new requests, running ones finish, the committer empties;
//     then the loops of the sweeper and of the outbox's worker end: a message that is under
//     way is cut off and sent again, under the same id, by the next server; and the data
//     directory is counted up, so that a copy of the database from before is recognised;
//  3. the database closes.
func serve(ctx context.Context, cfg serveConfig) (err error) {
	defer func() { _ = cfg.Listener.Close() }() // closed already after an orderly end
	tuneRuntime()
	db, err := store.Open(ctx, withLog(cfg.Store, cfg.Log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	copied, err := restoredCopy(ctx, db, cfg)
	if err != nil {
		return err
	}
	if err := checkAccess(ctx, db, cfg); err != nil {
		return err
	}
	var s *server.Server
	outbox := notify.New(notify.Config{
		Store: db, Log: cfg.Log, Options: notify.Options{PrivateTargets: cfg.Private}, PublicURL: cfg.pageURL(),
		Ending:  readEnding(db),
		Changed: func(run string) { s.Notify(run) },
	})
	monitor := health.New(health.Config{
		Store: db, Log: cfg.Log,
		// The monitor runs only after the server is made.
		Changed: func(j lease.VerdictResult) { outbox.Wake(); s.Notify(j.Run.ID) },
		Arrived: func(run string, attempt int) time.Time { return s.Arrived(run, attempt) },
		Stored:  func() time.Time { return s.Stored() },
	})
	observer := conns.Observer(monitor)
	if !copied.IsZero() {
		observer = nil // no monitor runs that would read it
	}
	of := cfg.server(db)
	of.Notifier, of.CopiedAt, of.Connections, of.Extension = outbox, copied, observer, monitor.Extension
	s, err = server.New(of)
	if err != nil {
		return err
	}
	watch, stopWatch := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatch()
	var group errgroup.Group
	group.Go(func() error {
		if copied.IsZero() {
			act(watch, db, monitor, outbox, s, cfg.Access.TokenFiles, cfg.Log)
		} else {
			db.EraseDeleted(watch) // what somebody deletes from the copy
		}
		return nil
	})
	group.Go(func() error {
		defer stopWatch()
		return s.Serve(ctx, cfg.Listener)
	})
	cfg.announce(watch, &group, lastTurn(s, monitor, copied.IsZero()))
	if err = group.Wait(); errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// announce calls Ready, and adds the watchdog to the group.
func (c serveConfig) announce(ctx context.Context, group *errgroup.Group, lastTurn func() time.Time) {
	if c.Ready != nil {
		c.Ready()
	}
	if c.Watchdog != nil {
		group.Go(func() error {
			c.Watchdog(ctx, lastTurn)
			return nil
		})
	}
}

// lastTurn returns a function that returns when the slower of two loops last ran: the committer,
// and on a server that judges runs the monitor.
func lastTurn(s *server.Server, monitor *health.Monitor, judges bool) func() time.Time {
	return func() time.Time {
		committed, judged := s.TurnCommitter(), monitor.LastRound()
		if judges && judged.Before(committed) {
			return judged
		}
		return committed
	}
}

// act runs the loops of a server until ctx ends; the monitor only until the server begins to
// stop.
func act(ctx context.Context, db *store.Store, monitor *health.Monitor, outbox *notify.Worker, s *server.Server, files []string, log *slog.Logger) {
	var all sync.WaitGroup
	if os.Getenv("GOGC") == "" {
		all.Go(func() { heap.Follow(ctx) })
	}
	all.Go(func() { judge(ctx, monitor, s.Stopping()) })
	all.Go(func() {
		db.RunQueue(ctx, log, func(run job.Run) {
			outbox.Wake()
			s.Notify(run.ID)
		})
	})
	all.Go(func() { db.RunDue(ctx, log, outbox.Wake) })
	all.Go(func() { db.RunSchedules(ctx, log, command.HostName(), func(run job.Run) { s.Notify(run.ID) }) })
	all.Go(func() { maintain(ctx, db, log) })
	all.Go(func() { sweepAccess(ctx, db, files, log) })
	all.Go(func() { db.CountEpochs(ctx) })
	all.Go(func() { db.RunClaims(ctx, log, func(run string) { outbox.Wake(); s.Notify(run) }) })
	all.Go(func() { outbox.Run(ctx) })
	all.Wait()
}

// judge runs the monitor until the server begins to stop.
func judge(ctx context.Context, monitor *health.Monitor, stopping <-chan struct{}) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		select {
		case <-stopping:
		case <-ctx.Done():
		}
	}()
	monitor.Run(ctx)
}

// removeAll removes a directory that the program itself made.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
