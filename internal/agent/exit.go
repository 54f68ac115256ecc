package agent

import (
	"cmp"
	"syscall"

	"stint.dev/stint/job"
)

// processEnd is what decides, besides the outcome, how the process of the agent ends.
type processEnd struct {
	requested syscall.Signal // SIGINT or SIGTERM, if the stop began with one
	sent      syscall.Signal // the last signal that the stop sent to the job; 0 for none
	between   bool           // the stop came between two attempts
	dropped   bool           // output that the caller was owed was dropped
	init      bool           // the agent is the init of its container: signals do not end it
}

// exitOf returns the exit code of stint run, and the signal that the process is to die of; 0
// for none. The table is in docs/running.md.
func exitOf(o job.Outcome, e processEnd) (code int, die syscall.Signal) {
	switch {
	case e.requested != 0 && (e.between || o.State == job.Canceled && o.ExitCode == nil):
		code, die = 128+int(e.requested), e.requested
	case e.between:
		code = 128 + int(syscall.SIGTERM)
	case e.requested == 0 && askedFor(o.Reason):
		if code = ownCode(o); code == 0 {
			code = 128 + int(cmp.Or(e.sent, syscall.SIGTERM))
		}
	default:
		code = o.ProcessExitCode()
	}
	if code == 0 && e.dropped {
		code = exitNoWork
	}
	if e.init {
		die = 0
	}
	return code, die
}

// askedFor reports whether a person, a policy or a newer attempt ended an attempt.
func askedFor(r job.Reason) bool {
	return r == job.ByCancel || r == job.Superseded || r == job.AgentStopped || r == job.Evicted
}

// exitNoWork is the exit code when the agent could not do its own work.
const exitNoWork = 125

// ownCode is what the job's process ended with, as a shell writes it; 0 also when it never
// began.
func ownCode(o job.Outcome) int {
	if o.ExitCode != nil {
		return *o.ExitCode
	}
	if o.SignalNumber > 0 {
		return 128 + o.SignalNumber
	}
	return 0
}
