package agentcmd

import (
	"fmt"
	"strings"

	"stint.dev/stint/internal/agent/stop"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// RunRows returns the options of stint run.
func RunRows() []option.Option {
	rows := append(command.ServerRows(), []option.Option{
		{Name: "job", Value: "NAME", Effect: option.Describes, Check: job.CheckName, Help: "name of the job (default: the script or module of an interpreter, else the command's base name)"},
		{Name: "install", Kind: option.List, Value: "CMD", Effect: option.Shapes, Help: "install step, run through sh -c before the command (repeatable, in order)"},
		{Name: "install-cache", Kind: option.List, Value: "FILE", Effect: option.Shapes, Help: "lock file that determines what the install steps make; an equal install is taken from the cache (repeatable)"},
		{Name: "cache-dir", Kind: option.List, Value: "DIR", Effect: option.Shapes, Help: "directory that the install steps make and the cache keeps, relative to --dir (repeatable)"},
		{Name: "script", Short: "c", Value: "SCRIPT", Effect: option.Shapes, Help: "run SCRIPT through sh -c instead of COMMAND"},
		{Name: "dir", Value: "DIR", Effect: option.Shapes, Help: "working directory of install steps and command (default: the one stint run is started in)"},
		{Name: "env", Kind: option.List, Value: "K=V", Effect: option.Shapes, Check: pair(checkVariable), Help: "variable in the job's environment (repeatable)"},
		{Name: "redact", Kind: option.List, Value: "NAME", Effect: option.Shapes, Check: variableName, Help: "mask the value of this variable too, in output and everything else that is recorded (repeatable)"},
		{Name: "no-redact", Kind: option.List, Value: "NAME", Effect: option.Describes, Check: anyVariableName, Help: "do not mask the value of this variable, although its name looks secret; * for all (repeatable)"},
		{Name: "label", Kind: option.List, Value: "K=V", Effect: option.Describes, Check: pair(job.CheckLabel), Help: "label of the run (repeatable)"},
		{Name: "expect", Kind: option.Duration, Value: "D", Effect: option.Describes, Help: "expected duration; a run that takes longer is reported as overdue and not stopped"},
		{Name: "timeout", Kind: option.Duration, Value: "D", Effect: option.Shapes, Help: "stop the job when the command has run this long"},
		{Name: "install-timeout", Kind: option.Duration, Value: "D", Effect: option.Shapes, Help: "stop the job when the install steps together have run this long"},
		{Name: "no-output-timeout", Kind: option.Duration, Value: "D", Effect: option.Shapes, Help: "stop the job when it has printed nothing for this long"},
		{Name: "no-progress-timeout", Kind: option.Duration, Value: "D", Effect: option.Shapes, Help: "stop the job when it has printed nothing, used no CPU and done no IO for this long (docs/progress.md)"},
		{Name: "quit-first", Kind: option.Switch, Effect: option.Shapes, Help: "before the stop for a time limit, send SIGQUIT to the job's processes: Go and Java then print their stacks"},
		{Name: "stop-signal", Value: "NAME", Effect: option.Shapes, Check: checkSignal, Help: "signal that asks the job's processes to end, in place of the one that stint run got (TERM where it got none): TERM, INT, QUIT, HUP, USR1, USR2, ABRT, ALRM, WINCH or KILL"},
		{Name: "stop-grace", Kind: option.Duration, Value: "D", Default: "10s", Effect: option.Shapes, Help: "how long a job may take to end after the stop signal, before it is killed"},
		{Name: "retries", Kind: option.Number, Value: "N", Default: "0", Effect: option.Shapes, Check: option.Whole(0, job.MaxAttempt-1), Help: "how many further attempts to make when the job failed or ran into a time limit; none if stdin is a pipe or socket with data (see --no-stdin)"},
		{Name: "retry-backoff", Kind: option.Duration, Value: "D", Default: "10s", Effect: option.Shapes, Check: checkBackoff, Help: "pause before the first retry; it doubles with each, up to an hour"},
		{Name: "retry-wait", Kind: option.Duration, Value: "D", Effect: option.Shapes, Help: "how long to wait for stint retry after the last attempt failed"},
		{Name: "heartbeat-period", Kind: option.Duration, Value: "D", Default: "5s", Effect: option.Describes, Help: "interval between heartbeats to the server"},
		{Name: "sample-period", Kind: option.Duration, Value: "D", Default: "5s", Effect: option.Describes, Help: "interval between samples of CPU and memory"},
	}...)
	rows = append(append(rows, command.DueRows("after this run, ")...), limitRows()...)
	return append(rows, []option.Option{
		oomScoreRow(),
		containmentRow(),
		overlapRow(),
		{Name: "tty", Short: "t", Kind: option.Switch, Effect: option.Shapes, Help: "give the command a terminal; its stdout and stderr are one stream then"},
		{Name: "stdin", Short: "i", Kind: option.Switch, Effect: option.Shapes, Help: "give the command stdin also if it is a terminal; with --tty, type stdin into the command's terminal"},
		{Name: "no-stdin", Kind: option.Switch, Effect: option.Shapes, Help: "give the command /dev/null as stdin"},
		{Name: "keep-background", Kind: option.Switch, Effect: option.Shapes, Help: "keep processes that the command leaves behind, instead of ending them"},
		{Name: "quiet", Kind: option.Switch, Effect: option.Shapes, Help: "do not pass the job's output on to stdout and stderr of stint run"},
		{Name: "ignore-closed-output", Kind: option.Switch, Effect: option.Shapes, Help: "go on running and recording when the reader of stint run's stdout or stderr goes away, instead of closing that stream for the job"},
		{Name: "merge-output", Kind: option.Switch, Effect: option.Shapes, Help: "give the command one pipe for stdout and stderr, so that their order is kept; recorded and passed on as stdout"},
		{Name: "run-id", Value: "UUID", Effect: option.Describes, NotInFiles: true, Check: job.CheckRunID, Help: "id of the run (default: a new one)"},
		{Name: "print-run", Value: "FILE", Effect: option.Describes, Help: "write the id of the run, its job and the server to FILE before the first step starts, as one line of JSON; the job runs also if that fails"},
		{Name: "flush-timeout", Kind: option.Duration, Value: "D", Default: "30s", Effect: option.Describes, Help: "how long to deliver after the job's end before the journal is left in the spool"},
		spoolRow(),
		command.HostRow(),
		{Name: "report-to", Value: "URL", Effect: option.Connects, Help: "report status and heartbeats to this server by PUT URL/status and PUT URL/heartbeat, or with hc+ before the URL start and exit code as Healthchecks takes them; the tracking server is then used only if --server is given too"},
	}...)
}

// pair returns the rule of a K=V option.
func pair(check func(k, v string) error) func(kv string) error {
	return func(kv string) error {
		k, v, found := strings.Cut(kv, "=")
		if !found || k == "" {
			return fmt.Errorf("%s is not K=V", job.Quote(kv))
		}
		return check(k, v)
	}
}

// pairs reads K=V options. The rules of their rows have refused what is none.
func pairs(list []string) map[string]string {
	out := make(map[string]string, len(list))
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		out[k] = v
	}
	return out
}

func checkSignal(text string) error {
	_, err := stop.SignalNamed(text)
	return err
}

// checkVariable refuses what no environment can hold.
func checkVariable(k, v string) error {
	switch {
	case strings.ContainsRune(k, 0) || strings.ContainsRune(v, 0):
		return &job.InvalidError{What: "variable", Value: k, Why: "has a NUL byte"}
	case strings.ContainsAny(k, " \t\r\n"):
		return &job.InvalidError{What: "variable", Value: k, Why: "has white space in its name"}
	}
	return nil
}
