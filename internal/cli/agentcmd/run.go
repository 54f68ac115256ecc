package agentcmd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/client/address"
	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/process/watch"
	"stint.dev/stint/internal/agent/report"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/agent/stop"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/jobname"
	"stint.dev/stint/job"
)

const runLong = `Run a job: its install steps, then the command. Output, CPU and memory, heartbeats, start
and end go to the tracking server; the job starts at once and never waits for it. With no
server the journal of the run waits on disk until stint flush or the next stint run.`

// run supervises one job.
func (a *agentProgram) run() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARG…]",
		Short: "Run a job and report it to the server",
		Long:  runLong,
	}
	cmd.Flags().SetInterspersed(false)
	opts := option.Register(cmd.Flags(), RunRows())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		protect()
		received, ready := a.takeSignals()
		defer ready()
		a.NeverWait()
		nested := command.Nested(a.Getenv)
		notes, err := a.resolveRun(opts, nested)
		if err != nil {
			return noStart(err)
		}
		command.HideArguments(opts.Text("token"), append(opts.List("server"), opts.Text("report-to"))...)
		if len(args) == 0 && opts.Text("script") == "" {
			return option.Usagef("no command to run; write: %s run [flags] -- COMMAND [ARG…]", cmd.Root().Name())
		}
		cfg, err := a.runConfig(opts, args, nested, notes)
		if err != nil {
			return noStart(err)
		}
		defer cfg.close()
		cfg.Signals, cfg.SuspendSelf = received.C, signals.SuspendSelf
		received.Wait()
		ready()
		if err := a.takeLock(cmd.Context(), opts, &cfg.Config); err != nil {
			return err
		}
		defer cfg.Overlap.Release()
		defer unstoppable(&cfg.Config, a.In, a.Out, a.Err)()
		cfg.Cores = fewCores()
		lines := a.announce(&cfg.Config, opts)
		result := agent.Supervise(cmd.Context(), cfg.Config)
		return a.endError(cfg.Config, lines, result)
	}
	return cmd
}

// takeSignals takes the signals of the process, unless that was done. A stop request that comes
// before ready is called ends the process.
func (a *agentProgram) takeSignals() (received *signals.Taker, ready func()) {
	if received = a.signals; received == nil {
		received = signals.Take()
	}
	return received, received.Guard(func(sig syscall.Signal) {
		signals.Die(sig)
		os.Exit(128 + int(sig)) // as the init of a container
	})
}

// fewCores keeps the agent to two cores: it never needs a third, and a job may need them all. The
// result lowers that further.
func fewCores() func(n int) {
	most := min(2, runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(most)
	return func(n int) { runtime.GOMAXPROCS(min(n, most)) }
}

// unexplainedEnd returns the message of an end that the job itself cannot have explained, because it
// did not start or was ended from outside; nil if the job exited by itself.
func unexplainedEnd(o job.Outcome) error {
	switch o.Reason {
	case job.CouldNotStart, job.InstallFailed, job.Timeout, job.InstallTimeout, job.NoOutput, job.NoProgress,
		job.OutOfMemory, job.ByCancel, job.Superseded:
		return errors.New(o.Message)
	}
	return nil
}

// noStart returns the error of a run that ended before the job could start: exit code 2 for bad options or arguments,
// 125 for what the agent could not do.
func noStart(err error) error {
	var exit *console.ExitError
	if errors.As(err, &exit) {
		return &notStartedError{err}
	}
	code := console.ExitNoStart
	var usage *option.UsageError
	if errors.As(err, &usage) {
		code = console.ExitUsage
	}
	return &console.ExitError{Code: code, Err: &notStartedError{fmt.Errorf("the job was not started: %w", err)}}
}

// atLeastOneNanosecond keeps 0, which means "at once", from counting as not given.
func atLeastOneNanosecond(d time.Duration) time.Duration { return max(d, time.Nanosecond) }

type runConfig struct {
	agent.Config
	close func()
}

// runConfig turns options and arguments into what the agent needs.
func (a *agentProgram) runConfig(opts *option.Set, args []string, nested bool, notes []string) (runConfig, error) {
	cfg := runConfig{close: func() {}}
	if script := opts.Text("script"); script != "" {
		if len(args) > 0 {
			return cfg, option.Usagef("both %s and a COMMAND were given: choose one", opts.Source("script"))
		}
		args = []string{"sh", "-c", script}
	}
	c := &cfg.Config
	*c = agent.Config{
		Attempt: 1, Args: args, Install: opts.List("install"),
		Expect: opts.Duration("expect"), Timeout: opts.Duration("timeout"), InstallTimeout: opts.Duration("install-timeout"),
		NoOutputTimeout: opts.Duration("no-output-timeout"), NoProgressTimeout: opts.Duration("no-progress-timeout"), QuitFirst: opts.On("quit-first"), StopGrace: atLeastOneNanosecond(opts.Duration("stop-grace")),
		HeartbeatPeriod: opts.Duration("heartbeat-period"), SamplePeriod: opts.Duration("sample-period"),
		FlushTimeout: atLeastOneNanosecond(opts.Duration("flush-timeout")),
		Token:        strings.TrimSpace(opts.Text("token")), // also where no server is used; see client
		Notes:        notes,
		Quiet:        opts.On("quiet"), Stdout: a.Out, Stderr: a.Err,
		Version: a.version, Host: command.HostName(), BootID: command.BootID(),
		Print: func(line string) { a.Say("%s", line) }, MaskMessages: a.MaskMessages,
	}
	if err := a.identity(c, opts, args, nested); err != nil {
		return cfg, err
	}
	a.jobEnvironment(c, opts)
	c.Retry, c.SpoolLimit = retries(opts), opts.Size("spool-limit")
	c.KeepBackground, c.MergeOutput = opts.On("keep-background"), opts.On("merge-output")
	c.IgnoreClosedOutput = opts.On("ignore-closed-output")
	if err := a.streams(c, opts); err != nil {
		return cfg, err
	}
	var err error
	if opts.Given("stop-signal") {
		if c.StopSignal, err = stop.SignalNamed(opts.Text("stop-signal")); err != nil {
			return cfg, option.Usagef("%s: %v", opts.Source("stop-signal"), err)
		}
	}
	setContainment(c, opts)
	if err := directory(c, opts.Text("dir"), opts.Source("dir")); err != nil {
		return cfg, err
	}
	if c.StateDir, err = a.StateDir(); err != nil {
		a.Say("%v; the journal of this run is kept in memory", err)
	}
	if err := installCache(c, opts); err != nil {
		return cfg, err
	}
	a.destinations(&cfg, opts)
	return cfg, a.fitRetries(c, opts)
}

// identity fills in which run of which job this is, and where.
func (a *agentProgram) identity(c *agent.Config, opts *option.Set, args []string, nested bool) error {
	c.Job = opts.Text("job")
	if c.Job == "" {
		c.Job = jobname.Of(args)
		if err := job.CheckName(c.Job); err != nil {
			return option.Usagef("--job: %v", err)
		}
	}
	if c.Run = strings.ToLower(opts.Text("run-id")); c.Run == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make a run id: %w", err)
		}
		c.Run = id.String()
	}
	c.ReportedHost = command.ReportedHost(opts)
	c.Labels = pairs(opts.List("label"))
	if parent := a.Getenv("STINT_RUN_ID"); nested && parent != "" && c.Labels["parent"] == "" {
		c.Labels["parent"] = parent
	}
	if n := len(c.Labels); n > job.MaxLabels {
		if opts.Flagged("label") {
			return option.Usagef("--label: %d labels are more than %d", n, job.MaxLabels)
		}
		for _, key := range slices.Sorted(maps.Keys(c.Labels))[job.MaxLabels:] {
			delete(c.Labels, key)
		}
		a.mistake(c, fmt.Sprintf("%s: %d labels are more than %d; the others are left out", opts.Source("label"), n, job.MaxLabels))
	}
	var err error
	c.Due, err = command.Expectation(opts)
	return err
}

// jobEnvironment sets the environment of the job: the agent's own with the variables of --env.
func (a *agentProgram) jobEnvironment(c *agent.Config, opts *option.Set) {
	vars := pairs(opts.List("env"))
	c.EnvNames = slices.Sorted(maps.Keys(vars))
	c.Env = environment.Without(a.environ(), c.EnvNames)
	for _, name := range c.EnvNames {
		c.Env = append(c.Env, name+"="+vars[name])
	}
	if opts.Flagged("host") && vars["STINT_HOST"] == "" {
		c.Env = append(environment.Without(c.Env, []string{"STINT_HOST"}), "STINT_HOST="+c.ReportedHost) // also of runs inside of the job
	}
	c.Redact, c.NoRedact = opts.List("redact"), opts.List("no-redact")
}

// destinations fills in where the run is reported: the tracking server, another server, or both. The job
// runs also if a value cannot be used; that is reported.
func (a *agentProgram) destinations(cfg *runConfig, opts *option.Set) {
	if url := opts.Text("report-to"); url != "" {
		cfg.ReportURL = url
		r, err := report.NewReporter(url, cfg.Run)
		if err == nil {
			cfg.ReportTo = r
		} else {
			a.mistake(&cfg.Config, fmt.Sprintf("%s: %v; the job runs and is not reported there", opts.Source("report-to"), err))
		}
		if !opts.Given("server") {
			return
		}
	}
	for _, line := range command.BadAddresses(opts) {
		a.mistake(&cfg.Config, line)
	}
	c, err := a.client(cfg, opts)
	if err == nil {
		cfg.ServerURL, cfg.Server, cfg.close = address.Join(c.URLs()), c, c.Close
		cfg.WithToken = withToken(c)
		if cfg.StateDir != "" {
			finish := func() (*watch.Finish, error) { return finishOf(opts, cfg.StateDir) }
			if cfg.Finish, err = bounded.Call(command.FileLimit, finish); err != nil {
				a.Say("%v; if this agent dies, the next stint run or stint flush delivers its journal", err)
			}
		}
		return
	}
	a.mistake(&cfg.Config, fmt.Sprintf("%v; the job runs, and its journal waits on this host until stint flush delivers it", err))
	// Without an address it waits for whichever server the next run or flush names.
	good, _ := command.ServerURLs(opts)
	cfg.ServerURL = address.Join(good)
}

// client makes the client of the run's server.
func (a *agentProgram) client(cfg *runConfig, opts *option.Set) (*client.Client, error) {
	token, err := command.Token(opts)
	if err != nil {
		return nil, err
	}
	cfg.Token = token
	return command.Connect(opts, token, command.TokenAgain(opts), a.version, cfg.Run)
}

// withToken returns what makes clients of the same server with other tokens.
func withToken(c *client.Client) func(token string) delivery.Server {
	return func(token string) delivery.Server { return c.WithToken(token) }
}
