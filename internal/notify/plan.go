package notify

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/notify/quiet"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const (
	// maxSeparate is how many rows of a route that are due at the same time are sent in separate
	// messages; more are joined.
	maxSeparate = 20
	// maxJoined is how many rows are joined in one message.
	maxJoined = 500
)

// step is the next step of a route: to send a batch, or to wait.
type step struct {
	batch   []api.Action
	summary bool
	// wait is when the next row is due, if there is no batch; zero if there are no rows.
	wait time.Time
}

// plan returns the next step of a route from its pending rows, oldest first. A batch that was tried is not changed
// until it is done, and all other rows wait for it, so that the order is kept. startedAt is since when this server
// delivers: older rows were delayed because no server did.
func plan(r api.Route, hours quiet.Hours, rows []api.Action, now, startedAt time.Time) step {
	if len(rows) == 0 {
		return step{}
	}
	rows = followClock(rows, now)
	for _, row := range rows {
		if row.Batch == 0 {
			continue
		}
		if isPaused(*row.NextAt, now) {
			return step{wait: *row.NextAt}
		}
		batch := sameBatch(rows, row.Batch)
		return step{batch: batch, summary: len(batch) > 1}
	}
	if end := hours.Until(now); !end.IsZero() {
		return step{wait: end}
	}
	var ready []api.Action
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
	if due := groupDue(r, ready, startedAt); due.After(now) {
		return step{wait: sooner(wait, due)}
	}
	if len(ready) > 1 && isJoined(r, hours, ready, startedAt) {
		return step{batch: ready[:min(len(ready), maxJoined)], summary: true}
	}
	return step{batch: firstBatch(ready)}
}

// followClock returns rows with those that a clock stored that was ahead as if they had been stored now.
func followClock(rows []api.Action, now time.Time) []api.Action {
	latest := clock.LatestNow(now)
	out := slices.Clone(rows)
	for i := range out {
		row := &out[i]
		if ahead := row.CreatedAt.Sub(now); row.CreatedAt.After(latest) && row.NextAt != nil {
			next := row.NextAt.Add(-ahead)
			row.CreatedAt, row.NextAt = now, &next
		}
	}
	return out
}

// isPaused reports whether a message is tried again later, at next. A time that is further away than any pause was
// stored while the clock was ahead.
func isPaused(next, now time.Time) bool {
	return next.After(now) && !next.After(clock.LatestNow(now).Add(longestPause))
}

// groupDue returns when the time ends for which the oldest row waits for others; zero if it does not wait, as a
// repetition.
func groupDue(r api.Route, ready []api.Action, startedAt time.Time) time.Time {
	oldest := ready[0]
	if r.GroupSeconds <= 0 || oldest.Repeat > 0 || oldest.CreatedAt.Before(startedAt) {
		return time.Time{}
	}
	return oldest.CreatedAt.Add(time.Duration(r.GroupSeconds) * time.Second)
}

// isJoined reports whether all rows that are due are sent in one message.
func isJoined(r api.Route, hours quiet.Hours, ready []api.Action, startedAt time.Time) bool {
	if r.GroupSeconds > 0 || len(ready) > maxSeparate {
		return true
	}
	delayed := 0
	for _, row := range ready {
		if row.CreatedAt.Before(startedAt) || !hours.Until(row.CreatedAt).IsZero() {
			delayed++
		}
	}
	return delayed > 1
}

// firstBatch returns the first row with those that are sent in the same message: about the same run, because one
// cause often has several rows, or about runs that arrived late in the same delivery, or jobs that were missed at once.
func firstBatch(ready []api.Action) []api.Action {
	batch := ready[:1:1]
	for _, row := range ready[1:] {
		if sameDelivery(row, batch[0]) || message.MissedTogether(row, batch[0]) || row.Run != "" && row.Run == batch[0].Run && row.Late == nil && batch[0].Late == nil {
			batch = append(batch, row)
		}
	}
	return batch
}

// sameDelivery reports whether two rows are about runs that one host delivered late at once.
func sameDelivery(a, b api.Action) bool {
	return a.Late != nil && b.Late != nil && a.Late.Host == b.Late.Host && a.CreatedAt.Equal(b.CreatedAt)
}

// sameBatch returns the rows of a batch.
func sameBatch(rows []api.Action, id int64) []api.Action {
	var batch []api.Action
	for _, row := range rows {
		if row.Batch == id {
			batch = append(batch, row)
		}
	}
	return batch
}

// sooner returns the earlier of two times, of which a may be zero.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// needsCheck reports whether the cause of a row is read again before it is sent: that of a repetition, and of a
// notification that was delayed.
func needsCheck(a api.Action) bool {
	return a.Batch == 0 && (a.Repeat > 0 || a.NextAt != nil && a.NextAt.After(a.CreatedAt))
}

// situation is the state of the cause of a row when the row is due.
type situation struct {
	run          *job.Run // nil if it was deleted
	acknowledged bool
	later        bool // a later run of the job succeeded; for a first notification, while it waited
	healed       bool // the attempt reported again, of which nobody has been notified
}

// resolvedBy returns why nobody is notified of a problem any more; empty if it still exists.
func resolvedBy(a api.Action, s situation) string {
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
		// A first notification about an attempt that another one followed was due before that, because the
		// store removes one that waits.
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
	return "the finding has ended"
}

// isRepeated reports whether a notification is repeated until somebody acknowledges the event.
func isRepeated(a api.Action) bool {
	switch a.What {
	case outbox.WhatHealed, outbox.WhatRecovered, outbox.WhatCanceled, outbox.WhatNetwork, outbox.WhatTest, outbox.WhatMissed, outbox.WhatSkipped:
		return false
	}
	return a.Run != "" && a.Severity != outbox.Info
}
