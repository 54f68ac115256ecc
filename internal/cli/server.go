package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/notify"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/web"
)

const (
	defaultListen = "127.0.0.1:7846"
	// plainPage is said when the program was built without the page.
	plainPage = "the page is a plain one, because this build had no Node and npm: make ui builds the real one"
)

// storeRows say which database a command works on.
func storeRows() []option.Option {
	return []option.Option{
		{Name: "data", Value: "DIR", Help: "data directory (default: server/ in the state directory)"},
		{Name: "database", Value: "URL", Help: "a PostgreSQL database, postgres://…, instead of the embedded one"},
	}
}

// listenRows are the options of stint server.
func listenRows() []option.Option {
	return slices.Concat(storeRows(), []option.Option{secretKeyRow()}, keepRows(), accessRows(), []option.Option{
		{Name: "listen", Value: "ADDR", Default: defaultListen, Help: "address and port to listen on"},
		{Name: "require-token", Kind: option.Switch, Help: "ask also the server's own user and root on this machine for a token"},
		{Name: "trust-local", Kind: option.Switch, Help: "on a loopback address, ask for no token also where the system does not say which user a connection belongs to"},
		{Name: "insecure", Kind: option.Switch, Help: "ask nobody for a token, on any address"},
		{Name: "public-badges", Kind: option.Switch, Help: "answer the badges of jobs to everybody, also without a token"},
		{Name: "allow-host", Kind: option.List, Value: "NAME", Help: "a further name of this machine to answer to; requests to it need a token (repeatable)"},
		{Name: "allow-private-targets", Kind: option.Switch, Help: "let notifications go to private networks and to this host too"},
		{Name: "new-jobs-per-hour", Kind: option.Number, Value: "N", Default: "2000", Help: "how many jobs of new names each token, or address without one, may begin within an hour; 0 for any number"},
		{FlagOnly: true, Name: "activate", Kind: option.Switch, Help: "make a restored copy the original: it sends notifications, judges, acts and deletes again"},
		{Name: "log", Value: "FORMAT", Default: "text", Help: "format of the server's own log on stderr: text or json"},
	})
}

// server runs the tracking server.
func (p *program) server() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server [flags]",
		Short: "Run the tracking server",
		Long: `Run the tracking server: it takes journals and heartbeats from agents, judges the health
of runs, and serves the page and the API. It keeps everything in one data directory, or in
a PostgreSQL database.`,
		Args: noArgs,
	}
	cmd.AddCommand(p.serverCheck(), p.serverBackup(), p.serverReady(), p.serverRotateKey())
	opts := option.Register(cmd.Flags(), listenRows())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.Resolve(p.Getenv); err != nil {
			return err
		}
		syscall.Umask(0o077) // what a server writes is for its user only
		ctx, stop := interruptible(cmd)
		defer stop()
		log, err := p.logger(opts.Text("log"))
		if err != nil {
			return err
		}
		return logEnd(log, p.runServer(ctx, opts, log))
	}
	return cmd
}

// runServer serves as the options say, until ctx ends.
func (p *program) runServer(ctx context.Context, opts *option.Set, log *slog.Logger) error {
	so, err := p.storeOptions(opts)
	if err != nil {
		return err
	}
	if err := p.keepOptions(ctx, opts, &so, log); err != nil {
		return err
	}
	if so.SecretKeyFile, err = p.secretKeyFile(opts, so); err != nil {
		return err
	}
	who, err := p.access(opts, so, log)
	if err != nil {
		return err
	}
	l, err := listen(opts.Text("listen"))
	if err != nil {
		return err
	}
	cfg := serveConfig{
		Listener: l, Store: so, Access: who, Shown: settingsOf(so, opts.Text("archive")),
		Badges: opts.On("public-badges"), Private: opts.On("allow-private-targets"),
		NewJobs: int(min(opts.Number("new-jobs-per-hour"), math.MaxInt32)), Activate: opts.On("activate"), Version: p.version, Log: log,
	}
	cfg.Shown.Address, cfg.Shown.PlainHTTP = cfg.address(), cfg.plainHTTP()
	cfg.Ready = func() { p.logStart(ctx, cfg) }
	limit, err := watchdogTime(p.Getenv, os.Getpid())
	if err != nil {
		return err
	}
	if limit > 0 {
		cfg.Watchdog = func(ctx context.Context, lastTurn func() time.Time) {
			watchdog(ctx, limit, lastTurn, func() { p.notifyLogged(log, "WATCHDOG=1") }, log)
		}
	}
	return serve(ctx, cfg)
}

// storeOptions reads which database was asked for.
func (p *program) storeOptions(opts *option.Set) (store.Options, error) {
	url, dir := opts.Text("database"), opts.Text("data")
	switch {
	case url != "" && dir != "":
		return store.Options{}, option.Usagef("--data and --database were both given: choose one")
	case url != "":
		if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
			return store.Options{}, option.Usagef("--database: the address does not begin with postgres://")
		}
		return store.Options{URL: url}, nil
	case dir != "":
		return store.Options{Dir: dir}, nil
	}
	state, err := p.StateDir()
	if err != nil {
		return store.Options{}, fmt.Errorf("%w; give a data directory with --data", err)
	}
	return store.Options{Dir: filepath.Join(state, "server")}, nil
}

func storePlace(o store.Options) string {
	if o.Dir != "" {
		return o.Dir
	}
	return "PostgreSQL"
}

// listen opens the port; what goes wrong is told with the address and what to do.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, option.Usagef("--listen: %q is not ADDRESS:PORT, as in %s", addr, defaultListen)
	}
	network := "tcp"
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		network = "tcp4" // else 0.0.0.0 would take connections over IPv6, too
	}
	l, err := net.Listen(network, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: another program has the port (a stint server already?); choose another with --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("cannot listen on %s: ports below 1024 need root; choose another with --listen", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return l, nil
}

type serveConfig struct {
	Listener net.Listener
	Store    store.Options
	Access   accessOptions
	Shown    server.Settings
	Badges   bool // are for everybody
	Private  bool // notifications may go to private networks
	NewJobs  int  // names of jobs that one client may begin within an hour
	Activate bool // a restored copy becomes the original
	Version  string
	Log      *slog.Logger
	Ready    func() // called once the server answers
	// Watchdog runs until its context ends, with a function that returns when the loop that
	// is furthest behind last turned; nil for none.
	Watchdog func(ctx context.Context, lastTurn func() time.Time)
}

// pageURL is where people reach the page, for links in messages; empty when nobody said
// and the address alone does not tell.
func (c serveConfig) pageURL() string {
	if c.Access.PublicURL == "" && c.Access.TLS == nil && access.Loopback(c.Listener.Addr()) {
		return "http://" + c.Listener.Addr().String()
	}
	return c.Access.PublicURL
}

// server is the configuration of the HTTP server, but for what else works on the database.
func (c serveConfig) server(db *store.Store) server.Config {
	return server.Config{
		Store: db, Version: c.Version, Log: c.Log, Settings: c.Shown,
		PublicURL: c.Access.PublicURL, TLS: c.Access.TLS,
		AgentCertificates: c.Access.AgentCertificates, OIDC: c.Access.OIDC,
		RequireToken: c.Access.RequireToken, Insecure: c.Access.Insecure, TrustLocal: c.Access.TrustLocal,
		Hosts: c.Access.Hosts, PublicBadges: c.Badges, NewJobs: c.NewJobs,
		TokenRevoked: func(ctx context.Context) {
			if err := removeRevoked(ctx, db, c.Access.TokenFiles); err != nil {
				c.Log.Warn("the file of a revoked token could not be removed", "error", err)
			}
		},
		UI: web.Handler(c.Version),
	}
}

// address is what the server listens on, with the scheme that it speaks.
func (c serveConfig) address() string { return c.Access.scheme() + "://" + c.Listener.Addr().String() }

// plainHTTP reports whether clients reach the server over a network without TLS, as far as
// the server can know: a proxy in front of it has an address that begins with https.
func (c serveConfig) plainHTTP() bool {
	return c.Access.TLS == nil && !access.Loopback(c.Listener.Addr()) && !strings.HasPrefix(c.Access.PublicURL, "https://")
}

// readEnding reads the end of what an attempt of a run printed.
func readEnding(ctx context.Context, db *store.Store, run string, attempt int) (logs.Ending, error) {
	view, err := db.RunAttempt(ctx, run, attempt)
	if err != nil {
		return logs.Ending{}, err
	}
	return logs.ReadEnding(ctx, db, view)
}

// serve joins store, server, monitor and page, and runs them until ctx ends. They stop in
// this order:
//
//  1. the monitor ends, because agents can be heard no longer;
//  2. the HTTP server drains: nobody new, running requests finish, the committer empties;
//     then the loops of the sweeper and of the outbox's worker end: a message that is under
//     way is cut off and sent again, under the same id, by whoever is next;
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
		Ending:  func(ctx context.Context, run string, n int) (logs.Ending, error) { return readEnding(ctx, db, run, n) },
		Changed: func(run string) { s.Notify(run) },
	})
	monitor := health.New(health.Config{
		Store: db, Log: cfg.Log,
		// The monitor runs only after the server is made.
		Changed: func(j lease.VerdictResult) { outbox.Wake(); s.Notify(j.Run.ID) },
		Arrived: func(run string, attempt int) time.Time { return s.Arrived(run, attempt) },
		Stored:  func() time.Time { return s.Stored() },
		Refused: func(run string, attempt int) time.Time { return s.Refused(run, attempt) },
	})
	observer := server.ConnectionObserver(monitor)
	if !copied.IsZero() {
		observer = nil // nobody judges what it would note
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
	if copied.IsZero() {
		group.Go(func() error {
			act(watch, db, monitor, outbox, s.Stopping(), cfg.Access.TokenFiles, cfg.Log)
			return nil
		})
	}
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

// lastTurn returns a function that says when the one of the loops that matter last turned
// which is furthest behind: the committer, and on a server that judges runs the monitor.
func lastTurn(s *server.Server, monitor *health.Monitor, judges bool) func() time.Time {
	return func() time.Time {
		committed, looked := s.TurnCommitter(), monitor.LastLook()
		if judges && looked.Before(committed) {
			return looked
		}
		return committed
	}
}

// restoredCopy returns when the copy was made that the server starts on, and says it loudly;
// zero for an original, which Activate makes of a copy. On a copy nothing happens by itself:
// whoever reads a backup for a test must not notify people of old troubles, end runs that
// the real server watches, or delete objects of its archive.
func restoredCopy(ctx context.Context, db *store.Store, cfg serveConfig) (time.Time, error) {
	at := db.CopiedAt()
	switch {
	case at.IsZero():
		return at, nil
	case cfg.Activate:
		cfg.Log.Info("the restored copy is the original from now on", "copied_at", at)
		return time.Time{}, db.Activate(ctx)
	}
	cfg.Log.Warn("RESTORED COPY: nothing is sent, judged, canceled, retried, packed or deleted; to make it the original, stop the one it was copied from, and start this one with --activate",
		"copied_at", at)
	return at, nil
}

// act does what a server does by itself, until ctx ends; the monitor until the server begins
// to stop.
func act(ctx context.Context, db *store.Store, monitor *health.Monitor, outbox *notify.Worker, stopping <-chan struct{}, files []string, log *slog.Logger) {
	var all sync.WaitGroup
	all.Go(func() { judge(ctx, monitor, stopping) })
	all.Go(func() { maintain(ctx, db, log) })
	all.Go(func() { sweepAccess(ctx, db, files, log) })
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
