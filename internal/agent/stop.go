package agent

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// impatient is what is left of the grace after a second wish to stop.
const impatient = time.Second

// stopping is the one path of every stop: a signal to the tree, the grace, the kill. All of
// it runs on the goroutine that supervises the attempt.
type stopping struct {
	cause  *job.StopCause
	sig    syscall.Signal // that the agent got; 0 if it was no signal
	wishes int
	kill   *time.Timer // fires when the grace is over
}

func newStopping() *stopping {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &stopping{kill: t}
}

// begin starts stopping for a cause. The first cause counts.
func (a *attempt) begin(cause job.StopCause) {
	if a.stop.cause != nil {
		return
	}
	a.stop.cause = &cause
	_ = a.rec.record(journal.TypeStopping, time.Now(), journal.Stopping{Reason: cause.Reason, By: cause.By, Why: why(cause)})
	a.explain(cause)
	a.stop.kill.Reset(a.cfg.StopGrace)
	if err := a.group.Signal(a.cfg.StopSignal); err != nil {
		a.rec.note(a.current, "the stop signal did not reach every process: "+err.Error())
	}
}

func why(c job.StopCause) string {
	if c.Limit > 0 {
		return fmt.Sprintf("limit of %s", c.Limit)
	}
	return c.Why
}

// graceOver kills what has not ended. The timer is set again: against what was being made
// meanwhile.
func (a *attempt) graceOver() {
	if err := a.group.Kill(); err != nil {
		a.rec.note(a.current, "the kill did not reach every process: "+err.Error())
	}
	a.stop.kill.Reset(5 * time.Second)
}

// signal acts on one signal that the agent received.
func (a *attempt) signal(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	switch sig {
	case syscall.SIGINT, syscall.SIGTERM:
		a.wish(sig)
	case syscall.SIGHUP:
		if a.hadTerminal && !haveTerminal() {
			a.rec.note(-1, "the terminal of the agent was closed; the job goes on")
			return
		}
		a.passOn(sig)
	case syscall.SIGUSR1, syscall.SIGUSR2:
		a.passOn(sig)
	case syscall.SIGWINCH:
		a.resized()
	}
}

// wish acts on SIGINT and SIGTERM: the first stops, the second shortens the grace, the
// third ends it.
func (a *attempt) wish(sig syscall.Signal) {
	a.stop.wishes++
	if a.stop.cause == nil {
		a.stop.sig = sig
		a.begin(signalCause(sig))
		return
	}
	if a.stop.wishes == 1 {
		return // it is being stopped already, for another cause
	}
	if a.stop.wishes == 2 {
		a.cfg.Say("stopping: the job has another second before it is killed")
		a.stop.kill.Reset(min(impatient, a.cfg.StopGrace))
		return
	}
	a.stop.kill.Reset(0)
}

func signalCause(sig syscall.Signal) job.StopCause {
	if sig == syscall.SIGINT {
		return job.StopCause{Reason: job.ByCancel, By: "Ctrl-C"}
	}
	return job.StopCause{Reason: job.AgentStopped, By: "signal " + unix.SignalName(sig)}
}

// passOn hands a signal to the step's own process, as it would have got it without an agent
// around it: to its children it would often mean their end.
func (a *attempt) passOn(sig syscall.Signal) {
	if a.running == nil {
		return
	}
	if err := a.running.Signal(sig); err != nil {
		a.rec.note(a.current, "a signal could not be passed on: "+err.Error())
	}
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

// heard acts on the server's answer to a heartbeat. It runs on the heartbeat's goroutine.
func (a *attempt) heard(r job.HeartbeatReply) {
	if !a.watched.Swap(r.Watched) && r.Watched {
		poke(a.rec.urgent) // what has been waiting is for who has just come
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
