package ping

import (
	"reflect"
	"strconv"
	"time"

	"stint.dev/stint/job"
)

const (
	wireChecks = "healthchecks" // the name of the wire that Healthchecks speaks
	ridLabel   = "rid"
)

// callLog is a call with output that neither begins nor ends a run.
const callLog call = "log"

// signal is what a ping says.
type signal struct {
	call call
	code *int   // the exit code; nil if it is not known
	rid  string // identifies the run; empty for none
}

// maxCode is the highest exit code.
const maxCode = 255

// signalOf returns the signal of the last part of a path; an empty one is a success. ok is false for anything that is
// no signal, and valid is false for an exit code that is too high.
func signalOf(text string) (s signal, ok, valid bool) {
	switch text {
	case "":
		return signal{call: callCompleted}, true, true
	case "start":
		return signal{call: callStarted}, true, true
	case "fail":
		return signal{call: callFailed}, true, true
	case "log":
		return signal{call: callLog}, true, true
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return signal{}, false, true
		}
	}
	code, err := strconv.Atoi(text)
	switch {
	case err != nil || code > maxCode:
		return signal{}, true, false
	case code == 0:
		return signal{call: callCompleted, code: &code}, true, true
	}
	return signal{call: callFailed, code: &code}, true, true
}

// sameStart is how long after a start without a rid another one is taken for its repetition by a client that had no
// answer.
const sameStart = 10 * time.Second

// checkPlan is what a ping changes.
type checkPlan struct {
	endPrevious bool         // the last run with the rid ends first, because a new run begins
	begin       bool         // a new run begins
	output      bool         // the body is output of the new run, or else of the last
	end         *job.Outcome // the new run, or else the last, ends with this outcome; nil if it does not end
	pulse       bool         // the ping is counted only
}

// planCheck returns what a ping changes. last is the newest run of the job with the rid of the ping, and pulse says
// whether a success without a start is counted only.
func planCheck(s signal, last job.Run, pulse bool, now time.Time) checkPlan {
	unended, open := isUnended(last), isOpen(last, now)
	switch s.call {
	case callStarted:
		if open && (s.rid != "" || now.Sub(last.CreatedAt) < sameStart) {
			return checkPlan{} // it is repeated
		}
		return checkPlan{endPrevious: unended, begin: true, output: true}
	case callLog:
		return checkPlan{output: open}
	}
	o := checkOutcome(s, open)
	switch {
	case open:
		return checkPlan{output: true, end: &o}
	case s.rid != "" && hasEnded(last, o, now, returnStartedLimit):
		return checkPlan{} // the end is repeated
	case pulse && s.call == callCompleted:
		return checkPlan{pulse: true}
	case s.rid == "" && hasEnded(last, o, now, repeatLimit):
		return checkPlan{}
	}
	return checkPlan{endPrevious: unended, begin: true, output: true, end: &o}
}

// hasEnded reports whether a run has ended with the same state and exit code within the limit.
func hasEnded(run job.Run, o job.Outcome, now time.Time, limit time.Duration) bool {
	return run.ID != "" && !isUnended(run) && run.EndedAt != nil && now.Sub(*run.EndedAt) < limit &&
		run.Outcome.State == o.State && reflect.DeepEqual(run.Outcome.ExitCode, o.ExitCode)
}

// checkOutcome returns the outcome that a ping reports.
func checkOutcome(s signal, started bool) job.Outcome {
	o := job.Outcome{State: job.Succeeded, Reason: job.ExitCode, ExitCode: s.code, Step: "command", Message: "Reported as succeeded"}
	switch {
	case s.call == callFailed && s.code != nil:
		o.State, o.Message = job.Failed, "Reported with exit code "+strconv.Itoa(*s.code)
	case s.call == callFailed:
		o.State, o.Message = job.Failed, "Reported as failed, without an exit code"
	case s.code == nil:
		o.ExitCode = new(int)
	}
	if !started {
		o.Message += "; its start was not reported"
	}
	o.Message += "."
	return o
}

// checkLease returns the lease of a run that has reported its start. This wire has no heartbeats, so the run is
// overdue when the grace of its job is over, and lost after the same time again.
func checkLease(grace time.Duration) time.Duration { return 2 * grace }
