package agentcmd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/announce"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/systemlog"
	"stint.dev/stint/internal/crontab"
	"stint.dev/stint/job"
)

// IsShell reports whether the program was called by the name under which it is the shell of cron.
func IsShell(program string) bool { return filepath.Base(program) == crontab.ShellName }

// shell is the program as the shell of cron. The job comes first: whatever keeps the agent from
// starting it, the real shell runs it.
type shell struct {
	path string   // of the real shell
	env  []string // of the job
	log  *systemlog.Log
}

// Shell runs the job of a line of a crontab as a run, and returns its exit code. Called with other
// arguments than -c TEXT, it is the real shell.
func Shell(args []string, version string) int {
	s := newShell(process.Environ())
	if len(args) != 2 || args[0] != "-c" || os.Getenv("STINT_SKIP") == "1" {
		return s.exec(args)
	}
	text := args[1]
	line := crontab.Describe(text)
	if line.Skip() {
		return s.exec(args)
	}
	getenv := func(name string) string { return cmp.Or(line.Set[name], os.Getenv(name)) }
	s.log = &systemlog.Log{}
	s.log.Start()
	con := &console.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: getenv, Messages: s.log.Add}
	a := &agentProgram{Console: con, version: version, signals: TakeSignals([]string{"run"}), shell: s}
	cmd := a.run()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	name := cmp.Or(line.Set["STINT_JOB"], os.Getenv(crontab.JobName), os.Getenv("STINT_JOB"), line.Name)
	options := []string{"--job", name, "--keep-background"}
	if getenv("STINT_MERGE_OUTPUT") == "" && sameOutput() {
		options = append(options, "--merge-output")
	}
	cmd.SetArgs(append(options, "--", s.path, "-c", text))
	_, err := runCommand(cmd, []string{"run"})
	var not *notStartedError
	if errors.As(err, &not) {
		s.log.Add(fmt.Sprintf("%v; %s runs it, and the run is not recorded", err, s.path))
		s.log.End()
		return s.exec(args)
	}
	con.Report(crontab.ShellName, err)
	code := exitcode.Of(nil, err)
	s.log.End()
	var exit *console.ExitError
	if errors.As(err, &exit) && exit.Signal != 0 {
		dieOf(exit.Signal)
	}
	return code
}

// newShell returns the shell of a job, which has SHELL in its environment as it would be without Stint.
func newShell(env []string) *shell {
	s := &shell{path: cmp.Or(environment.Value(env, crontab.RealShell), crontab.DefaultShell)}
	if IsShell(s.path) {
		s.path = crontab.DefaultShell
	}
	s.env = environment.Without(env, []string{crontab.RealShell, crontab.JobName})
	for i, kv := range s.env {
		if value, ok := strings.CutPrefix(kv, "SHELL="); ok && IsShell(value) {
			s.env[i] = "SHELL=" + s.path
		}
	}
	return s
}

// exec becomes the real shell. It returns, with an exit code, only if that is not possible.
func (s *shell) exec(args []string) int {
	err := syscall.Exec(s.path, append([]string{s.path}, args...), s.env)
	fmt.Fprintf(os.Stderr, "%s: run %s: %v\n", crontab.ShellName, s.path, err)
	if errors.Is(err, syscall.ENOENT) {
		return 127
	}
	return 126
}

// dieOf ends the process by a signal, and returns if that is not possible. The runtime of Go does not die of
// all signals, so another program does.
func dieOf(sig syscall.Signal) {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // the job has dumped its own core
	script := fmt.Sprintf("kill -%d $$; exit %d", sig, 128+int(sig))
	_ = syscall.Exec(crontab.DefaultShell, []string{crontab.DefaultShell, "-c", script}, nil) // the exit code then
}

// sameOutput reports whether stdout and stderr are one pipe, as cron makes them for its mail. The job
// then gets one pipe too, so that the order of what it prints is kept.
func sameOutput() bool {
	out, err := os.Stdout.Stat()
	if err != nil {
		return false
	}
	other, err := os.Stderr.Stat()
	return err == nil && os.SameFile(out, other)
}

// notStartedError is an error before which no process of the job was started.
type notStartedError struct{ error }

func (e *notStartedError) Unwrap() error { return e.error }

// endError returns the error with which stint run ends after its last attempt.
func (a *agentProgram) endError(c agent.Config, lines *announce.Lines, r agent.Result) error {
	exit := &console.ExitError{Code: r.ExitCode, Signal: r.Signal, Err: r.Err}
	if r.Err == nil && !lines.End(r.Outcome, time.Now()) {
		exit.Err = unexplainedEnd(r.Outcome)
	}
	if a.shell == nil {
		return exit
	}
	if n := r.Outcome.SignalNumber; exit.Signal == 0 && n > 0 && exit.Code == 128+n {
		exit.Signal = syscall.Signal(n) // cron sees what it would see of the real shell
	}
	if !c.Retry.Possible() && (r.Err != nil || r.Outcome.Reason == job.CouldNotStart) {
		exit.Err = &notStartedError{exit.Err}
	}
	return exit
}

// environ returns the environment that the job gets, without what options change.
func (a *agentProgram) environ() []string {
	if a.shell != nil {
		return a.shell.env
	}
	return process.Environ()
}
