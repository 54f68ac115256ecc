package agent

import (
	"context"
	"errors"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// slowStart is how long the start of the first process may take before the run is
// reported to the server all the same.
const slowStart = time.Second

// errAbandoned says that a process was still being started when the stop gave it up.
var errAbandoned = errors.New("the start of the process was abandoned")

// startStep makes the streams and the process, writes the beginning of the step and starts
// to drain.
func (a *attempt) startStep(ctx context.Context, s step, limits *limits) (*process.Process, error) {
	started := journal.StepStarted{Index: s.index, Name: s.name, Kind: s.kind, Command: shownCommand(a.rec.Secrets(), s)}
	begun := time.Now()
	streams, err := a.streams.Open(s.index, s.kind == job.CommandStep)
	if err != nil {
		_ = a.rec.Record(journal.TypeStepStarted, begun, started)
		return nil, err
	}
	proc, err := a.startProcess(ctx, limits, process.Spec{
		Args: s.args, Dir: a.cfg.Dir, Env: a.env, Terminal: streams.Terminal(),
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
	if s.kind == job.CommandStep && !errors.Is(err, errAbandoned) {
		a.streams.LeaveStdin()
	}
	if err == nil {
		a.reportUnenforced() // a start can find out that a limit does not hold
		started.PID = proc.PID()
	}
	_ = a.rec.Record(journal.TypeStepStarted, begun, started) // there is a reserve for it
	if err != nil {
		if !errors.Is(err, errAbandoned) { // which may use them still
			streams.Discard()
		}
		return nil, err
	}
	a.streams.Start(s.index, streams)
	if a.stop.Begun() {
		a.stop.Ask() // the stop began when the process was not there
	}
	return proc, nil
}

// startProcess makes a process. Its program may be on a file system that does not answer: what
// asks for a stop is acted on meanwhile, and when the grace is over the start is given up.
func (a *attempt) startProcess(ctx context.Context, limits *limits, spec process.Spec) (*process.Process, error) {
	type result struct {
		proc *process.Process
		err  error
	}
	made := make(chan result, 1)
	go func() {
		proc, err := a.group.Start(spec)
		made <- result{proc, err}
	}()
	slow := time.NewTimer(slowStart)
	defer slow.Stop()
	var late <-chan time.Time
	canceled := ctx.Done()
	for waiting := true; waiting; {
		select {
		case r := <-made:
			return r.proc, r.err
		case e := <-a.cfg.events.Events():
			a.act(e)
			waiting = !a.stop.Abandoned()
		case cause := <-a.stopRequests:
			a.stop.BeginFinal(cause, 0)
		case <-canceled:
			canceled = nil
			a.stop.BeginFinal(job.StopCause{Reason: job.AgentStopped}, 0)
		case <-limits.timer.C:
			a.stop.Begin(limits.cause)
		case <-limits.silence.C:
			a.stop.Begin(job.StopCause{Reason: job.NoOutput, Limit: a.cfg.NoOutputTimeout})
		case <-slow.C:
			a.background.start(ctx)
		case <-a.stop.GraceOver():
			a.stop.Kill() // a child that waits in its exec dies of it
			late = time.After(leftOverAfter)
		case <-late:
			waiting = false
		}
	}
	if a.stop.Unstopped() == "" {
		a.stop.GiveUp("the start of " + spec.Args[0] + " waits for a file system that does not answer")
	}
	go func() { // ends when the file system answers
		if r := <-made; r.err == nil {
			_ = r.proc.Signal(syscall.SIGKILL) // an error means that it has ended; else it ends with the agent
		}
	}()
	return nil, errAbandoned
}
