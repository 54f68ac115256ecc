// Package servercmd holds stint server and the commands that work on its database beside it:
// they join store, server, monitor, outbox and page.
package servercmd

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
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/server/jobmetrics"
	"stint.dev/stint/internal/store"
)

type program struct {
	*command.Program
	// execute runs a command of stint in this process.
	execute func(ctx context.Context, args []string) error
}

// Commands returns the commands of this package. execute runs a command of stint in this
// process, for stint demo.
func Commands(c *command.Program, execute func(ctx context.Context, args []string) error) []*cobra.Command {
	p := &program{c, execute}
	return []*cobra.Command{p.server(), p.token(), p.demo(), p.demoJob()}
}

const (
	defaultListen = "127.0.0.1:7846"
	// plainPage is the message of a program that was built without the page.
	plainPage = "the page is a plain one, because this build had no Node and npm: make ui builds the real one"
)

// storeRows returns the options that name the database of a command.
func storeRows() []option.Option {
	return []option.Option{
		{Name: "data", Value: "DIR", Help: "data directory (default: server/ in the state directory)"},
		{Name: "database", Value: "URL", Help: "a PostgreSQL database, postgres://…, instead of the embedded one"},
	}
}

// Rows returns the options of stint server.
func Rows() []option.Option {
	return slices.Concat(storeRows(), []option.Option{secretKeyRow()}, keepRows(), accessRows(), []option.Option{
		{Name: "listen", Value: "ADDR", Default: defaultListen, Help: "address and port to listen on"},
		{Name: "require-token", Kind: option.Switch, Help: "require a token also from the server's own user and root on this machine"},
		{Name: "trust-local", Kind: option.Switch, Help: "on a loopback address, require no token also where the system does not report which user a connection belongs to"},
		{Name: "insecure", Kind: option.Switch, Help: "require no token, on any address"},
		{Name: "public-badges", Kind: option.Switch, Help: "serve the badges of jobs without a token"},
		{Name: "metrics-label", Kind: option.List, Value: "KEY", Help: "a label of runs that /metrics/jobs shows of the last run of each job (repeatable, up to 10)"},
		{Name: "allow-host", Kind: option.List, Value: "NAME", Help: "a further host name to accept requests for; they need a token (repeatable)"},
		{Name: "trusted-proxy", Kind: option.List, Value: "CIDR", Check: checkProxy, Help: "address or network of proxies, whose X-Forwarded-For names the client for limits and the audit log (repeatable)"},
		{Name: "allow-private-targets", Kind: option.Switch, Help: "allow notifications to private networks and to this host"},
		{Name: "new-jobs-per-hour", Kind: option.Number, Value: "N", Default: "2000", Help: "how many jobs with new names each token, or address without one, may start in an hour; 0 for no limit"},
		{FlagOnly: true, Name: "activate", Kind: option.Switch, Help: "make a restored copy the original: it sends notifications, judges, acts and deletes again"},
		{FlagOnly: true, Name: "restored", Kind: option.Switch, Help: "hold the queue, because the database was restored in a way that the server does not notice"},
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
		Args: command.NoArgs,
	}
	cmd.AddCommand(p.serverCheck(), p.serverBackup(), p.serverRotateKey())
	opts := option.Register(cmd.Flags(), Rows())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.Resolve(option.Environment(p.Getenv)); err != nil {
			return err
		}
		syscall.Umask(0o077) // what a server writes is for its user only
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		if opts.On("keep-dry-run") {
			return p.keepDryRun(ctx, opts)
		}
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
	labels, err := jobmetrics.Labels(opts.List("metrics-label"))
	if err != nil {
		return option.Usagef("--metrics-label: %s", err)
	}
	l, err := listen(opts.Text("listen"))
	if err != nil {
		return err
	}
	cfg := serveConfig{
		Listener: l, Store: so, Access: who, Shown: settingsOf(so, opts.Text("archive")),
		Labels: labels, Badges: opts.On("public-badges"), Private: opts.On("allow-private-targets"),
		NewJobs: int(min(opts.Number("new-jobs-per-hour"), math.MaxInt32)), Activate: opts.On("activate"), Restored: opts.On("restored"), Version: p.Version, Log: log,
	}
	cfg.Shown.Address, cfg.Shown.TLS, cfg.Shown.PlainHTTP = cfg.address(), who.TLS != nil, cfg.plainHTTP()
	cfg.Ready = func() { p.logStart(ctx, cfg) }
	limit, err := command.WatchdogTime(p.Getenv, os.Getpid())
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

// storeOptions reads which database to use.
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

// listen opens the port. Its errors name the address and what to do.
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
