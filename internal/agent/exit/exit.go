// Package exit decides how the process of an agent ends: its exit code, and the signal that it dies of.
package exit

import (
	"cmp"
	"syscall"

	"stint.dev/stint/job"
)

// End is what decides, besides the outcome, how the process of the agent ends.
type End struct {
	Requested syscall.Signal // SIGINT or SIGTERM, if the stop began with one
	Sent      syscall.Signal // the last signal that the stop sent to the job; 0 for none
	Between   bool           // the stop came between two attempts
	Dropped   bool           // output that the caller was owed was dropped
	Init      bool           // the agent is the init of its container: signals do not end it
}

// Of returns the exit code of stint run, and the signal that the process is to die of; 0
// for none. The table is in docs/running.md.
func Of(o job.Outcome, e End) (code int, die syscall.Signal) {
	switch {
	case e.Requested != 0 && (e.Between || o.State == job.Canceled && o.ExitCode == nil):
		code, die = 128+int(e.Requested), e.Requested
	case e.Between:
		code = 128 + int(syscall.SIGTERM)
	case e.Requested == 0 && wasRequested(o.Reason):
		if code = jobExitCode(o); code == 0 {
			code = 128 + int(cmp.Or(e.Sent, syscall.SIGTERM))
		}
	default:
		code = o.ProcessExitCode()
	}
	if code == 0 && e.Dropped {
		code = NoWork
	}
	if e.Init {
		die = 0
	}
	return code, die
}

// ByTerminal is who outcomes say ended an attempt whose agent got SIGINT from its terminal.
const ByTerminal = "Ctrl-C"

// BySignal returns who outcomes say ended an attempt whose agent got a signal with this name from elsewhere.
func BySignal(name string) string { return "signal " + name }

// RequestedBy returns the signal to an agent that an outcome was caused by; 0 for none.
func RequestedBy(o job.Outcome) syscall.Signal {
	switch o.By {
	case ByTerminal, BySignal("SIGINT"):
		return syscall.SIGINT
	case BySignal("SIGTERM"):
		return syscall.SIGTERM
	}
	return 0
}

// wasRequested reports whether a person, a policy or a newer attempt ended an attempt.
func wasRequested(r job.Reason) bool {
	return r == job.ByCancel || r == job.Superseded || r == job.AgentStopped || r == job.Evicted
}

// NoWork is the exit code when the agent could not do its own work.
const NoWork = 125

// jobExitCode returns the exit code of the job's process as a shell reports it: 128 plus the
// signal that ended it. It returns 0 also when the process never started.
func jobExitCode(o job.Outcome) int {
	if o.ExitCode != nil {
		return *o.ExitCode
	}
	if o.SignalNumber > 0 {
		return 128 + o.SignalNumber
	}
	return 0
}
