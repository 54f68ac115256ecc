// Package agent supervises one attempt: it runs the steps, keeps the journal, brings it to
// the server, beats, and stops the job when it is told to.
//
// The job comes first. It starts before anything is said to the network; its output goes
// into the journal, and everybody who wants it (the server, the caller's own stdout) reads
// the journal at their own pace.
//
// The end of an attempt has an order, and each wait in it is bounded:
//
//  1. the command's process ends
//  2. what it left behind is listed, asked to end, killed
//  3. the pipes are drained, and the job's last word about its progress is taken
//  4. the last sample is taken
//  5. the outcome is written: the journal is whole
//  6. containment is given back, beside what follows
//  7. output is passed on to its end: its readers take it, go away, or a signal ends the wait
//  8. the journal is delivered, within the flush timeout; the two-call wire is told
//  9. heartbeats end, and so does the delivery of journals that others left behind
//  10. the journal is removed from the spool, or kept where it waits, and the watcher, which
//     would have delivered it if the agent had died meanwhile, is dismissed
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/install"
	"stint.dev/stint/internal/agent/measure"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/progress"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/stdio"
	"stint.dev/stint/internal/agent/stop"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// attempt is everything that lives as long as the attempt does. Its fields belong to the
// supervising goroutine unless they say otherwise.
type attempt struct {
	cfg   Config
	begun time.Time
	spool *spool.Spool     // nil when there is none
	rec   *record.Recorder // safe for all
	group *process.Group
	meter *measure.Meter // safe for all
	env   []string

	hadTerminal  bool
	stop         *stop.Stop
	stopRequests chan job.StopCause // from the heartbeats; cap 1
	watched      atomic.Bool
	nextBy       atomic.Pointer[time.Time] // until when another attempt may come; nil while this one goes on

	running  *process.Process // the step's process while it is watched
	limits   *limits          // of the step that is started or runs; nil without one
	current  int              // index of the step that runs; -1 before the first
	streams  *stdio.Streams
	held     []syscall.Signal // to be passed on to the next process; see passOn
	passer   *record.Passer   // nil when output is not passed on
	rests    []interval       // in which agent and job were suspended
	cleared  bool             // clearUp was done
	kept     bool             // what the command left behind lives on, on purpose
	told     int              // notes of the group that are recorded
	back     *background
	progress *progress.Progress
	disk     measure.Disk // of the goroutine that sends heartbeats
	cores    *record.Cores
}

// Run supervises one attempt to its end. It returns when the job's fate is known, its
// output passed on, and delivery done or given up; the journal then waits in the spool.
func Run(ctx context.Context, c Config) Result {
	c, endEvents := c.withDefaults().withEvents()
	defer endEvents()
	a := &attempt{
		cfg: c, begun: time.Now(),
		stopRequests: make(chan job.StopCause, 1), current: -1, held: make([]syscall.Signal, 0, mostHeld),
		cores: record.NewCores(c.Cores),
	}
	opening := a.openJournal()
	secrets, masked := environment.Secrets(c.environment())
	if secrets != nil {
		c.MaskMessages(secrets.String)
	}
	a.env = environment.Of(c.environment())
	if err := a.prepare(secrets, opening); err != nil {
		return Result{ExitCode: exitNoWork, Err: err}
	}
	for _, text := range slices.Concat(c.Notes, masked) {
		a.rec.Note(-1, text)
	}
	a.hadTerminal = haveTerminal()
	defer func() { a.streams.CloseKeyboard() }() // gives the caller's terminal back
	outcome := a.rec.MaskedOutcome(a.steps(ctx))
	a.streams.LeaveStdin() // also when the command was not started
	if !a.cleared {
		a.clearUp(ctx)
	}
	a.drainAll()
	a.progress.Close()
	a.meter.Stop()
	a.meter.Sample()
	a.tellNotes()
	if at := c.retryAt(outcome, time.Now()); !at.IsZero() && !a.stop.Final() {
		outcome.RetryAt = &at
	}
	c.events.JobEnded(true) // before anybody can see the end, and act on it
	if err := a.rec.Finish(time.Now(), journal.Final{Outcome: outcome, Usage: a.meter.Usage()}); err != nil {
		c.Say("the outcome could not be written to the journal: " + err.Error())
	}
	if by := c.nextBy(outcome, time.Now()); !by.IsZero() {
		a.nextBy.Store(&by)
	}
	result := Result{Outcome: outcome, Dropped: c.droppedBefore}
	var released sync.WaitGroup
	released.Go(a.release) // while the journal is on its way
	delivered := a.back.finish(outcome, &result)
	c.events.JobEnded(false)
	result.Complete, result.WaitsAt = a.ended().Conclude(delivered)
	result.stopped = len(a.stopRequests) > 0
	released.Wait()
	a.group.Dismiss()
	requested, sent := a.stop.Signals()
	result.ExitCode, result.Signal = exitOf(outcome, processEnd{
		requested: requested, sent: sent, dropped: result.Dropped, init: os.Getpid() == 1,
	})
	return result
}

// ended is the journal of the attempt, at its end.
func (a *attempt) ended() delivery.Ended {
	c := a.cfg
	return delivery.Ended{
		Run: c.Run, Journal: a.rec.Journal(), Link: c.link, Print: c.Say,
		NoServer: c.Server == nil, Discard: c.ReportTo != nil, // the caller chose the other protocol alone
	}
}

// release gives back what contained the job.
func (a *attempt) release() {
	a.meter.Close()
	if err := a.group.Close(); err != nil {
		a.cfg.Say("giving back what contained the job: " + err.Error())
	}
}

// openJournal begins to open the attempt's journal.
func (a *attempt) openJournal() *record.Opening {
	c := a.cfg
	return record.Open(record.OpenConfig{
		StateDir: c.StateDir, Limits: spool.Limits{Unsent: c.SpoolLimit},
		Meta:  spool.Meta{Run: c.Run, Attempt: c.Attempt, Job: c.Job, Server: c.ServerURL, PID: os.Getpid(), Host: c.host()},
		Claim: func(s *spool.Spool) error { return c.claim.take(s, c) },
	})
}

// prepare makes the containment and, with the journal that is being opened, writes who this
// is. Its errors are those before which no job should start.
func (a *attempt) prepare(secrets *redact.Set, opening *record.Opening) error {
	group, err := process.Contain(process.Options{
		Run: a.cfg.Run, Attempt: a.cfg.Attempt, MemoryLimitBytes: a.cfg.MemoryLimit, CPULimit: a.cfg.CPULimit,
		MemoryLimitName: a.cfg.MemoryLimitName, CPULimitName: a.cfg.CPULimitName,
		OOMScoreAdj: a.cfg.OOMScoreAdj, AtMost: a.cfg.Containment, BeforeFork: a.cfg.BeforeFork,
		Finish: a.cfg.Finish,
	})
	o := opening.Await()
	j := o.Journal
	if o.Err != nil {
		if group != nil {
			o.Err = errors.Join(o.Err, group.Close())
		}
		return o.Err
	}
	if err != nil {
		return errors.Join(err, j.Remove())
	}
	a.group, a.spool = group, o.Spool
	a.rec = record.New(record.Config{
		Journal: j, Secrets: secrets, SendAtOnce: delivery.SendAtOnce, Say: a.cfg.Say, InMemory: a.cfg.StateDir == "",
	})
	if a.cfg.passing() {
		a.passer = a.rec.PassOn(record.Caller{
			Stdout: a.cfg.Stdout, Stderr: a.cfg.Stderr, Limit: a.cfg.SpoolLimit, IgnoreClosed: a.cfg.IgnoreClosedOutput,
		})
	}
	a.stop = a.newStop()
	a.streams = stdio.New(stdio.Config{
		Stdin: a.cfg.Stdin, Stdout: a.cfg.Stdout, Stderr: a.cfg.Stderr, TTY: a.cfg.TTY, TypeStdin: a.cfg.TypeStdin,
		Merge: a.cfg.MergeOutput, KeepStdin: a.cfg.Retry.Possible(),
	}, a.rec, a.passer, a.cores)
	a.rec.Start() // from here on no disk that does not answer holds up the job
	a.meter = measure.New(a.rec)
	a.back = &background{a: a}
	if err := a.identify(); err != nil {
		return errors.Join(err, a.group.Close(), j.Remove())
	}
	// From here on the run is known, whenever the agent is killed.
	j.AwaitWritten(record.OpenLimit - time.Since(a.begun))
	a.tellNotes()
	a.reportUnenforced()
	if a.cfg.StateDir != "" && j.Path() == "" {
		a.rec.Note(-1, "the journal is held in memory, because the spool cannot be used: "+j.DiskError().Error())
	}
	a.progress, a.env = progress.Start(progress.Config{
		Recorder: a.rec, Group: a.group, Dir: j.Path(), Env: a.env, Limit: a.cfg.NoProgressTimeout,
	})
	return nil
}

// tellNotes records what containment has had to say since the last time.
func (a *attempt) tellNotes() {
	notes := a.group.Notes()
	for _, text := range notes[a.told:] {
		a.rec.Note(-1, text)
	}
	a.told = len(notes)
}

// reportUnenforced says on stderr which limits do not hold, unless that was reported.
func (a *attempt) reportUnenforced() {
	if text := a.group.Unenforced(); text != "" && text != *a.cfg.unenforced {
		*a.cfg.unenforced = text
		a.cfg.Say(text + "; the job runs all the same (stint doctor says what it would need)")
	}
}

// identify writes the first record.
func (a *attempt) identify() error {
	c := a.cfg
	id := journal.Attempt{
		Run: c.Run, Attempt: c.Attempt, Job: c.Job, Args: c.Args, Install: c.Install, Dir: c.DirPath,
		Labels: c.Labels, EnvNames: c.EnvNames, Host: c.Host, BootID: c.BootID,
		AgentPID: os.Getpid(), AgentVersion: c.Version, Containment: a.group.Level(),
		HeartbeatPeriodMS: c.beatPeriod().Milliseconds(), TimeoutMS: c.Timeout.Milliseconds(),
		InstallTimeoutMS: c.InstallTimeout.Milliseconds(), NoOutputTimeoutMS: c.NoOutputTimeout.Milliseconds(),
		NoProgressTimeoutMS: c.NoProgressTimeout.Milliseconds(),
		MemoryLimitBytes:    c.MemoryLimit, CPULimit: c.CPULimit, ExpectMS: c.Expect.Milliseconds(),
		Environment: environment.Names(a.env), LockFiles: install.LockFiles(c.Dir, c.Install, c.InstallCache),
	}
	if err := a.rec.Record(journal.TypeAttempt, a.begun, id); err == nil {
		return nil
	}
	// Only a command line longer than a record can be the reason: its beginning is enough.
	id.Args, id.Install = []string{shorten(job.CommandLine(a.rec.Secrets().Strings(c.Args)))}, nil
	if err := a.rec.Record(journal.TypeAttempt, a.begun, id); err != nil {
		return fmt.Errorf("describe the run in its journal: %w", err)
	}
	a.rec.Note(-1, "the command line and the install steps are too long for the journal and were shortened in it")
	return nil
}

// steps runs the steps in order and returns the outcome of the one that decides.
func (a *attempt) steps(ctx context.Context) job.Outcome {
	var outcome job.Outcome
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
			a.back.start(ctx)
			return neverStarted(s, cause)
		}
		outcome = a.runStep(ctx, s, i == len(all)-1)
		if outcome.State != job.Succeeded {
			break
		}
	}
	return outcome
}

// stoppedBetween looks for a wish to stop that came while no process ran.
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

// neverStarted is the outcome of a stop before a step began.
func neverStarted(s step, cause *job.StopCause) job.Outcome {
	o := job.Classify(job.Ending{Step: s.name, Kind: s.kind, Stop: cause})
	o.ExitCode = nil
	return o
}
