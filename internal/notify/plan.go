package notify

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

const (
	// stormAt is how many messages may be due for one route at once before they become
	// one.
	stormAt = 20
	// mostJoined bounds one message; what is left makes the next.
	mostJoined = 500
)

// step is what to do for a route now: send a batch, or wait.
type step struct {
	batch   []job.Action
	summary bool
	// wait is when to look again, if there is no batch; zero when nothing waits.
	wait time.Time
}

// plan decides the next step of a route from its pending rows, oldest first. A batch that
// was tried stays as it is until it is done, and everything waits behind it, so that
// order holds. opened is since when this server looks after the route: what is older was
// held up by our own absence.
func plan(r job.Route, quiet hours, rows []job.Action, now, opened time.Time) step {
	if len(rows) == 0 {
		return step{}
	}
	for _, row := range rows {
		if row.Batch == 0 {
			continue
		}
		if row.NextAt.After(now) {
			return step{wait: *row.NextAt}
		}
		batch := sameBatch(rows, row.Batch)
		return step{batch: batch, summary: len(batch) > 1}
	}
	if end := quiet.until(now); !end.IsZero() {
		return step{wait: end}
	}
	var ready []job.Action
	var wait time.Time
	for _, row := range rows {
		if row.NextAt.After(now) {
			wait = sooner(wait, *row.NextAt)
			continue
		}
		ready = append(ready, row)
	}
	if len(ready) == 0 {
		return step{wait: wait}
	}
	if due := groupDue(r, ready, opened); due.After(now) {
		return step{wait: sooner(wait, due)}
	}
	if len(ready) > 1 && joined(r, quiet, ready, opened) {
		return step{batch: ready[:min(len(ready), mostJoined)], summary: true}
	}
	return step{batch: together(ready)}
}

// groupDue is when the collecting of messages ends that the oldest one began. A
// repetition collects nothing.
func groupDue(r job.Route, ready []job.Action, opened time.Time) time.Time {
	oldest := ready[0]
	if r.GroupSeconds <= 0 || oldest.Repeat > 0 || oldest.CreatedAt.Before(opened) {
		return time.Time{}
	}
	return oldest.CreatedAt.Add(time.Duration(r.GroupSeconds) * time.Second)
}

// joined reports whether all that is ready becomes one message.
func joined(r job.Route, quiet hours, ready []job.Action, opened time.Time) bool {
	if r.GroupSeconds > 0 || len(ready) > stormAt {
		return true
	}
	held := 0
	for _, row := range ready {
		if row.CreatedAt.Before(opened) || !quiet.until(row.CreatedAt).IsZero() {
			held++
		}
	}
	return held > 1
}

// together is the first row with those that are sent with it: about the same run, because one
// cause often has several rows, or about runs that arrived late in the same delivery.
func together(ready []job.Action) []job.Action {
	batch := ready[:1:1]
	for _, row := range ready[1:] {
		if sameDelivery(row, batch[0]) || row.Run != "" && row.Run == batch[0].Run && row.Late == nil && batch[0].Late == nil {
			batch = append(batch, row)
		}
	}
	return batch
}

// sameDelivery reports whether two rows count runs that one host delivered late at once.
func sameDelivery(a, b job.Action) bool {
	return a.Late != nil && b.Late != nil && a.Late.Host == b.Late.Host && a.CreatedAt.Equal(b.CreatedAt)
}

func sameBatch(rows []job.Action, id int64) []job.Action {
	var batch []job.Action
	for _, row := range rows {
		if row.Batch == id {
			batch = append(batch, row)
		}
	}
	return batch
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// checked reports whether the cause of a row is looked at again before it is sent: that of a
// repetition, and of a notification that was to wait.
func checked(a job.Action) bool {
	return a.Batch == 0 && (a.Repeat > 0 || a.NextAt != nil && a.NextAt.After(a.CreatedAt))
}

// situation is what is known about the cause of a row when it is due.
type situation struct {
	run          *job.Run // nil: gone
	acknowledged bool
	later        bool // a later run of the job succeeded; for a first notification, while it waited
	healed       bool // the attempt reported again, of which nobody was notified yet either
}

// resolvedBy returns why nobody is notified of a problem any more; empty when it still holds.
func resolvedBy(a job.Action, s situation) string {
	switch {
	case s.run == nil:
		return "the run was deleted"
	case s.acknowledged:
		return "it was acknowledged"
	case s.run.Attempt != a.Attempt && a.Repeat > 0:
		return fmt.Sprintf("attempt %d followed", s.run.Attempt)
	}
	switch a.What {
	case outbox.WhatFailed, outbox.WhatTimedOut, outbox.WhatLost:
		// Of an attempt that another one followed a first notification was due before that: the store
		// withdraws one that waits.
		if s.run.Attempt == a.Attempt && string(s.run.State) != a.What {
			return "the run is " + string(s.run.State)
		}
		if s.healed && a.What == outbox.WhatLost && a.Repeat == 0 {
			return "the agent reported again"
		}
		if s.later {
			return "a later run of the job succeeded"
		}
		return ""
	}
	for _, f := range s.run.Findings {
		if f.Rule == a.What {
			return ""
		}
	}
	return "it has passed"
}

// repeats reports whether an event is notified again until somebody acknowledges it.
func repeats(a job.Action) bool {
	switch a.What {
	case outbox.WhatHealed, outbox.WhatRecovered, outbox.WhatCanceled, outbox.WhatNetwork, outbox.WhatTest:
		return false
	}
	return a.Run != "" && a.Severity != outbox.Info
}
