package agent

import (
	"time"

	"stint.dev/stint/internal/agent/progress"
	"stint.dev/stint/job"
)

// checkProgress stops the attempt when there was no progress for too long.
func (a *attempt) checkProgress(w *progress.Watch) {
	if a.stop.Begun() {
		return
	}
	now := time.Now()
	if v := w.Check(now, a.activeTime(now)); v.Stalled {
		a.stop.Begin(job.StopCause{Reason: job.NoProgress, Limit: a.cfg.NoProgressTimeout, Why: v.Why})
	}
}

// limits are a step's limits on its time, and on the time without output.
type limits struct {
	begun    time.Time
	deadline time.Time
	timer    *time.Timer   // fires at the deadline
	cause    job.StopCause // of a stop at the deadline
	silence  *time.Timer
}

// limitsOf starts the timers of a step. The install steps share one time limit.
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

// begin sets the deadline to a time after the beginning, and the cause of a stop then.
func (l *limits) begin(left time.Duration, cause job.StopCause) {
	l.deadline, l.timer, l.cause = l.begun.Add(left), time.NewTimer(left), cause
}

// stopIfDue begins the stop of the step that runs if its time is over.
func (a *attempt) stopIfDue(now time.Time) {
	if l := a.limits; l != nil && !now.Before(l.deadline) {
		a.stop.Begin(l.cause)
	}
}

func (l *limits) stop() {
	l.timer.Stop()
	l.silence.Stop()
}

// orNever returns d, or for 0 a duration that never ends.
func orNever(d time.Duration) time.Duration {
	if d <= 0 {
		return 200 * 365 * 24 * time.Hour
	}
	return d
}

// silenceLeft returns how much of the allowed time without output is left.
func (a *attempt) silenceLeft(begun time.Time) time.Duration {
	last := begun
	if at := a.rec.OutputAt(); at.After(begun) {
		last = at
	}
	return a.cfg.NoOutputTimeout - time.Since(last) + a.suspendedSince(last)
}
