package servercmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/demo"
	"stint.dev/stint/internal/demo/tour"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/web"
)

// demo runs a server and a job, and prints how to see them.
func (p *program) demo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Start a server, run a real job through it, and print where to see it",
		Long: `Start a server on a fresh data directory, run a real job of half a minute through the agent
over HTTP, and keep serving until Ctrl-C. The job studies the text that it finds on this
machine: an install step collects it, then the command counts, compresses and searches.

Then the server starts a job itself: it gets a definition and two workers, the job runs on one
of them, that worker is killed with all that runs there, and the job starts again on the other
one. This takes half a minute.

It needs no network.`,
		Args: command.NoArgs,
	}
	opts := option.Register(cmd.Flags(), []option.Option{
		{FlagOnly: true, Name: "listen", Value: "ADDR", Default: defaultListen, Help: "address and port of the demo's server; another port is taken if it is in use"},
		{FlagOnly: true, Name: "exit", Kind: option.Switch, Help: "end when the jobs have ended, with the exit code of the first that failed"},
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.Resolve(option.Environment(p.Getenv)); err != nil {
			return err
		}
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		l, err := p.demoListener(opts.Text("listen"))
		if err != nil {
			return err
		}
		return p.runDemo(ctx, l, opts.On("exit"))
	}
	return cmd
}

// demoListener listens on the requested port, or on any other if that is in use.
func (p *program) demoListener(addr string) (net.Listener, error) {
	l, err := listen(addr)
	var bad *option.UsageError
	if err == nil || errors.As(err, &bad) {
		return l, err
	}
	host, _, _ := net.SplitHostPort(addr) // listen has checked its form
	other, oerr := listen(net.JoinHostPort(host, "0"))
	if oerr != nil {
		return nil, err
	}
	p.Say("%s is in use; the demo serves on %s", addr, other.Addr())
	return other, nil
}

func (p *program) runDemo(ctx context.Context, l net.Listener, exit bool) (err error) {
	dir, err := os.MkdirTemp("", "stint-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	ready := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		defer stopServing() // nothing waits for a server that cannot start
		data := filepath.Join(dir, "server")
		kept := store.Options{Dir: data, SecretKeyFile: filepath.Join(data, secretKeyName)}
		return serve(serving, serveConfig{
			Listener: l, Store: kept, Shown: settingsOf(kept, ""), Version: p.Version,
			Access: accessOptions{TrustLocal: true}, // the demo runs as is on every system
			Log:    slog.New(slog.NewTextHandler(p.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
			Ready:  func() { close(ready) },
		})
	})
	code := console.ExitFailed
	select {
	case <-ready:
		code = p.demoTour(serving, "http://"+l.Addr().String(), dir, exit)
	case <-serving.Done():
	}
	if exit {
		stopServing()
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if exit && code != console.ExitOK {
		return &console.ExitError{Code: code}
	}
	return nil
}

// demoTour shows the server at url with files in dir, and returns the exit code of the first job that failed.
func (p *program) demoTour(ctx context.Context, url, dir string, exit bool) int {
	self, err := os.Executable()
	if err != nil {
		return p.report(fmt.Errorf("find the program itself: %w", err))
	}
	note := ""
	if !web.Built() {
		note = plainPage
	}
	return tour.Show(ctx, tour.Config{
		URL: url, Dir: dir, Program: self, PageNote: note, Ends: exit,
		Called:  console.Clean(os.Args[0]), // as it was, so that the lines can be copied
		Execute: p.execute, Report: p.report, Print: p.print, Style: p.StyleFor(p.Out),
	})
}

// report prints the error of a command, and returns its exit code.
func (p *program) report(err error) int {
	p.Report("stint", err)
	return exitcode.Of(nil, err)
}

// print writes to stdout; the demo goes on without a reader.
func (p *program) print(format string, args ...any) { fmt.Fprintf(p.Out, format, args...) }

// demoJob returns the command that is the job.
func (p *program) demoJob() *cobra.Command {
	return &cobra.Command{
		Use:    "demo-job collect DIR | study DIR",
		Short:  "The job that stint demo runs",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := command.Interruptible(cmd)
			defer stop()
			switch {
			case len(args) == 2 && args[0] == "study":
				return demo.Study(ctx, args[1], p.Out, p.Err)
			case len(args) == 2 && args[0] == "collect":
				return demo.Collect(args[1], p.Out, p.Err)
			}
			return option.Usagef("write: %s", cmd.UseLine())
		},
	}
}
