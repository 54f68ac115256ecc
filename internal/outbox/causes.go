package outbox

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/job"
)

// RetryTimeout is the time, by the server's clock, for which a run waits for an attempt that was announced:
// from the time at which it was due, or from the last report of its agent if that was later. An agent
// begins an attempt later than announced while a reader takes the output of the one before.
const RetryTimeout = 2 * time.Minute

// canceledByNobody has the reasons of runs that are canceled although nobody asked for that: the agent was asked to stop,
// and not this job; or the run did not start in time, or what it had to follow ended otherwise.
var canceledByNobody = map[job.Reason]bool{job.AgentStopped: true, job.Expired: true, job.DependencyEnd: true}

// Entries returns the notifications that may follow from events of a run, and the retry to check. It returns none for a success,
// because that depends on earlier runs, and none for the loss of an attempt that the next one follows at once.
func Entries(run *job.Run, events []job.RunEvent, now time.Time) []Entry {
	var out []Entry
	for i, e := range events {
		if e.Kind != "state" || e.To == string(job.Lost) && begins(events[i+1:]) {
			continue
		}
		entry := Entry{Kind: Notify, Run: run.ID, Attempt: run.Attempt, Message: e.Evidence, At: now}
		switch to := job.State(e.To); {
		case to == job.Failed:
			entry.What, entry.Severity = WhatFailed, job.Critical
		case to == job.TimedOut:
			entry.What, entry.Severity = WhatTimedOut, job.Critical
		case to == job.Lost:
			entry.What, entry.Severity = WhatLost, job.Critical
		case to == job.Canceled:
			entry.What, entry.Severity = WhatCanceled, Info
			if run.Outcome != nil && canceledByNobody[run.Outcome.Reason] {
				entry.Severity = job.Warning
			}
		case e.Rule == string(job.Heard) && (e.From == string(job.Lost) || e.From == string(job.Retrying)):
			entry.What, entry.Severity, entry.Ends = WhatHealed, job.Critical, WhatLost
		case to == job.Retrying && run.Submitted != nil:
			continue // its next attempt is the queue's
		case to == job.Retrying:
			entry.Kind, entry.What, entry.Attempt = Retry, "retry", run.Attempt+1
			entry.By = "the agent"
			entry.After = RetryDue(run, now)
		default:
			continue
		}
		out = append(out, entry)
	}
	return out
}

// begins reports whether an attempt begins in events.
func begins(events []job.RunEvent) bool {
	return slices.ContainsFunc(events, func(e job.RunEvent) bool { return e.Rule == string(job.AttemptStarted) })
}

// CompleteLost returns events, or a single event if they only complete the journal of a lost run whose outcome is lost: such a run
// was lost all the time.
func CompleteLost(events []job.RunEvent) []job.RunEvent {
	states := slices.DeleteFunc(slices.Clone(events), func(e job.RunEvent) bool { return e.Kind != "state" })
	if len(states) == 0 {
		return events
	}
	first, last := states[0], states[len(states)-1]
	if first.From != string(job.Lost) || first.Rule != string(job.Heard) || last.To != string(job.Lost) {
		return events
	}
	last.From = string(job.Lost)
	return []job.RunEvent{last}
}

// StillLost reports whether the only event is that a lost run is lost, of which people were notified when it was called lost.
func StillLost(events []job.RunEvent) bool {
	return len(events) == 1 && events[0].From == string(job.Lost) && events[0].To == string(job.Lost)
}

// RetryDue returns when the next attempt of a run is to begin by itself, on the server's clock,
// after an attempt whose end became known at a time. Both times of the outcome are the
// agent's: only what lies between them counts.
func RetryDue(run *job.Run, learned time.Time) time.Time {
	if o := run.Outcome; o != nil && o.RetryAt != nil && run.EndedAt != nil {
		return learned.Add(o.RetryAt.Sub(*run.EndedAt))
	}
	return learned
}

// StartedEntry returns the entry for the start of a run whose wait in the queue was a finding.
func StartedEntry(run *job.Run, waited job.Finding, now time.Time) Entry {
	return Entry{
		Kind: Notify, Run: run.ID, Attempt: run.Attempt, What: WhatRecovered, Severity: waited.Health,
		Message: "Started. No longer true: " + waited.Evidence, Ends: waited.Rule, At: now,
	}
}

// RecoveredEntry returns the entry for a good run after a bad end of the same job, or of an earlier
// attempt of the same run.
func RecoveredEntry(run *job.Run, before string, now time.Time) Entry {
	return Entry{
		Kind: Notify, Run: run.ID, Attempt: run.Attempt, What: WhatRecovered, Severity: job.Critical,
		Message: fmt.Sprintf("Succeeded again, after %s.", before), At: now,
	}
}
