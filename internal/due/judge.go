package due

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Open is a due time that is not decided, and what is known of it.
type Open struct {
	Due time.Time
	// Started: a run has started in its slot. Active: a run of the job is active.
	Started, Active bool
}

// Watch is how well starts could be noticed.
type Watch struct {
	// Back is since when a server has looked without interruption. Its clock may have been set then.
	Back time.Time
	// Watched is for how long a server has looked since the due time, with interruptions.
	Watched time.Duration
}

// Verdict is what becomes of a due time.
type Verdict int

// The verdicts.
const (
	Wait   Verdict = iota // nothing yet
	Kept                  // a run has started, or is active
	Missed                // none has
)

// Judge returns the verdict on a due time. If it is Wait, at is when to judge again.
func (r Rule) Judge(o Open, w Watch, now time.Time) (v Verdict, at time.Time) {
	switch missed := r.MissedAt(o.Due, w, now); {
	case o.Started:
		return Kept, time.Time{}
	case now.Before(o.Due):
		return Wait, o.Due
	case now.Before(missed):
		return Wait, missed
	case o.Active:
		return Kept, time.Time{}
	}
	return Missed, time.Time{}
}

// MissedAt returns when a due time counts as missed: when its grace is over, and so is the same time after the
// server was back, because starts from before may still be delivered. A server that is restarted again and
// again delays that until it has looked for twice the grace. Due times that are missed within a minute are
// missed at once, so that people get one message of them.
func (r Rule) MissedAt(due time.Time, w Watch, now time.Time) time.Time {
	at := due.Add(r.Grace)
	if w.Back.After(due) {
		back := w.Back.Add(r.Grace)
		if limit := now.Add(2*r.Grace - w.Watched); limit.Before(back) {
			back = limit
		}
		if back.After(at) {
			at = back
		}
	}
	step := min(r.Grace/10, time.Minute)
	if rounded := at.Truncate(step); rounded.Before(at) {
		at = rounded.Add(step)
	}
	return at
}

// StateOf returns the state of an expectation. next is the first due time that is not decided; zero if no run
// is known.
func StateOf(paused, missed bool, next, now time.Time) api.DueState {
	switch {
	case paused:
		return api.DuePaused
	case missed:
		return api.DueMissed
	case next.IsZero():
		return api.DueNew
	case now.Before(next):
		return api.DueOK
	}
	return api.DueNow
}

// MissedText says that a due time was missed. last is the last known start; zero for none.
func MissedText(name string, due, last time.Time) string {
	text := fmt.Sprintf("%s was due at %s and has not started.", name, job.TimeText(due))
	if last.IsZero() {
		return text
	}
	return text + " Its last run started at " + job.TimeText(last) + "."
}

// StartedText says that a job started after due times were missed.
func StartedText(name string, start, since time.Time, times int64) string {
	started := ""
	if !start.IsZero() {
		started = " at " + job.TimeText(start)
	}
	if times == 1 {
		return fmt.Sprintf("%s started%s; it was due at %s.", name, started, job.TimeText(since))
	}
	return fmt.Sprintf("%s started%s; it had been due %d times since %s.", name, started, times, job.TimeText(since))
}
