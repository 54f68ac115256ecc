package agentcmd

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/address"
	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/permit"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/worker"
)

// attempt is what a worker starts for each claim: it makes one attempt of a submitted run, and
// takes everything about it from the claim. Its exit code is 0 also when the server refused the
// start; what kept this host from asking goes to the worker.
func (a *agentProgram) attempt() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "attempt RUN ATTEMPT",
		Short:  "Make the attempt of a submitted run that a worker was given",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
	}
	opts := option.Register(cmd.Flags(), command.ServerRows())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		protect()
		received, ready := a.takeSignals()
		defer ready()
		a.NeverWait()
		report := fromWorker(worker.ReportFD, "report")
		defer report.Close() //nolint:errcheck // an error of the write is nobody's: the worker has ended
		err := a.makeAttempt(cmd, opts, args, received, ready)
		var refused *permit.RefusedError
		var ended *permit.ClaimEndedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refused), errors.As(err, &ended):
			a.Say("%s, attempt %s: %v", args[0], args[1], err)
			return nil
		}
		_, _ = io.WriteString(report, err.Error()) // see Close
		return &console.ExitError{Code: console.ExitNoStart, Err: fmt.Errorf("run %s, attempt %s was not started: %w", args[0], args[1], err)}
	}
	return cmd
}

// fromWorker is a descriptor from the worker that the job must not inherit.
func fromWorker(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

// makeAttempt makes the attempt. The error is why it was not started.
func (a *agentProgram) makeAttempt(cmd *cobra.Command, opts *option.Set, args []string, received *signals.Taker, ready func()) error {
	from := fromWorker(worker.SettingsFD, "settings")
	settings, err := worker.ReadSettings(from)
	if closeErr := from.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if c := settings.Claim; c.Run != args[0] || strconv.Itoa(c.Attempt) != args[1] {
		return fmt.Errorf("the claim is for run %s, attempt %d", c.Run, c.Attempt)
	}
	if err := opts.Resolve(option.Environment(func(name string) string { return settings.Variables[name] })); err != nil {
		return err
	}
	cfg, err := a.attemptConfig(opts, settings)
	if err != nil {
		return err
	}
	defer cfg.close()
	cfg.Signals, cfg.SuspendSelf = received.C, signals.SuspendSelf
	received.Wait()
	ready()
	cfg.Cores = fewCores()
	return agent.Run(cmd.Context(), cfg.Config).Err
}

// attemptConfig turns a claim into what the agent needs.
func (a *agentProgram) attemptConfig(opts *option.Set, s worker.Settings) (cfg runConfig, err error) {
	claim, spec := s.Claim, s.Claim.Spec
	own, err := command.NewClient(opts, a.version, claim.Run)
	if err != nil {
		return cfg, err
	}
	cfg.close = own.Close
	dir := spec.Dir
	if dir == "" {
		dir = s.Dir
	}
	cfg.Config = agent.Config{
		Run: claim.Run, Attempt: claim.Attempt, Job: claim.Job, Labels: spec.Labels,
		Args: spec.Args, Install: spec.Install, InstallCache: spec.CacheFiles, CacheDirs: spec.CacheDirs,
		Dir: dir, DirPath: dir, Quiet: true,
		Timeout: ms(spec.TimeoutMS), InstallTimeout: ms(spec.InstallMS), NoOutputTimeout: ms(spec.NoOutputMS),
		MemoryLimit: spec.MemoryBytes, MemoryLimitName: "limits.memory", CPULimit: spec.CPUs, CPULimitName: "limits.cpu",
		Server: own, ServerURL: address.Join(own.URLs()), WithToken: withToken(own), StateDir: s.Variables["STINT_STATE"],
		Version: a.version, Host: command.HostName(), BootID: command.BootID(), ReportedHost: s.Variables["STINT_HOST"],
		Print: func(line string) { a.Say("%s %s: %s", claim.Job, claim.Run, line) }, MaskMessages: a.MaskMessages,
		Submitted: &agent.Submitted{
			Server: own, Claim: claim.Token, Until: time.Duration(s.Until),
			Definition: claim.Definition, Parameters: claim.Parameters, Worker: s.Worker, Incarnation: permit.NewIncarnation(),
		},
	}
	c := &cfg.Config
	c.EnvNames = slices.Sorted(maps.Keys(spec.Env))
	c.Env = slices.Clone(s.Environment)
	for _, name := range c.EnvNames {
		if err := checkVariable(name, spec.Env[name]); err != nil {
			return cfg, err
		}
		c.Env = slices.DeleteFunc(c.Env, func(kv string) bool { return len(kv) > len(name) && kv[:len(name)+1] == name+"=" })
		c.Env = append(c.Env, name+"="+spec.Env[name])
	}
	if len(c.InstallCache) > 0 {
		if err := checkCache(c); err != nil {
			return cfg, err
		}
	}
	if c.StateDir != "" {
		// Without the watcher's settings the worker delivers the journal of an agent that died.
		if c.Finish, err = finishOf(opts, c.StateDir); err != nil {
			c.Print(err.Error())
		}
	}
	return cfg, nil
}

// ms is a number of milliseconds from a claim; 0 is no limit.
func ms(n int64) time.Duration {
	return time.Duration(max(0, min(n, int64(mostLimit/time.Millisecond)))) * time.Millisecond
}

// mostLimit is more than any time limit that can matter.
const mostLimit = 100 * 365 * 24 * time.Hour
