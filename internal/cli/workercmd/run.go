package workercmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/client/address"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/worker"
	"stint.dev/stint/job"
)

const runLong = `Take queued runs from the server and start an agent for each. The agent is a process of its
own: it goes on when the worker ends, and the next worker in the same state directory finds it
again. A run starts only when the server has permitted it to this one process.

Jobs get PATH, HOME, USER, LOGNAME, SHELL, LANG and TZ, the environment and parameters of their
definition, STINT_ variables, and nothing else of the worker's environment but --pass-env. They
run as the user of the worker, in their home directory unless the definition names another.

The first SIGTERM or SIGINT ends the worker: it takes no more runs, and waits for its agents. A
second one asks them to stop. Under a service manager (NOTIFY_SOCKET) the worker ends at once, and
its agents go on.

The token is read from --token-file, from the file "token" of systemd's credentials, from
STINT_TOKEN, or from what configuration files name.`

// RunRows are the options of stint worker run.
func RunRows() []option.Option {
	rows := command.ServerRows()
	for i, o := range rows {
		switch o.Name {
		case "token":
			rows[i].NoFlag, rows[i].Help = true, "access token, of the scope worker"
		case "token-file":
			rows[i].Help = "file with the access token, of the scope worker"
		}
	}
	return append(rows, []option.Option{
		{Name: "name", Value: "NAME", Check: job.CheckWorker, Help: "name of the worker (default: that of the host)"},
		{Name: "slots", Kind: option.Number, Value: "N", Check: option.Whole(1, mostSlots), Help: "how many runs it has at a time (default: the number of cores)"},
		{Name: "label", Kind: option.List, Value: "K=V", Check: checkLabel, Help: "label of the worker, by which jobs can require it (repeatable)"},
		{Name: "allow", Kind: option.List, Value: "JOB", Check: job.CheckName, Help: "take runs of this job only (repeatable)"},
		{Name: "definitions", Value: "DIR", HostFile: true, Help: "run a job only by its definition in this directory of the host (JOB.yaml), and only if that is the version that was submitted"},
		{Name: "allow-commands", Kind: option.Switch, Help: "take commands that were submitted without a definition, too"},
		command.HostRow(),
		{Name: "pass-env", Kind: option.List, Value: "NAME", Check: checkPassed, Help: "variable of the worker's environment that jobs get, too (repeatable)"},
	}...)
}

// run is a worker.
func (p *program) run() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run [flags]", Short: "Take queued runs on this host", Long: runLong, Args: command.NoArgs,
	}
	opts := option.Register(cmd.Flags(), RunRows())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_ = process.Protect() // a system that refuses it is documented in docs/secrets.md
		_ = process.HideVariables("STINT_TOKEN")
		if err := p.Resolve(opts); err != nil {
			return err
		}
		cfg, err := p.config(opts)
		if err != nil {
			return err
		}
		stops, children := make(chan os.Signal, 8), make(chan os.Signal, 1)
		signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
		signal.Notify(children, syscall.SIGCHLD)
		defer signal.Stop(stops)
		defer signal.Stop(children)
		cfg.Stops, cfg.Children = stops, children
		return p.work(cmd.Context(), cfg)
	}
	return cmd
}

// work runs a worker to its end.
func (p *program) work(ctx context.Context, cfg worker.Config) error {
	w, err := worker.Open(cfg)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("worker %s, slots: %d", cfg.Name, cfg.Slots)
	if n := w.Agents(); n > 0 {
		text += fmt.Sprintf(", agents found: %d", n)
	}
	p.Say("%s", text)
	p.notify("READY=1\nSTATUS=" + text)
	w.Run(ctx)
	p.notify("STOPPING=1")
	return w.Close()
}

func (p *program) notify(state string) {
	if err := p.NotifyManager(state); err != nil {
		p.Say("the service manager was not notified: %v", err)
	}
}

// config turns options into what a worker needs.
func (p *program) config(opts *option.Set) (cfg worker.Config, err error) {
	cfg = worker.Config{
		Name: opts.Text("name"), BootID: command.BootID(), Version: p.Version,
		Managed: p.Getenv("NOTIFY_SOCKET") != "", Getenv: p.Getenv,
		Print: func(line string) { p.Say("%s", line) },
		Trust: worker.Trust{Allow: opts.List("allow"), Commands: opts.On("allow-commands")},
	}
	cfg.Host = command.ReportedHost(opts)
	if cfg.Name == "" {
		cfg.Name = cfg.Host
		if err := job.CheckWorker(cfg.Name); err != nil {
			return cfg, option.Usagef("--name: %v", err)
		}
	}
	if cfg.Slots = int(opts.Number("slots")); cfg.Slots == 0 {
		cfg.Slots = runtime.NumCPU()
	}
	if cfg.Labels, err = labels(opts); err != nil {
		return cfg, err
	}
	if dir := opts.Text("definitions"); dir != "" {
		if cfg.Trust.Commands {
			return cfg, option.Usagef("%s and %s were both given: a command has no definition; choose one", opts.Source("definitions"), opts.Source("allow-commands"))
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return cfg, fmt.Errorf("%s: %w", opts.Source("definitions"), err)
		}
		cfg.Trust.Local = local(dir)
	}
	if cfg.StateDir, err = p.StateDir(); err != nil {
		return cfg, err
	}
	if cfg.StateDir, err = filepath.Abs(cfg.StateDir); err != nil {
		return cfg, fmt.Errorf("the state directory: %w", err)
	}
	return cfg, p.connect(&cfg, opts)
}

// connect fills in how worker and agents reach the server.
func (p *program) connect(cfg *worker.Config, opts *option.Set) error {
	token, again, err := p.token(opts)
	if err != nil {
		return err
	}
	command.HideArguments("", opts.List("server")...)
	p.WarnOfAddresses(opts)
	own, err := command.Connect(opts, token, again, p.Version, "")
	if err != nil {
		return err
	}
	own.OnNotice(func(text string) { p.Say("%s", text) })
	cfg.Server = own
	state := cfg.StateDir
	cfg.Flush = func(ctx context.Context) error { return deliver(ctx, own, state) }
	cfg.Settings = worker.Settings{Variables: map[string]string{"STINT_STATE": state, "STINT_HOST": cfg.Host}}
	for _, row := range command.ServerRows() {
		if row.Name == "token" || row.Name == "token-file" {
			continue
		}
		value := strings.Join(opts.Values(row), "\n")
		if value != "" && row.Value == "FILE" {
			if value, err = filepath.Abs(value); err != nil {
				return fmt.Errorf("%s: %w", opts.Source(row.Name), err)
			}
		}
		cfg.Settings.Variables[row.Env()] = value
	}
	account := worker.CurrentAccount(p.Getenv)
	cfg.Settings.Dir = account.Home
	cfg.Settings.Environment = worker.Environment(p.Getenv, account, opts.List("pass-env"))
	return nil
}

// deliver delivers the journals that wait on this host. The error is an outage.
func deliver(ctx context.Context, c *client.Client, state string) error {
	report, err := flush.Run(ctx, flush.Config{
		StateDir: state, Server: c, ServerURL: address.Join(c.URLs()), Host: owner.Host{Name: command.HostName(), BootID: command.BootID()},
		WithToken: func(token string) delivery.Server { return c.WithToken(token) },
	})
	if err == nil && report.Untried > 0 {
		err = errors.New("the server does not take the journals that wait on this host")
	}
	return err
}

// token is that of the worker, empty for none, and what reads it again. What systemd hands over is for the worker, and files are
// for all that runs on the host.
func (p *program) token(opts *option.Set) (token string, again func() (string, error), err error) {
	file := command.TokenFile(opts)
	if dir := p.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && (file == "" || opts.File("token-file") != "") {
		path := filepath.Join(dir, "token")
		if _, err := os.Stat(path); err == nil {
			again = func() (string, error) { return command.ReadToken(path, "CREDENTIALS_DIRECTORY") }
			token, err = again()
			return token, again, err
		}
	}
	token, err = command.Token(opts)
	return token, command.TokenAgain(opts), err
}

// mostSlots is more than one host can have.
const mostSlots = 10_000

func checkPassed(name string) error {
	if name == "" || strings.ContainsAny(name, "= \t\r\n") || strings.HasPrefix(name, "STINT_") {
		return fmt.Errorf("it needs the name of a variable, and none that begins with STINT_: %s", job.Quote(name))
	}
	return nil
}

func checkLabel(kv string) error {
	k, v, found := strings.Cut(kv, "=")
	if !found || k == "" {
		return fmt.Errorf("%s is not K=V", job.Quote(kv))
	}
	return job.CheckLabel(k, v)
}

func labels(opts *option.Set) (map[string]string, error) {
	all := map[string]string{}
	for _, kv := range opts.List("label") {
		k, v, _ := strings.Cut(kv, "=")
		all[k] = v
	}
	if len(all) > job.MaxLabels {
		return nil, option.Usagef("%s: %d labels are more than %d", opts.Source("label"), len(all), job.MaxLabels)
	}
	return all, nil
}
