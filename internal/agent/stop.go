package agent

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/exit"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/agent/stdio"
	"stint.dev/stint/internal/agent/stop"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// newStop prepares the stop of the attempt.
func (a *attempt) newStop() *stop.Stop {
	return stop.New(stop.Config{
		Group: a.group, Signal: a.cfg.StopSignal, Grace: a.cfg.StopGrace, QuitFirst: a.cfg.QuitFirst,
		Began: func(cause job.StopCause) {
			why := cause.Why
			if cause.Limit > 0 {
				why = fmt.Sprintf("limit of %s", cause.Limit)
			}
			// There is a reserve for it.
			_ = a.rec.Record(journal.TypeStopping, time.Now(), journal.Stopping{Reason: cause.Reason, By: cause.By, Why: why})
		},
		Processes: func(n journal.Note) { a.rec.NoteProcesses(a.current, n) },
		Note:      func(text string) { a.rec.Note(a.current, text) }, Print: a.cfg.Print,
	})
}

// act does what a signal to the agent asks for. Stop requests that follow the first shorten
// a stop for whatever cause.
func (a *attempt) act(e signals.Event) {
	switch e.Action {
	case signals.Begin:
		cause := signalCause(e.Signal, stdio.InForeground())
		if a.permit != nil { // it is no person's: its worker or its host ends
			cause.Reason = job.Evicted
		}
		a.stop.BeginFinal(cause, e.Signal)
	case signals.Shorten:
		a.cfg.Print("stopping: the job has another second before it is killed")
		a.stop.Shorten(signals.ShortGrace)
	case signals.Kill:
		a.stop.Shorten(0)
	case signals.Abandon:
		a.stop.Abandon()
	case signals.Hangup:
		if a.hadTerminal && !stdio.HasTerminal() {
			a.rec.Note(-1, "the terminal of the agent was closed; the job goes on")
			return
		}
		a.passOn(e.Signal)
	case signals.Continue:
		if !a.isLateContinue(time.Now()) {
			a.passOn(e.Signal)
		}
	case signals.PassOn:
		a.passOn(e.Signal)
	case signals.Resize:
		if !a.streams.Resize(a.current) {
			a.passOn(e.Signal)
		}
	case signals.Suspend:
		a.suspend(e.Signal)
	}
}

// signalCause returns the cause of a stop that a signal requests. SIGINT is what a terminal sends for Ctrl-C to the
// processes in its foreground; to others it comes from a program.
func signalCause(sig syscall.Signal, foreground bool) job.StopCause {
	switch {
	case sig == syscall.SIGINT && foreground:
		return job.StopCause{Reason: job.ByCancel, By: exit.ByTerminal}
	case sig == syscall.SIGINT:
		return job.StopCause{Reason: job.ByCancel, By: exit.BySignal("SIGINT")}
	}
	return job.StopCause{Reason: job.AgentStopped, By: exit.BySignal(unix.SignalName(sig))}
}

// passOn hands a signal to the step's own process, as it would have got it without an agent
// around it: to its children it would often mean their end. Before the first process it
// waits for that.
func (a *attempt) passOn(sig syscall.Signal) {
	if a.running == nil {
		if !a.clearedUp && len(a.heldSignals) < cap(a.heldSignals) {
			a.heldSignals = append(a.heldSignals, sig)
		}
		return
	}
	if err := a.running.Signal(sig); err != nil {
		a.rec.Note(a.current, "a signal could not be passed on: "+err.Error())
	}
}

// maxHeldSignals bounds the signals that wait for a process.
const maxHeldSignals = 16

// passOnHeld hands over the signals that came when no process ran.
func (a *attempt) passOnHeld() {
	held := a.heldSignals
	a.heldSignals = a.heldSignals[:0]
	for _, sig := range held {
		a.passOn(sig)
	}
}

// onReply acts on the server's reply to a heartbeat. It runs on the heartbeat's goroutine.
func (a *attempt) onReply(r job.HeartbeatReply) {
	if !a.watched.Swap(r.Watched) && r.Watched {
		a.rec.SendSoon() // somebody has just begun to follow the log
	}
	for _, c := range r.Commands {
		if c.Kind == "cancel" {
			a.requestStop(job.StopCause{Reason: job.ByCancel, By: c.By, Why: c.Why})
		}
	}
	if !r.Owner {
		a.requestStop(job.StopCause{Reason: job.Superseded})
	}
}

// requestStop hands a cause to the supervising goroutine. When one waits there already, this one
// is not needed.
func (a *attempt) requestStop(c job.StopCause) {
	select {
	case a.stopRequests <- c:
	default:
	}
}
