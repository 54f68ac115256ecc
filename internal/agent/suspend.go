package agent

import (
	"context"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/signals"
)

const (
	// lastBeatLimit bounds the wait for the heartbeat that says that the agent is suspended.
	lastBeatLimit = time.Second
	// continueLimit bounds the wait for the event of the SIGCONT that has continued the agent
	// already, and lateContinueLimit is how long after that it is still taken for the same one.
	continueLimit     = 100 * time.Millisecond
	lateContinueLimit = 2 * time.Second
)

// interval is a time in which the agent and the job were suspended.
type interval struct{ from, to time.Time }

// suspend stops the job and the agent, as sig (SIGTSTP, or one of its kind) asks, and
// continues both.
func (a *attempt) suspend(sig syscall.Signal) {
	if a.cfg.SuspendSelf == nil {
		return
	}
	rest := interval{from: time.Now()}
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
	rest.to = time.Now()
	if a.continueBy = rest.to; !continued {
		a.continueBy = rest.to.Add(lateContinueLimit)
	}
	a.suspensions = append(a.suspensions, rest)
}

// suspendAgent sends a last heartbeat and stops the process of the agent until it is
// continued. A SIGCONT that comes before that cancels it. The events that come meanwhile are
// returned; continued is false when that of the SIGCONT has not come yet.
func (c Config) suspendAgent(sig syscall.Signal, beats delivery.Suspender) (missed []signals.Event, continued bool) {
	if c.SuspendSelf == nil {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastBeatLimit)
	defer cancel()
	if !c.link.Reached() {
		cancel() // the server knows of nothing
	}
	sent := make(chan func(), 1)
	go func() { sent <- beats.Suspend(ctx) }()
	for waiting := true; waiting; {
		select {
		case resume := <-sent:
			defer resume()
			waiting = false
		case e := <-c.events.Events():
			switch e.Action {
			case signals.Continue:
				continued = true
				cancel()
			case signals.Suspend: // it is under way
			default:
				missed = append(missed, e)
			}
		}
	}
	for again := !continued; again; {
		c.SuspendSelf(sig)
		var more []signals.Event
		more, continued, again = c.afterSuspension()
		missed = append(missed, more...)
	}
	return missed, continued
}

// afterSuspension takes the event of the SIGCONT that has continued the agent, and returns
// those in front of it. continued is false when it did not come in time, and again is true if
// one of the others asks for another suspension.
func (c Config) afterSuspension() (missed []signals.Event, continued, again bool) {
	limit := time.NewTimer(continueLimit)
	defer limit.Stop()
	for {
		select {
		case e := <-c.events.Events():
			switch e.Action {
			case signals.Continue:
				return missed, true, again
			case signals.Suspend:
				again = true
			default:
				missed = append(missed, e)
			}
		case <-limit.C:
			return missed, false, again
		}
	}
}

// rested returns how much of the time since then agent and job were suspended.
func (a *attempt) rested(since time.Time) (sum time.Duration) {
	for _, r := range a.suspensions {
		if r.from.Before(since) {
			r.from = since
		}
		sum += max(0, r.to.Sub(r.from))
	}
	return sum
}

// working returns the time without that in which the agent was suspended, for comparisons
// with other times of the same kind.
func (a *attempt) working(now time.Time) time.Time { return now.Add(-a.rested(time.Time{})) }

// isLateContinue reports whether the event of a SIGCONT belongs to the last suspension, after
// which the job was continued already.
func (a *attempt) isLateContinue(now time.Time) bool {
	late := now.Before(a.continueBy)
	a.continueBy = time.Time{}
	return late
}
