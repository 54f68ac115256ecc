package index

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// The two clocks that an event's time can come from.
const (
	ServerClock = "server"
	AgentClock  = "agent"
)

// Advance applies facts to a run in their order and returns it with the changes. It ignores a fact that is not allowed
// in the run's state: a terminal state does not change when facts arrive late. now is the server's clock, and used
// only for facts without a time.
func Advance(run job.Run, facts []Fact, now time.Time) (job.Run, []job.RunEvent) {
	var events []job.RunEvent
	for _, fact := range facts {
		at, clock := fact.At, AgentClock
		if at.IsZero() {
			at, clock = now, ServerClock
		}
		next, event, err := Move(run, fact.Event, at, clock, fact.Evidence)
		if err != nil || event == nil {
			continue
		}
		run, events = next, append(events, *event)
	}
	return run, events
}

// Move applies one event to a run. The returned event is nil if nothing changed. The error is *job.RefusedError. Health
// and findings of an active run begin with the attempt, healthy, and end with it; findings about waiting end with the wait.
func Move(run job.Run, e job.Event, at time.Time, clock, evidence string) (job.Run, *job.RunEvent, error) {
	t, err := job.Next(run.State, e, at)
	if err != nil || !t.Changed() {
		return run, nil, err
	}
	run.State = t.To
	if t.To == job.Succeeded || t.To.Active() && !t.From.Active() {
		run.Diagnosis = nil // of a problem that has ended
	}
	switch {
	case !t.To.Active():
		run.Health, run.Findings, run.SuspendedAt = "", []job.Finding{}, nil
	case !t.From.Active():
		run.Health, run.Findings = job.Healthy, []job.Finding{}
	}
	return run, &job.RunEvent{
		Run: run.ID, Attempt: run.Attempt, At: at.UTC(), Clock: clock, Kind: "state",
		From: string(t.From), To: string(t.To), Rule: string(e.Kind), Evidence: evidence,
	}, nil
}

// Suspend marks an active run as suspended, or not, as its agent reports. The returned event is nil if the run is marked
// so already.
func Suspend(run job.Run, suspended bool, at time.Time) (job.Run, *job.RunEvent) {
	if suspended == (run.SuspendedAt != nil) || !run.State.Active() {
		return run, nil
	}
	kind, evidence := job.EventSuspended, "The agent stopped itself and the job (SIGTSTP)."
	if !suspended {
		kind = job.EventResumed
		evidence = fmt.Sprintf("Agent and job go on after %s.", at.Sub(*run.SuspendedAt).Round(time.Second))
	}
	run.SuspendedAt = nil
	if suspended {
		run.SuspendedAt = &at
	}
	return run, &job.RunEvent{
		Run: run.ID, Attempt: run.Attempt, At: at.UTC(), Clock: ServerClock, Kind: kind,
		From: string(run.State), To: string(run.State), Rule: kind, Evidence: evidence,
	}
}
