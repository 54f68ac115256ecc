package queue

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// EndedClaim is the end of a claim without a start.
type EndedClaim struct {
	At     time.Time
	Lost   bool // the worker did not name it any more; else it gave it back
	Reason string
}

// Withheld is why a worker is not offered some work for a while.
type Withheld struct {
	Worker, Job string
	Work        string // a definition, or the job of a command without one; see WorkOf
	Until       time.Time
	Returned    int    // claims that the worker gave back
	Lost        int    // claims that it did not name any more
	Reason      string // of the last end
}

// WorkOf returns what claims are counted by: the definition of a run, and the job of a command without one.
func WorkOf(definition, name string) string {
	if definition == "" {
		return name
	}
	return definition
}

// WithheldBy returns how long a worker is not offered work whose claims ended so, and how many of them count; false if it
// is offered now. Of two ends at the same time the later one comes after the other.
func WithheldBy(ends []EndedClaim, now time.Time) (w Withheld, withheld bool) {
	var times []time.Time
	for _, e := range ends {
		times = append(times, e.At)
	}
	if w.Until = WithheldUntil(times, now); w.Until.IsZero() {
		return Withheld{}, false
	}
	last := ends[0]
	for _, e := range ends {
		if !e.At.Before(last.At) {
			last = e
		}
	}
	w.Reason = last.Reason
	for _, e := range ends {
		switch {
		case last.At.Sub(e.At) > withheldTime:
		case e.Lost:
			w.Lost++
		default:
			w.Returned++
		}
	}
	return w, true
}

// Text says in a sentence what is withheld from the worker, until when, and why.
func (w Withheld) Text() string {
	var how []string
	if w.Returned > 0 {
		how = append(how, fmt.Sprintf("%d given back", w.Returned))
	}
	if w.Lost > 0 {
		how = append(how, fmt.Sprintf("%d lost", w.Lost))
	}
	return fmt.Sprintf("Worker %s is not offered %s until %s, because %d claims of it ended without a start (%s), the last one because %s.",
		w.Worker, w.Job, job.TimeText(w.Until), w.Returned+w.Lost, strings.Join(how, ", "), strings.TrimSuffix(w.Reason, "."))
}
