package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/progress"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// settle is how long what is just ending may take before it counts as left over.
	settle = 100 * time.Millisecond
	// drainLimit bounds the reading of pipes that nobody of the attempt holds any more.
	drainLimit = 5 * time.Second
	// heldLimit is the same for a step after which others follow, while what it left
	// behind still runs.
	heldLimit = 250 * time.Millisecond
	// mostCommand bounds a command line in a record.
	mostCommand = 64 << 10
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

func shorten(s string) string {
	if len(s) <= mostCommand {
		return s
	}
	return strings.ToValidUTF8(s[:mostCommand], "") + " …"
}

// shownCommand is a step's command line in the journal. It is masked before it is quoted
// and cut, which could leave a part of a value that nobody recognises.
func shownCommand(secrets *redact.Set, s step) string {
	if s.kind == job.InstallStep {
		return shorten(secrets.String(s.args[len(s.args)-1])) // sh -c COMMAND
	}
	return shorten(job.CommandLine(secrets.Strings(s.args)))
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
	a.back.start(ctx)
	if err != nil {
		a.limits = nil
		if errors.Is(err, errAbandoned) {
			ending.Alive, ending.Stop, ending.Unstopped = true, a.stop.Cause(), a.stop.Unstopped()
		} else {
			ending.StartErr = startError(err, s)
		}
		return a.stepOver(s, ending)
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
	return a.stepOver(s, ending)
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
	stalls := a.progress.Watch(now, a.working(now))
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
		case <-limits.time.C:
			a.stop.Begin(limits.cause)
		case <-limits.silence.C:
			if left := a.silentFor(limits.begun); left > 0 {
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

// checkProgress stops the attempt when there was no progress for too long.
func (a *attempt) checkProgress(w *progress.Watch) {
	if a.stop.Begun() {
		return
	}
	now := time.Now()
	if v := w.Check(now, a.working(now)); v.Stalled {
		a.stop.Begin(job.StopCause{Reason: job.NoProgress, Limit: a.cfg.NoProgressTimeout, Why: v.Why})
	}
}

// limits are a step's limits on time and silence.
type limits struct {
	begun   time.Time
	over    time.Time // when time is over
	time    *time.Timer
	cause   job.StopCause // of a stop when time is over
	silence *time.Timer
}

// limitsOf begins to count. The install steps share their time.
func (a *attempt) limitsOf(s step) *limits {
	l := &limits{begun: time.Now(), silence: time.NewTimer(orNever(a.cfg.NoOutputTimeout))}
	if s.kind == job.CommandStep {
		l.begin(orNever(a.cfg.Timeout), job.StopCause{Reason: job.Timeout, Limit: a.cfg.Timeout})
		return l
	}
	left := orNever(a.cfg.InstallTimeout) - l.begun.Sub(a.begun)
	l.begin(max(0, left), job.StopCause{Reason: job.InstallTimeout, Limit: a.cfg.InstallTimeout})
	return l
}

// begin makes time end after left, which is the cause of a stop then.
func (l *limits) begin(left time.Duration, cause job.StopCause) {
	l.over, l.time, l.cause = l.begun.Add(left), time.NewTimer(left), cause
}

// beginDue begins the stop of the step that runs if its time is over.
func (a *attempt) beginDue(now time.Time) {
	if l := a.limits; l != nil && !now.Before(l.over) {
		a.stop.Begin(l.cause)
	}
}

func (l *limits) stop() {
	l.time.Stop()
	l.silence.Stop()
}

// orNever makes a limit of 0 one that never comes.
func orNever(d time.Duration) time.Duration {
	if d <= 0 {
		return 200 * 365 * 24 * time.Hour
	}
	return d
}

// silentFor is how much of the allowed silence is left.
func (a *attempt) silentFor(begun time.Time) time.Duration {
	last := begun
	if at := a.rec.OutputAt(); at.After(begun) {
		last = at
	}
	return a.cfg.NoOutputTimeout - time.Since(last) + a.rested(last)
}

// clearUp ends whatever still lives of the attempt: list it, ask it, kill it.
func (a *attempt) clearUp(ctx context.Context) {
	a.cleared = true
	if a.stop.Abandoned() || a.group.IsEmpty() || a.emptied(ctx, settle) {
		return
	}
	members, err := a.group.Members()
	if err == nil && len(members) == 0 {
		return
	}
	if a.cfg.KeepBackground && !a.stop.Begun() {
		a.keep(members)
		return
	}
	if err == nil && !a.stop.Begun() {
		a.rec.Note(a.current, member.LeftText(members))
	}
	a.stop.AskLeftOver()
	for !a.emptied(ctx, 0) {
		if a.stop.Abandoned() {
			return
		}
		a.stop.Kill()
	}
	a.stop.EndGrace()
}

// emptied waits until no process of the attempt lives: for a time, or, when it is 0, until
// the grace is over, or what lives is abandoned. It goes on acting on signals.
func (a *attempt) emptied(ctx context.Context, atMost time.Duration) bool {
	waitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	result := make(chan error, 1)
	go func() { result <- a.group.Empty(waitCtx) }()
	over := a.stop.GraceOver()
	if atMost > 0 {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		over = timer.C
	}
	defer cancel()
	for {
		if a.stop.Abandoned() {
			return false
		}
		select {
		case err := <-result:
			return err == nil
		case e := <-a.cfg.events.Events():
			a.act(e)
		case cause := <-a.stopRequests:
			a.stop.BeginFinal(cause, 0)
		case <-over:
			cancel()
			return <-result == nil
		}
	}
}

// drainStep lets the pipes of a step run dry. What the step left behind may go on
// printing: its pipes stay open until the attempt ends.
func (a *attempt) drainStep(s step) {
	limit := drainLimit
	if members, err := a.group.Members(); err == nil && len(members) > 0 {
		limit = heldLimit
	}
	a.streams.DrainStep(s.index, limit)
}

// drainAll reads every pipe to its end, but not longer than a limit.
func (a *attempt) drainAll() {
	limit := drainLimit
	if a.kept || a.stop.Abandoned() {
		limit = heldLimit
	}
	a.streams.DrainAll(limit, a.holder())
}

// stepOver writes the step's end.
func (a *attempt) stepOver(s step, e job.Ending) job.Outcome {
	o := job.Classify(e)
	_ = a.rec.EndStep(time.Now(), journal.StepEnded{Index: s.index, Outcome: o}) // there is a reserve for it
	return o
}
