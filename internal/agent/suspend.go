package agent

import (
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/agent/suspend"
)

// lateContinueLimit is how long after a suspension the event of the SIGCONT that ended it may come.
const lateContinueLimit = 2 * time.Second

// interval is a time in which the agent and the job were suspended.
type interval struct{ from, to time.Time }

// suspend stops the job and the agent, as sig (SIGTSTP, SIGTTIN or SIGTTOU) requests, until a
// SIGCONT comes; then it continues the job.
func (a *attempt) suspend(sig syscall.Signal) {
	if a.cfg.SuspendSelf == nil {
		return
	}
	suspended := interval{from: time.Now()}
	if err := a.group.Suspend(); err != nil {
		a.rec.Note(a.current, err.Error())
	}
	typing := a.streams.PauseTyping() && a.running != nil
	missed, continued := a.cfg.suspendAgent(sig, a.background.suspender)
	// A job that is continued before what is due may end by itself first.
	for _, e := range missed {
		a.act(e)
	}
	a.stopIfDue(time.Now()) // time limits go on
	if err := a.group.Resume(); err != nil {
		a.rec.Note(a.current, err.Error())
	}
	if typing {
		a.streams.ResumeTyping(a.current)
	}
	suspended.to = time.Now()
	if a.continueBy = suspended.to; !continued {
		a.continueBy = suspended.to.Add(lateContinueLimit)
	}
	a.suspensions = append(a.suspensions, suspended)
}

// suspendAgent suspends the process of the agent: see suspend.Until.
func (c Config) suspendAgent(sig syscall.Signal, beats delivery.Suspender) (missed []signals.Event, continued bool) {
	if c.SuspendSelf == nil {
		return nil, true
	}
	return suspend.Until(suspend.Config{Events: c.events, Stop: c.SuspendSelf, Link: c.link, Heartbeats: beats}, sig)
}

// suspendedSince returns for how much of the time since then agent and job were suspended.
func (a *attempt) suspendedSince(since time.Time) (sum time.Duration) {
	for _, r := range a.suspensions {
		if r.from.Before(since) {
			r.from = since
		}
		sum += max(0, r.to.Sub(r.from))
	}
	return sum
}

// activeTime returns now without the time in which the agent was suspended, for comparisons with
// other times of the same kind.
func (a *attempt) activeTime(now time.Time) time.Time { return now.Add(-a.suspendedSince(time.Time{})) }

// isLateContinue reports whether the event of a SIGCONT belongs to the last suspension, after
// which the job was continued already.
func (a *attempt) isLateContinue(now time.Time) bool {
	late := now.Before(a.continueBy)
	a.continueBy = time.Time{}
	return late
}
