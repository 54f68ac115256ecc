// Package agent supervises one attempt: it runs the steps, has the journal written and
// delivered, and stops the job when that is asked for.
//
// The job comes first. It starts before anything is sent to the server; its output goes into
// the journal, and its readers (the server, the caller's own stdout) read at their own pace. An
// attempt of a submitted run asks the server for a permit first: see Submitted.
//
// The end of an attempt has an order, and each wait in it is bounded. These are the lines of
// Run:
//
//  1. the steps run, until the command's process ends, or a step before it fails
//  2. what it left behind is listed, asked to end, killed
//  3. the pipes are drained, and the last message of the job about its progress is taken
//  4. the last sample is taken
//  5. the outcome is written: the journal is whole
//  6. containment is removed, beside what follows
//  7. output is passed on to its end: its readers take it, go away, or a signal ends the wait
//  8. the journal is delivered, within the flush timeout; so is the end to --report-to
//  9. heartbeats end, and so does the delivery of journals that others left behind
//  10. the journal is removed from the spool, or kept where it waits, and the watcher, which
//     would have delivered it if the agent had died meanwhile, is dismissed
package agent

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/exit"
	"stint.dev/stint/internal/agent/measure"
	"stint.dev/stint/internal/agent/permit"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/progress"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/stdio"
	"stint.dev/stint/internal/agent/stop"
	"stint.dev/stint/job"
)

// attempt is everything that lives as long as the attempt does. Its fields belong to the
// supervising goroutine unless they say otherwise.
type attempt struct {
	cfg   Config
	begun time.Time
	env   []string // of the steps

	spool      *spool.Spool     // nil when there is none
	rec        *record.Recorder // safe for all
	passer     *record.Passer   // nil when output is not passed on
	group      *process.Group
	meter      *measure.Meter // safe for all
	disk       measure.Disk   // of the goroutine that sends heartbeats
	cores      *record.Cores
	streams    *stdio.Streams
	progress   *progress.Progress
	permit     *permit.Permit // of a submitted run; nil for one that was started by hand
	stop       *stop.Stop
	background *background

	stopRequests chan job.StopCause        // from the heartbeats; cap 1
	watched      atomic.Bool               // a client follows the run live
	retryUntil   atomic.Pointer[time.Time] // until when another attempt may come; nil while this one goes on

	current       int              // index of the step that runs; -1 before the first
	running       *process.Process // the step's process while it is watched
	limits        *limits          // of the step that is started or runs; nil without one
	heldSignals   []syscall.Signal // to be passed on to the next process; see passOn
	hadTerminal   bool             // this process had a controlling terminal at the start
	suspensions   []interval       // of agent and job
	continueBy    time.Time        // until then a SIGCONT belongs to the last one; zero for none
	notesRecorded int              // how many notes of the group are recorded
	clearedUp     bool             // clearUp was done
	leftRunning   bool             // what the command left behind lives on, on purpose
}

// Run supervises one attempt to its end. It returns when the job's fate is known, its
// output passed on, and delivery done or given up; the journal then waits in the spool.
func Run(ctx context.Context, c Config) Result {
	c, endEvents := c.withDefaults().withEvents()
	defer endEvents()
	a := newAttempt(c)
	if err := a.prepare(ctx); err != nil {
		return Result{ExitCode: exit.NoWork, Err: err}
	}
	defer func() { a.streams.CloseKeyboard() }() // gives the caller's terminal back
	outcome := a.runSteps(ctx)
	a.clearUp(ctx)
	a.endOutput()
	a.lastSample()
	e := a.finish(outcome)
	e.release()
	e.passOutputOn()
	e.deliver()
	e.stopBackground()
	return e.conclude()
}

func newAttempt(c Config) *attempt {
	return &attempt{
		cfg: c, begun: time.Now(), cores: record.NewCores(c.Cores), current: -1,
		stopRequests: make(chan job.StopCause, 1), heldSignals: make([]syscall.Signal, 0, maxHeldSignals),
	}
}
