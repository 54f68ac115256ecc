package agent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// stopping is the one path of every stop: a signal to the tree, the grace, the kill. All of
// it runs on the goroutine that supervises the attempt.
type stopping struct {
	cause *job.StopCause
	sig   syscall.Signal // the agent was asked to stop by this signal; 0 for another cause
	sent  syscall.Signal // the last signal sent to the job; 0 for none
	final bool           // a person or the server wants it: no further attempt begins by itself

	grace *time.Timer // fires when the grace is over, and from then on for each further kill
	over  time.Time   // when the grace is over; zero while none runs

	killed    time.Time           // when the job was killed first; zero before
	denied    *member.DeniedError // processes that this user may not signal; nil for none
	abandoned bool                // what did not die is not waited for any more
	unstopped string              // what was abandoned, and why; empty for nothing
}

func newStopping() *stopping {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &stopping{grace: t}
}

// shorten makes the grace end after d, unless it ends sooner.
func (s *stopping) shorten(d time.Duration) {
	over := time.Now().Add(d)
	if !s.over.IsZero() && s.over.Before(over) {
		return
	}
	s.over = over
	s.grace.Reset(d)
}

// begin starts stopping for a cause; sig is the signal that it came by, if it did. The first
// cause counts.
func (a *attempt) begin(cause job.StopCause, sig syscall.Signal) {
	if a.stop.cause != nil {
		return
	}
	a.stop.cause, a.stop.sig = &cause, sig
	_ = a.rec.Record(journal.TypeStopping, time.Now(), journal.Stopping{Reason: cause.Reason, By: cause.By, Why: why(cause)})
	a.explain(cause)
	a.stop.shorten(a.cfg.StopGrace)
	a.askToEnd()
}

// askToEnd sends the stop signal to every process of the job.
func (a *attempt) askToEnd() {
	a.stop.sent = cmp.Or(a.cfg.StopSignal, a.stop.sig, syscall.SIGTERM)
	if err := a.group.Signal(a.stop.sent); err != nil && !a.denied(err) {
		a.rec.Note(a.current, "the stop signal did not reach every process: "+err.Error())
	}
}

// denied reports whether an error is about processes that this user may not signal. It names
// them on stderr once, while a person can do something about it.
func (a *attempt) denied(err error) bool {
	var denied *member.DeniedError
	if !errors.As(err, &denied) {
		return false
	}
	if a.stop.denied == nil {
		var pids strings.Builder
		for _, p := range denied.Processes {
			fmt.Fprintf(&pids, " %d", p.PID)
		}
		a.cfg.Say("the job cannot be stopped: " + denied.Error() + "; stop it with: sudo kill" + pids.String())
	}
	a.stop.denied = denied
	return true
}

// unstopped returns what of a step whose process has ended the stop did not end, and why; empty
// if it ended everything. What this user may not signal has then ended by itself.
func (a *attempt) unstopped(pid int) string {
	if d := a.stop.denied; d != nil && slices.ContainsFunc(d.Processes, func(p member.Denied) bool { return p.PID == pid }) {
		return d.Error()
	}
	return a.stop.unstopped
}

func why(c job.StopCause) string {
	if c.Limit > 0 {
		return fmt.Sprintf("limit of %s", c.Limit)
	}
	return c.Why
}

// killAgainAfter is when a kill is repeated, against what was being made meanwhile.
const killAgainAfter = 5 * time.Second

// graceOver kills what has not ended. What lives on for killLimit is abandoned.
func (a *attempt) graceOver() {
	now := time.Now()
	again := !a.stop.killed.IsZero()
	if again && now.Sub(a.stop.killed) >= killLimit {
		a.abandon()
		return
	}
	if !again {
		a.stop.killed = now
	}
	a.stop.sent = syscall.SIGKILL
	if err := a.group.Kill(); err != nil {
		a.killFailed(err, again)
	}
	a.stop.grace.Reset(killAgainAfter)
}

// killFailed notes why a kill did not reach every process: for those that this user may not
// kill, once.
func (a *attempt) killFailed(err error, again bool) {
	if a.denied(err) {
		if again {
			return
		}
		err = a.stop.denied
	}
	a.rec.Note(a.current, "the kill did not reach every process: "+err.Error())
}

// abandon ends the wait for processes that did not die of the kill.
func (a *attempt) abandon() {
	a.stop.abandoned = true
	a.stop.grace.Stop()
	if a.stop.denied != nil { // reported when it was noticed
		a.stop.final, a.stop.unstopped = true, a.stop.denied.Error()
		return
	}
	members, err := a.group.Members()
	switch {
	case err != nil:
		a.giveUp("its processes cannot be listed: " + err.Error())
	case len(members) > 0:
		a.giveUp(member.NamesText(members) + " did not die of SIGKILL")
	}
}

// giveUp reports what could not be stopped. No further attempt begins beside it.
func (a *attempt) giveUp(what string) {
	a.stop.final, a.stop.unstopped = true, what
	a.cfg.Say("the job could not be stopped: " + what)
	a.rec.Note(a.current, "the job could not be stopped: "+what)
}

// act does what a signal to the agent asks for. Stop requests that follow the first shorten
// a stop for whatever cause.
func (a *attempt) act(e signals.Event) {
	switch e.Action {
	case signals.Begin:
		a.stop.final = true
		a.begin(signalCause(e.Signal, inForeground()), e.Signal)
	case signals.Hurry:
		a.cfg.Say("stopping: the job has another second before it is killed")
		a.stop.shorten(signals.HurriedGrace)
	case signals.Kill:
		a.stop.shorten(0)
	case signals.Abandon:
		a.abandon()
	case signals.Hangup:
		if a.hadTerminal && !haveTerminal() {
			a.rec.Note(-1, "the terminal of the agent was closed; the job goes on")
			return
		}
		a.passOn(e.Signal)
	case signals.PassOn, signals.Continue:
		a.passOn(e.Signal)
	case signals.Resize:
		if !a.streams.Resize(a.current) {
			a.passOn(e.Signal)
		}
	case signals.Suspend:
		a.suspend(e.Signal)
	}
}

// signalCause is what a signal asks for. SIGINT is what a terminal sends for Ctrl-C to the
// processes in its foreground; to others it comes from a program.
func signalCause(sig syscall.Signal, foreground bool) job.StopCause {
	switch {
	case sig == syscall.SIGINT && foreground:
		return job.StopCause{Reason: job.ByCancel, By: "Ctrl-C"}
	case sig == syscall.SIGINT:
		return job.StopCause{Reason: job.ByCancel, By: "signal SIGINT"}
	}
	return job.StopCause{Reason: job.AgentStopped, By: "signal " + unix.SignalName(sig)}
}

// passOn hands a signal to the step's own process, as it would have got it without an agent
// around it: to its children it would often mean their end. Before the first process it
// waits for that.
func (a *attempt) passOn(sig syscall.Signal) {
	if a.running == nil {
		if !a.cleared && len(a.held) < cap(a.held) {
			a.held = append(a.held, sig)
		}
		return
	}
	if err := a.running.Signal(sig); err != nil {
		a.rec.Note(a.current, "a signal could not be passed on: "+err.Error())
	}
}

// mostHeld bounds the signals that wait for a process.
const mostHeld = 16

// passOnHeld hands over the signals that came when no process ran.
func (a *attempt) passOnHeld() {
	held := a.held
	a.held = a.held[:0]
	for _, sig := range held {
		a.passOn(sig)
	}
}

// inForeground reports whether this process is in the foreground of its controlling terminal.
func inForeground() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// haveTerminal reports whether this process has a controlling terminal that still answers.
func haveTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// obey acts on what the server wants.
func (a *attempt) obey(cause job.StopCause) {
	a.stop.final = true
	a.begin(cause, 0)
}

// heard acts on the server's answer to a heartbeat. It runs on the heartbeat's goroutine.
func (a *attempt) heard(r job.HeartbeatReply) {
	if !a.watched.Swap(r.Watched) && r.Watched {
		a.rec.SendSoon() // what has been waiting is for who has just come
	}
	for _, c := range r.Commands {
		if c.Kind == "cancel" {
			a.ask(job.StopCause{Reason: job.ByCancel, By: c.By, Why: c.Why})
		}
	}
	if !r.Owner {
		a.ask(job.StopCause{Reason: job.Superseded})
	}
}

// ask brings a cause to the supervising goroutine. When one waits there already, this one
// is not needed.
func (a *attempt) ask(c job.StopCause) {
	select {
	case a.asked <- c:
	default:
	}
}
