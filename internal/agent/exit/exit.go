package agent

import (
	"cmp"
	"syscall"

	"stint.dev/stint/job"
)

// processEnd holds what decides, besides the outcome, how the process of the agent ends.
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
	case e.requested == 0 && wasRequested(o.Reason):
		if code = jobExitCode(o); code == 0 {
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

// wasRequested reports whether a person, a policy or a newer attempt ended an attempt.
func wasRequested(r job.Reason) bool {
	return r == job.ByCancel || r == job.Superseded || r == job.AgentStopped || r == job.Evicted
}

// exitNoWork is the exit code when the agent could not do its own work.
const exitNoWork = 125

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
