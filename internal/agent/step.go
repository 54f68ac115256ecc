package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/text"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// leftOverAfter is how long a process that is ending may take before it counts as left over.
	leftOverAfter = 100 * time.Millisecond
	// maxCommand bounds a command line in a record.
	maxCommand = 64 << 10
)

// step is one phase of the attempt.
type step struct {
	index int
	name  string
	kind  job.StepKind
	args  []string
}

func stepsOf(c Config) []step {
	var steps []step
	for i, cmd := range c.Install {
		name := "install"
		if len(c.Install) > 1 {
			name = fmt.Sprintf("install %d", i+1)
		}
		steps = append(steps, step{index: i, name: name, kind: job.InstallStep, args: []string{"sh", "-c", cmd}})
	}
	return append(steps, commandStep(len(steps), c))
}

func commandStep(index int, c Config) step {
	return step{index: index, name: "command", kind: job.CommandStep, args: c.Args}
}

// shownCommand returns a step's command line in the journal. It is masked before it is quoted
// and cut, which could leave a part of a value that is not recognised.
func shownCommand(secrets *redact.Set, s step) string {
	if s.kind == job.InstallStep {
		return text.Beginning(secrets.String(s.args[len(s.args)-1]), maxCommand) // sh -c COMMAND
	}
	return text.Beginning(job.CommandLine(secrets.Strings(s.args)), maxCommand)
}

// runSteps runs the steps in order and returns the outcome of the one that decides.
func (a *attempt) runSteps(ctx context.Context) (outcome job.Outcome) {
	defer func() {
		outcome = a.rec.MaskedOutcome(outcome)
		a.streams.LeaveStdin() // also when the command was not started
	}()
	all := stepsOf(a.cfg)
	made, hit := a.reuseInstall(ctx)
	if hit {
		all = []step{commandStep(0, a.cfg)}
	}
	for i, s := range all {
		if s.kind == job.CommandStep {
			a.keepInstall(ctx, made)
		}
		if cause := a.stoppedBetween(ctx); cause != nil {
			a.background.start(ctx)
			return neverStarted(s, cause)
		}
		if i == 0 {
			if refused := a.confirmPermit(ctx, s); refused != nil {
				a.background.start(ctx)
				return *refused
			}
		}
		outcome = a.runStep(ctx, s, i == len(all)-1)
		if outcome.State != job.Succeeded {
			break
		}
	}
	return outcome
}

// stoppedBetween returns the cause of a stop that was asked for while no process ran; nil for
// none.
func (a *attempt) stoppedBetween(ctx context.Context) *job.StopCause {
	for !a.stop.Begun() {
		if e, ok := a.cfg.events.Poll(); ok {
			a.act(e)
			continue
		}
		select {
		case cause := <-a.stopRequests:
			a.stop.BeginFinal(cause, 0)
		case <-ctx.Done():
			a.stop.BeginFinal(job.StopCause{Reason: job.AgentStopped}, 0)
		default:
			return nil
		}
	}
	return a.stop.Cause()
}

// neverStarted returns the outcome of a stop that came before a step began.
func neverStarted(s step, cause *job.StopCause) job.Outcome {
	o := job.Classify(job.Ending{Step: s.name, Kind: s.kind, Stop: cause})
	o.ExitCode = nil
	return o
}

// runStep runs one step to its end. final is true when no further step follows after it
// if it succeeds.
func (a *attempt) runStep(ctx context.Context, s step, final bool) job.Outcome {
	a.current = s.index
	ending := job.Ending{Step: s.name, Kind: s.kind}
	limits := a.limitsOf(s)
	defer limits.stop()
	a.limits = limits
	proc, err := a.startStep(ctx, s, limits)
	a.background.start(ctx)
	if err != nil {
		a.limits = nil
		if errors.Is(err, errAbandoned) {
			ending.Alive, ending.Stop, ending.Unstopped = true, a.stop.Cause(), a.stop.Unstopped()
		} else {
			ending.StartErr = startError(err, s)
		}
		return a.endStep(s, ending)
	}
	a.running = proc
	a.passOnHeld()
	a.watch(ctx, proc, limits)
	a.running, a.limits = nil, nil
	a.streams.Release(s.index)
	if a.stop.Abandoned() {
		ending.Alive = true
	} else {
		exit := proc.Exit()
		a.meter.StepEnded(exit)
		ending.ExitCode, ending.Signal, ending.SignalNo, ending.Core = exit.Code, exit.Signal, exit.SignalNo, exit.Core
	}
	ending.OOM, ending.Stop = a.group.OOM(), a.stop.Cause()
	ending.Closed = a.streams.Closed(s.index)
	if final || ending.ExitCode != 0 || ending.Signal != "" || a.stop.Begun() {
		a.clearUp(ctx)
		a.drainAll()
	} else {
		a.drainStep(s)
	}
	ending.Unstopped = a.stop.UnstoppedOf(proc.PID())
	return a.endStep(s, ending)
}

func startError(err error, s step) *job.StartError {
	var se *job.StartError
	if errors.As(err, &se) {
		return se
	}
	return &job.StartError{Path: s.args[0], Text: err.Error()}
}

// watch waits for the step's process to end, and acts on whatever asks for a stop. It returns
// before that only when the process was abandoned.
func (a *attempt) watch(ctx context.Context, proc *process.Process, limits *limits) {
	now := time.Now()
	stalls := a.progress.Watch(now, a.activeTime(now))
	defer stalls.Stop()
	canceled := ctx.Done()
	for !a.stop.Abandoned() {
		select {
		case <-proc.Done(): // before anything else that is due: there is nothing to stop any more
			return
		default:
		}
		select {
		case <-proc.Done():
			return
		case e := <-a.cfg.events.Events():
			a.act(e)
		case cause := <-a.stopRequests:
			a.stop.BeginFinal(cause, 0)
		case <-canceled:
			canceled = nil
			a.stop.BeginFinal(job.StopCause{Reason: job.AgentStopped}, 0)
		case <-limits.timer.C:
			a.stop.Begin(limits.cause)
		case <-limits.silence.C:
			if left := a.silenceLeft(limits.begun); left > 0 {
				limits.silence.Reset(left)
			} else {
				a.stop.Begin(job.StopCause{Reason: job.NoOutput, Limit: a.cfg.NoOutputTimeout})
			}
		case <-stalls.C:
			a.checkProgress(stalls)
		case <-a.stop.GraceOver():
			a.stop.Kill()
		}
	}
}

// endStep writes the step's end.
func (a *attempt) endStep(s step, e job.Ending) job.Outcome {
	o := job.Classify(e)
	_ = a.rec.EndStep(time.Now(), journal.StepEnded{Index: s.index, Outcome: o}) // there is a reserve for it
	return o
}
