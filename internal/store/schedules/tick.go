package schedules

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

const (
	// batch is how many schedules one transaction handles: agents wait for it with their journals.
	batch = 100
	// mostSlots is about how many occurrences one transaction stores.
	mostSlots = 2 * schedule.MostEqual
)

// dueSchedule is a schedule that is due, with the results of its due times.
type dueSchedule struct {
	Schedule
	rule      schedule.Rule
	slots     []schedule.Slot
	following time.Time
}

// TickSchedules makes the runs of all schedules that are due, and an occurrence of every time. The runs, the
// occurrences and the next time of a schedule are stored in one transaction, so any number of servers may do this, and
// any of them may be killed. Schedules that another server is handling are skipped, and one that fails does not delay
// the others. changed, unless it is nil, is called with each run that was made.
func (s *Schedules) TickSchedules(ctx context.Context, changed func(job.Run)) error {
	if !s.CopiedAt().IsZero() {
		return nil // the real server starts them
	}
	r := round{Schedules: s, now: s.Now(), changed: changed}
	return errors.Join(s.followClock(ctx), r.all(ctx), s.followFindings(ctx, r.now))
}

// mostFailed is how many schedules may fail before a round ends, if none did not: then the database is the cause.
const mostFailed = 3 * batch

// round is one search for due schedules.
type round struct {
	*Schedules
	now     time.Time
	changed func(job.Run)
	done    int // schedules whose times were stored
	failed  []failure
}

// failure is a schedule whose times could not be stored.
type failure struct {
	id  string
	err error
}

func (r *round) all(ctx context.Context) error {
	var after Schedule
	for ctx.Err() == nil && (r.done > 0 || len(r.failed) < mostFailed) {
		found, err := r.read(ctx, r.now, after)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			break
		}
		after = found[len(found)-1]
		for len(found) > 0 {
			var plan []dueSchedule
			plan, found = r.judge(ctx, found)
			began := r.Now()
			if err := r.start(ctx, plan); err != nil {
				return err
			}
			if err := r.Yield(ctx, began); err != nil {
				return errors.Join(err, r.conclude(ctx))
			}
		}
	}
	return errors.Join(r.conclude(ctx), ctx.Err())
}

// start stores the results of due schedules.
func (r *round) start(ctx context.Context, plan []dueSchedule) error {
	if len(plan) == 0 {
		return nil
	}
	store := func(some []dueSchedule) error {
		err := r.store(ctx, some, r.changed)
		if err == nil {
			r.done += len(some)
		}
		return err
	}
	return troubled.Isolate(ctx, r.DB, plan, store, func(one dueSchedule, err error) { r.failed = append(r.failed, failure{one.id(), err}) })
}

// conclude records the schedules that failed, so that they are retried after a pause. If all failed, it returns an error
// instead: the database may be the cause, and all are retried soon.
func (r *round) conclude(ctx context.Context) error {
	if len(r.failed) == 0 || ctx.Err() != nil {
		return nil
	}
	if r.done == 0 {
		return fmt.Errorf("%d schedules failed, the first: %w", len(r.failed), r.failed[0].err)
	}
	for _, f := range r.failed {
		r.items.RecordFailure(ctx, troubled.Schedule, f.id, f.err)
	}
	return nil
}

// dueSchedules selects a batch of the schedules that are due at $1, behind the one of $2, $3 and $4.
var dueSchedules = `SELECT ` + columns + ` WHERE s.due_at <= $1 AND (s.due_at, s.job, s.number) > ($2, $3, $4)` + notPaused + ` ORDER BY s.due_at, s.job, s.number LIMIT $5`

func (s *Schedules) read(ctx context.Context, now time.Time, after Schedule) ([]Schedule, error) {
	last := int64(math.MinInt64)
	if after.Next != nil {
		last = db.Micros(after.Next.Add(after.Spread))
	}
	return scanAll(s.Reader.QueryContext(ctx, dueSchedules, db.Micros(now), last, after.Job, after.Number, batch))
}

// judge decides the results of the due times of as many schedules as one transaction can store, and returns the other schedules in
// rest. A schedule that cannot be read is recorded as troubled.
func (r *round) judge(ctx context.Context, found []Schedule) (plan []dueSchedule, rest []Schedule) {
	slots := 0
	for i, one := range found {
		if slots >= mostSlots {
			return plan, found[i:]
		}
		rule, err := one.Rule()
		if err != nil {
			r.items.RecordFailure(ctx, troubled.Schedule, one.id(), err)
			continue
		}
		d := dueSchedule{Schedule: one, rule: rule}
		d.slots, d.following = rule.Due(*one.Next, r.now, one.paused())
		for k := range d.slots {
			if d.slots[k].Result == schedule.Paused {
				d.slots[k].Why = one.pausedText()
			}
		}
		slots += len(d.slots)
		plan = append(plan, d)
	}
	return plan, nil
}

// store stores the results of due schedules, in one transaction.
func (s *Schedules) store(ctx context.Context, plan []dueSchedule, changed func(job.Run)) error {
	// In one order, so that servers do not wait for each other in a circle.
	slices.SortFunc(plan, func(a, b dueSchedule) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Number, b.Number)) })
	var runs []job.Run
	var done []schedule.Slot
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		runs, done = nil, nil
		restored, err := readRestored(ctx, t)
		if err != nil {
			return err
		}
		own, err := lockDue(ctx, t, plan)
		if err != nil {
			return err
		}
		starting := starting{Schedules: s, t: t, restored: restored}
		if err := starting.all(ctx, own); err != nil {
			return err
		}
		runs, done = starting.runs, starting.done
		return s.enqueue(ctx, t, starting.entries)
	})
	if err != nil {
		return fmt.Errorf("start what %d schedules are due for: %w", len(plan), err)
	}
	s.count(done)
	for _, one := range plan {
		s.items.ClearFailure(ctx, troubled.Schedule, one.id())
	}
	if changed != nil {
		for _, run := range runs {
			changed(run)
		}
	}
	return nil
}

// lockDue locks the rows of schedules, and returns those that are what they were when they were read: no other server was
// faster, and nobody changed them.
func lockDue(ctx context.Context, t *db.Tx, plan []dueSchedule) ([]dueSchedule, error) {
	var jobs, docs []string
	var numbers, next []int64
	for _, d := range plan {
		jobs, numbers, next, docs = append(jobs, d.Job), append(numbers, int64(d.Number)), append(next, db.Micros(*d.Next)), append(docs, d.doc)
	}
	skip := ""
	if t.Dialect.Postgres {
		skip = ` FOR UPDATE OF s SKIP LOCKED`
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: jobs}, db.Column{Numbers: numbers}, db.Column{Numbers: next}, db.Column{Texts: docs})
	rows, err := t.QueryContext(ctx, `SELECT s.job, s.number, s.unstarted, s.finding FROM `+table+`, schedules s WHERE s.job = c0 AND s.number = c1 AND s.next_at = c2 AND s.doc = c3`+skip, args...)
	if err != nil {
		return nil, fmt.Errorf("lock %d schedules: %w", len(plan), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	locked := map[string]Schedule{}
	for rows.Next() {
		var one Schedule
		var finding sql.NullString
		if err := rows.Scan(&one.Job, &one.Number, &one.unstarted, &finding); err != nil {
			return nil, fmt.Errorf("lock %d schedules: %w", len(plan), err)
		}
		one.finding = decodeFinding(finding)
		locked[one.id()] = one
	}
	var own []dueSchedule
	for _, d := range plan {
		if one, is := locked[d.id()]; is {
			d.unstarted, d.finding = one.unstarted, one.finding
			own = append(own, d)
		}
	}
	return own, rows.Err()
}
