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
	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/notify/quiet"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const (
	firstRetryDelay = time.Second
	maxRetryDelay   = 5 * time.Minute
	longestPause    = time.Hour // that a receiver may ask for
	// maxRefusedTries is how often a message is tried that the receiver refuses.
	maxRefusedTries = 3
	// giveUpAfter is the age after which a message is not tried again.
	giveUpAfter = 3 * 24 * time.Hour
	// maxLines is how many of the last lines of a log a message has.
	maxLines = 5
	// maxEndings is of how many runs a message reads the end of the output.
	maxEndings = 5
)

// deliverOne does the next step of a route. It returns when the one after it is due: a time that has passed for at
// once, zero if there are no rows.
func (w *Worker) deliverOne(ctx context.Context, r api.Route, channel Channel, hours quiet.Hours) (time.Time, error) {
	rows, err := w.Store.RouteRows(ctx, r.Name, maxJoined)
	if err != nil {
		return time.Time{}, err
	}
	now := w.Now()
	next := plan(r, hours, rows, now, w.startedAt)
	if len(next.batch) == 0 {
		return next.wait, nil
	}
	batch, runs, dropped, err := w.dropResolved(ctx, next.batch, now)
	if err != nil {
		return time.Time{}, err
	}
	if len(dropped) > 0 {
		if err := w.Store.StoreResults(ctx, dropped); err != nil || len(batch) == 0 {
			return now, err
		}
	}
	if batch[0].Batch == 0 { // from now on it keeps these rows and this id
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
	m := message.New(r.Name, batch[0].Batch, items, next.summary && len(items) > 1, now)
	err = channel.Send(ctx, m)
	if ctx.Err() != nil {
		// It is not known whether it arrived, so it is sent again with the same id.
		return now, nil
	}
	results := outcome(r, batch, err, w.Now(), rand.Float64())
	if err != nil {
		w.Log.Warn("a notification was not delivered", "route", r.Name, "message", m.ID, "error", err,
			"tries", batch[0].Tries+1, "status", results[0].Status)
	}
	return now, w.Store.StoreResults(ctx, results)
}

// outcome returns the results of the rows of a message after a try. chance, from 0 to 1, is the jitter of the next
// try.
func outcome(r api.Route, batch []api.Action, err error, now time.Time, chance float64) []outbox.Result {
	all := make([]outbox.Result, len(batch))
	for i, a := range batch {
		one := outbox.Result{ID: a.ID, Status: outbox.Done, Tries: a.Tries + 1, NextAt: now, Batch: a.Batch, At: now}
		if err == nil && r.RepeatSeconds > 0 && isRepeated(a) {
			one.Again = now.Add(time.Duration(r.RepeatSeconds) * time.Second)
		}
		if err != nil {
			one = retryResult(one, batch, err, now, chance)
		}
		all[i] = one
	}
	return all
}

// retryResult returns the result of a row after a failed try: whether it is tried again, and when. It is
// the same for all rows of the message.
func retryResult(one outbox.Result, batch []api.Action, err error, now time.Time, chance float64) outbox.Result {
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
		since = 0 // the message was delivered before, so its age does not count
	}
	switch {
	case e.Never:
		one.Status = outbox.Failed
		return one
	case e.Refused && one.Tries >= maxRefusedTries:
		one.Status, one.Error = outbox.Failed, "given up, because the receiver refuses the message: "+one.Error
		return one
	case since > giveUpAfter || batch[0].Repeat > 0 && one.Tries >= 20:
		one.Status, one.Error = outbox.Failed, "given up, because the message is too old: "+one.Error
		return one
	}
	one.Status = outbox.Pending
	one.NextAt = now.Add(max(retryDelay(one.Tries, chance), e.After))
	return one
}

// retryDelay returns the delay after a number of tries. It doubles with each, and chance reduces it.
func retryDelay(tries int, chance float64) time.Duration {
	p := firstRetryDelay << min(max(tries-1, 0), 10)
	p = min(p, maxRetryDelay)
	return p - time.Duration(chance*float64(p)/4)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// dropResolved reads the runs of a batch, and drops the rows whose problem has been resolved. A batch that was sent
// before is not changed.
func (w *Worker) dropResolved(ctx context.Context, batch []api.Action, now time.Time) (left []api.Action, runs map[string]*job.Run, dropped []outbox.Result, err error) {
	runs = map[string]*job.Run{}
	for _, a := range batch {
		run, err := w.run(ctx, runs, a.Run)
		if err != nil {
			return nil, nil, nil, err
		}
		if needsCheck(a) {
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

// healedIn reports whether a batch has an unsent row about the attempt of a that reports again.
func healedIn(batch []api.Action, a api.Action) bool {
	return slices.ContainsFunc(batch, func(other api.Action) bool {
		return other.What == outbox.WhatHealed && other.Batch == 0 && other.Run == a.Run && other.Attempt == a.Attempt && !other.CreatedAt.Before(a.CreatedAt)
	})
}

// succeededLater reports whether a later run of the job succeeded; for a first notification, while it waited. If it
// was due before, it is sent with the later event, also if both were delayed by the route.
func (w *Worker) succeededLater(ctx context.Context, a api.Action, run *job.Run) (bool, error) {
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

// withoutHealed drops the row about a run that reports again if the first notification that it was lost is dropped
// from the same batch, because the receiver knows of neither.
func withoutHealed(left, batch []api.Action, dropped []outbox.Result, now time.Time) ([]api.Action, []outbox.Result) {
	lost := map[attemptKey]bool{}
	for _, a := range batch {
		if a.What == outbox.WhatLost && a.Repeat == 0 && slices.ContainsFunc(dropped, func(d outbox.Result) bool { return d.ID == a.ID }) {
			lost[attemptKey{a.Run, a.Attempt}] = true
		}
	}
	left = slices.DeleteFunc(left, func(a api.Action) bool {
		needless := a.What == outbox.WhatHealed && a.Batch == 0 && lost[attemptKey{a.Run, a.Attempt}]
		if needless {
			dropped = append(dropped, outbox.Result{
				ID: a.ID, Status: outbox.Dropped, Error: "nobody was notified that the run was lost", NextAt: now, At: now,
			})
		}
		return needless
	})
	return left, dropped
}

type attemptKey struct {
	run     string
	attempt int
}

// run returns a run, which it reads once; nil if it was deleted.
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
	case errors.As(err, &bad): // the message has the part that is readable
		runs[id] = &bad.Run
	case err != nil:
		return nil, err
	default:
		runs[id] = &run
	}
	return runs[id], nil
}

// itemsOf returns an item for each row of a batch, or for all rows of a delivery of late runs and of jobs that were
// missed at once, and the first row of each item.
func itemsOf(batch []api.Action, runs map[string]*job.Run, base string) (items []message.Item, of []api.Action) {
	for i, a := range batch {
		together := func(b api.Action) bool { return sameDelivery(a, b) || message.MissedTogether(a, b) }
		if slices.ContainsFunc(batch[:i], together) {
			continue
		}
		rows := []api.Action{a}
		for _, b := range batch[i+1:] {
			if together(b) {
				rows = append(rows, b)
			}
		}
		item := message.ItemOf(a, runs[a.Run], base)
		switch {
		case a.Late != nil:
			item = message.LateItem(rows, runs)
		case len(rows) > 1:
			item = message.MissedItem(rows, runs)
		}
		items, of = append(items, item), append(of, a)
	}
	return items, of
}

// items returns the items of a message. For failures they have the line that states the error and the last lines of
// the log, if these can be read.
func (w *Worker) items(ctx context.Context, batch []api.Action, runs map[string]*job.Run) []message.Item {
	items, of := itemsOf(batch, runs, w.PublicURL)
	if w.Ending == nil {
		return items
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(w.EndingTimeout, time.Second))
	defer cancel()
	read, newest := 0, true
	for i := len(items) - 1; i >= 0 && read < maxEndings; i-- {
		item := &items[i]
		if item.Run == nil || !message.HasEvidence(item.What) {
			continue
		}
		alone := newest && len(items) <= 3
		newest = false
		if item.Evidence != nil && !alone {
			continue
		}
		read++
		end, err := w.ending(ctx, attemptKey{item.Run.ID, of[i].Attempt})
		if errors.Is(err, errPanicked) {
			continue
		}
		if err != nil {
			w.Log.Debug("the end of a run's output could not be read for a notification", "run", item.Run.ID, "error", err)
			return items
		}
		if item.Evidence == nil {
			item.Evidence = end.Evidence
		}
		if alone {
			for _, line := range end.Lines[max(0, len(end.Lines)-maxLines):] {
				item.Lines = append(item.Lines, line.Quoted())
			}
		}
	}
	return items
}

// errPanicked is the error of a call of Ending that panicked.
var errPanicked = errors.New("reading the end of the output panicked")

// maxPanicked is how many attempts are remembered whose output is not read again.
const maxPanicked = 1000

// ending calls Ending and recovers from a panic, because unexpected output of a job must not end the
// server. A panic is logged, and the output of that attempt is not read again.
func (w *Worker) ending(ctx context.Context, of attemptKey) (end ending.Ending, err error) {
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
		if len(w.panicked) >= maxPanicked {
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

// CheckRoute returns an error for a route that cannot work on this server; see Check.
func (w *Worker) CheckRoute(r api.Route) error { return Check(r, w.Options) }

// ShowRoute returns a route without its secrets; see Redacted.
func (w *Worker) ShowRoute(r api.Route) api.Route { return Redacted(r) }

// TestRoute sends a test message through a route at once, before everything that waits for it.
func (w *Worker) TestRoute(ctx context.Context, r api.Route) error {
	channel, err := w.open(r)
	if err != nil {
		return err
	}
	now := w.Now()
	m := message.New(r.Name, now.UnixMicro(), []message.Item{{
		What: outbox.WhatTest, Severity: job.Warning, At: now.UTC(),
		Message: "Messages of the route " + r.Name + " arrive.",
	}}, false, now)
	return channel.Send(ctx, m)
}
