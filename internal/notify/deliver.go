package notify

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

const (
	firstPause   = time.Second
	longestPause = 5 * time.Minute
	// refusedTries is how often a message is tried that the receiver refuses, before what
	// waits behind it has its turn.
	refusedTries = 3
	// giveUpAfter is how old a message may become; after that nobody wants to be woken by it.
	giveUpAfter = 3 * 24 * time.Hour
	lastLines   = 5
	// endingsMost is of how many runs a message reads what they printed last.
	endingsMost = 5
)

// deliverOne takes the next step of a route. It returns when to take the one after it: a
// time that has passed for at once, zero when nothing waits.
func (w *Worker) deliverOne(ctx context.Context, r job.Route, channel Channel, quiet hours) (time.Time, error) {
	rows, err := w.Store.RouteRows(ctx, r.Name, mostJoined)
	if err != nil {
		return time.Time{}, err
	}
	now := w.Now()
	next := plan(r, quiet, rows, now, w.opened)
	if len(next.batch) == 0 {
		return next.wait, nil
	}
	batch, runs, dropped, err := w.stillTrue(ctx, next.batch, now)
	if err != nil {
		return time.Time{}, err
	}
	if len(dropped) > 0 {
		if err := w.Store.StoreResults(ctx, dropped); err != nil || len(batch) == 0 {
			return now, err
		}
	}
	if batch[0].Batch == 0 { // from now on it is sent as it is, under this id
		id := batch[0].ID
		marks := make([]outbox.Result, len(batch))
		for i := range batch {
			batch[i].Batch = id
			marks[i] = outbox.Result{ID: batch[i].ID, Status: outbox.Pending, Tries: batch[i].Tries, NextAt: now, Batch: id, At: now}
		}
		if err := w.Store.StoreResults(ctx, marks); err != nil {
			return time.Time{}, err
		}
	}
	items := w.items(ctx, batch, runs)
	message := newMessage(r.Name, batch[0].Batch, items, next.summary && len(items) > 1, now)
	err = channel.Send(ctx, message)
	if ctx.Err() != nil {
		// Nobody knows whether it arrived: it is sent again under the same id.
		return now, nil
	}
	results := outcome(r, batch, err, w.Now(), rand.Float64())
	if err != nil {
		w.Log.Warn("a notification was not taken", "route", r.Name, "message", message.ID, "error", err,
			"tries", batch[0].Tries+1, "status", results[0].Status)
	}
	return now, w.Store.StoreResults(ctx, results)
}

// outcome says what becomes of the rows of a message after a try. chance, from 0 to 1,
// spreads the pauses.
func outcome(r job.Route, batch []job.Action, err error, now time.Time, chance float64) []outbox.Result {
	all := make([]outbox.Result, len(batch))
	for i, a := range batch {
		one := outbox.Result{ID: a.ID, Status: outbox.Done, Tries: a.Tries + 1, NextAt: now, Batch: a.Batch, At: now}
		if err == nil && r.RepeatSeconds > 0 && repeats(a) {
			one.Again = now.Add(time.Duration(r.RepeatSeconds) * time.Second)
		}
		if err != nil {
			one = tryAgain(one, batch, err, now, chance)
		}
		all[i] = one
	}
	return all
}

// tryAgain decides whether a message is tried again, and when. It is the same for every
// row of the message.
func tryAgain(one outbox.Result, batch []job.Action, err error, now time.Time, chance float64) outbox.Result {
	one.Error = err.Error()
	var e *SendError
	if !errors.As(err, &e) {
		e = &SendError{}
	}
	newest := batch[0].CreatedAt
	for _, a := range batch {
		newest = laterOf(newest, a.CreatedAt)
	}
	since := now.Sub(newest)
	if batch[0].Repeat > 0 {
		since = 0 // its age says nothing; the receiver was fine the last time
	}
	switch {
	case e.Never:
		one.Status = outbox.Failed
		return one
	case e.Refused && one.Tries >= refusedTries:
		one.Status, one.Error = outbox.Failed, "given up, because the receiver refuses it: "+one.Error
		return one
	case since > giveUpAfter || batch[0].Repeat > 0 && one.Tries >= 20:
		one.Status, one.Error = outbox.Failed, "given up after days: "+one.Error
		return one
	}
	one.Status = outbox.Pending
	one.NextAt = now.Add(max(pause(one.Tries, chance), e.After))
	return one
}

// pause is how long to wait after a number of tries: doubling, with jitter downwards.
func pause(tries int, chance float64) time.Duration {
	p := firstPause << min(max(tries-1, 0), 10)
	p = min(p, longestPause)
	return p - time.Duration(chance*float64(p)/4)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stillTrue reads the runs of a batch, and takes out what has passed of the rows that are checked.
// A batch that was sent before is left as it is.
func (w *Worker) stillTrue(ctx context.Context, batch []job.Action, now time.Time) (left []job.Action, runs map[string]*job.Run, dropped []outbox.Result, err error) {
	runs = map[string]*job.Run{}
	for _, a := range batch {
		run, err := w.run(ctx, runs, a.Run)
		if err != nil {
			return nil, nil, nil, err
		}
		if checked(a) {
			s := situation{run: run, healed: healedIn(batch, a)}
			if run != nil {
				if s.acknowledged, err = w.Store.Acknowledged(ctx, a.Run, a.CreatedAt); err != nil {
					return nil, nil, nil, err
				}
				if s.later, err = w.succeededLater(ctx, a, run); err != nil {
					return nil, nil, nil, err
				}
			}
			if why := resolvedBy(a, s); why != "" {
				dropped = append(dropped, outbox.Result{ID: a.ID, Status: outbox.Dropped, Error: why, NextAt: now, At: now})
				continue
			}
		}
		left = append(left, a)
	}
	left, dropped = withoutHealed(left, batch, dropped, now)
	return left, runs, dropped, nil
}

// healedIn reports whether a batch has, unsent, that the attempt of a row reported again after it.
func healedIn(batch []job.Action, a job.Action) bool {
	return slices.ContainsFunc(batch, func(other job.Action) bool {
		return other.What == outbox.WhatHealed && other.Batch == 0 && other.Run == a.Run && other.Attempt == a.Attempt && !other.CreatedAt.Before(a.CreatedAt)
	})
}

// succeededLater reports whether a later run of the job succeeded: for a first notification, while it
// waited. One that was due is sent with what followed it, also where the route held both.
func (w *Worker) succeededLater(ctx context.Context, a job.Action, run *job.Run) (bool, error) {
	if a.Repeat > 0 {
		return w.Store.SucceededSince(ctx, run.Job, run.StartAt, time.Time{})
	}
	later, err := w.Store.SucceededSince(ctx, run.Job, run.StartAt, a.CreatedAt)
	if err != nil || !later {
		return false, err
	}
	sinceDue, err := w.Store.SucceededSince(ctx, run.Job, run.StartAt, *a.NextAt)
	return !sinceDue, err
}

// withoutHealed drops that a run reported again where the first notification that it was lost is
// dropped from the same batch, as at the end of quiet hours: the receiver knows of neither.
func withoutHealed(left, batch []job.Action, dropped []outbox.Result, now time.Time) ([]job.Action, []outbox.Result) {
	lost := map[attemptOf]bool{}
	for _, a := range batch {
		if a.What == outbox.WhatLost && a.Repeat == 0 && slices.ContainsFunc(dropped, func(d outbox.Result) bool { return d.ID == a.ID }) {
			lost[attemptOf{a.Run, a.Attempt}] = true
		}
	}
	left = slices.DeleteFunc(left, func(a job.Action) bool {
		needless := a.What == outbox.WhatHealed && a.Batch == 0 && lost[attemptOf{a.Run, a.Attempt}]
		if needless {
			dropped = append(dropped, outbox.Result{
				ID: a.ID, Status: outbox.Dropped, Error: "nobody was notified that the run was lost", NextAt: now, At: now,
			})
		}
		return needless
	})
	return left, dropped
}

type attemptOf struct {
	run     string
	attempt int
}

// run reads a run once; nil when there is none.
func (w *Worker) run(ctx context.Context, runs map[string]*job.Run, id string) (*job.Run, error) {
	if run, known := runs[id]; known || id == "" {
		return run, nil
	}
	run, err := w.Store.Run(ctx, id)
	var gone *query.NotFoundError
	var bad *query.UnreadableError
	switch {
	case errors.As(err, &gone):
		runs[id] = nil
	case errors.As(err, &bad): // the message has what is known of it
		runs[id] = &bad.Run
	case err != nil:
		return nil, err
	default:
		runs[id] = &run
	}
	return runs[id], nil
}

// itemsOf is an item for each row of a batch, and one for all of a delivery of late runs; of
// holds the row of each item, of a delivery its first.
func itemsOf(batch []job.Action, runs map[string]*job.Run, base string) (items []Item, of []job.Action) {
	for i, a := range batch {
		switch {
		case a.Late == nil:
			items, of = append(items, itemOf(a, runs[a.Run], base)), append(of, a)
		case !slices.ContainsFunc(batch[:i], func(b job.Action) bool { return sameDelivery(a, b) }):
			var rows []job.Action
			for _, b := range batch[i:] {
				if sameDelivery(a, b) {
					rows = append(rows, b)
				}
			}
			items, of = append(items, lateItem(rows, runs)), append(of, a)
		}
	}
	return items, of
}

// items are the parts of a message. The line that states the error, and the last lines, help
// where a run ended badly; that they cannot be read is no reason to say nothing.
func (w *Worker) items(ctx context.Context, batch []job.Action, runs map[string]*job.Run) []Item {
	items, of := itemsOf(batch, runs, w.PublicURL)
	if w.Ending == nil {
		return items
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(w.EndingTimeout, time.Second))
	defer cancel()
	read, newest := 0, true
	for i := len(items) - 1; i >= 0 && read < endingsMost; i-- {
		item := &items[i]
		if item.Run == nil || !aboutTrouble(item.What) {
			continue
		}
		alone := newest && len(items) <= 3
		newest = false
		if item.Evidence != nil && !alone {
			continue
		}
		read++
		end, err := w.ending(ctx, attemptOf{item.Run.ID, of[i].Attempt})
		if errors.Is(err, errPanicked) {
			continue
		}
		if err != nil {
			w.Log.Debug("the last lines of a run cannot be read for a notification", "run", item.Run.ID, "error", err)
			return items
		}
		if item.Evidence == nil {
			item.Evidence = end.Evidence
		}
		if alone {
			for _, line := range end.Lines[max(0, len(end.Lines)-lastLines):] {
				item.Lines = append(item.Lines, line.Quoted())
			}
		}
	}
	return items
}

// errPanicked is the error of an Ending that panicked.
var errPanicked = errors.New("reading the end of the output panicked")

// panickedMost bounds the attempts that a worker knows not to read again.
const panickedMost = 1000

// ending calls Ending and survives a panic: what jobs print is anything, and must not end the server.
// A panic is logged, and that attempt is not read again.
func (w *Worker) ending(ctx context.Context, of attemptOf) (end ending.Ending, err error) {
	w.mu.Lock()
	panicked := w.panicked[of]
	w.mu.Unlock()
	if panicked {
		return ending.Ending{}, errPanicked
	}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		w.mu.Lock()
		if len(w.panicked) >= panickedMost {
			clear(w.panicked)
		}
		w.panicked[of] = true
		w.mu.Unlock()
		w.Log.Error("reading the end of a run's output for a notification panicked", "run", of.run, "attempt", of.attempt,
			"panic", p, "stack", string(debug.Stack()))
		end, err = ending.Ending{}, errPanicked
	}()
	return w.Ending(ctx, of.run, of.attempt)
}

// aboutTrouble reports whether what a job printed explains an event.
func aboutTrouble(what string) bool {
	switch what {
	case outbox.WhatFailed, outbox.WhatTimedOut, outbox.WhatLost, "stalled", "no_output", "memory":
		return true
	}
	return false
}

// CheckRoute refuses a route that could not work on this server; see Check.
func (w *Worker) CheckRoute(r job.Route) error { return Check(r, w.Options) }

// ShowRoute is a route without its secrets; see Shown.
func (w *Worker) ShowRoute(r job.Route) job.Route { return Shown(r) }

// TestRoute sends a message through a route at once, beside everything that waits for it.
func (w *Worker) TestRoute(ctx context.Context, r job.Route) error {
	channel, err := w.open(r)
	if err != nil {
		return err
	}
	now := w.Now()
	m := newMessage(r.Name, now.UnixMicro(), []Item{{
		What: outbox.WhatTest, Severity: job.Warning, At: now.UTC(),
		Message: "If you can read this, messages of route " + r.Name + " arrive.",
	}}, false, now)
	return channel.Send(ctx, m)
}
