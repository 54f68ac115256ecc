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

	"github.com/google/uuid"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

const (
	// batch is how many schedules one transaction handles: agents wait for it with their journals.
	batch = 40
	// mostSlots is about how many occurrences one transaction stores.
	mostSlots = 2 * schedule.MostEqual
)

// due is a schedule that is due, and what becomes of its times.
type due struct {
	Schedule
	slots     []schedule.Slot
	following time.Time
}

// TickSchedules makes the runs of all schedules that are due, and an occurrence of every time. The runs, the
// occurrences and the next time of a schedule are stored in one transaction, so any number of servers may do this, and
// any of them may be killed. Schedules that another server is handling are left to it, and one that fails holds up no
// other. changed, unless it is nil, is called with each run that was made.
func (s *Schedules) TickSchedules(ctx context.Context, changed func(job.Run)) error {
	if !s.CopiedAt().IsZero() {
		return nil // the real server starts them
	}
	r := round{Schedules: s, now: s.Now(), changed: changed}
	return errors.Join(s.followClock(ctx), r.all(ctx), s.followFindings(ctx, r.now))
}

// mostFailed is how many schedules may fail before a round ends, if none did not: then the database is the cause.
const mostFailed = 3 * batch

// round is one look for schedules that are due.
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
			var plan []due
			plan, found = r.judge(ctx, found)
			if err := r.start(ctx, plan); err != nil {
				return err
			}
		}
	}
	return errors.Join(r.conclude(ctx), ctx.Err())
}

// start stores what becomes of schedules.
func (r *round) start(ctx context.Context, plan []due) error {
	if len(plan) == 0 {
		return nil
	}
	store := func(some []due) error {
		err := r.store(ctx, some, r.changed)
		if err == nil {
			r.done += len(some)
		}
		return err
	}
	return troubled.Isolate(ctx, r.DB, plan, store, func(one due, err error) { r.failed = append(r.failed, failure{one.id(), err}) })
}

// conclude records the schedules that failed, so that they rest before they are tried again. If none did not fail, it
// returns an error instead: the database may be the cause, and all are tried again soon.
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

// judge says what becomes of the times of schedules, as many as one transaction can store, and returns the others. One
// that cannot be read is recorded.
func (r *round) judge(ctx context.Context, found []Schedule) (plan []due, rest []Schedule) {
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
		d := due{Schedule: one}
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

// store stores what becomes of schedules, in one transaction.
func (s *Schedules) store(ctx context.Context, plan []due, changed func(job.Run)) error {
	// In one order, so that servers do not wait for each other in a circle.
	slices.SortFunc(plan, func(a, b due) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Number, b.Number)) })
	var runs []job.Run
	var done []schedule.Slot
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		runs, done = nil, nil
		restored, err := readRestored(ctx, t)
		if err != nil {
			return err
		}
		var entries []outbox.Entry
		for _, one := range plan {
			own, err := one.lock(ctx, t)
			if err != nil {
				return err
			}
			if !own {
				continue
			}
			starting := starting{Schedules: s, t: t, due: one, restored: restored}
			if err := starting.all(ctx); err != nil {
				return err
			}
			runs, done, entries = append(runs, starting.runs...), append(done, starting.done...), append(entries, starting.entries...)
		}
		return s.enqueue(ctx, t, entries)
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

// lock locks the row of a schedule. It reports whether the row is what it was when it was read: no other server was
// faster, and nobody changed it.
func (d *due) lock(ctx context.Context, t *db.Tx) (bool, error) {
	skip := ""
	if t.Dialect.Postgres {
		skip = t.Dialect.Lock + ` SKIP LOCKED`
	}
	var finding sql.NullString
	err := t.QueryRowContext(ctx, `SELECT unstarted, finding FROM schedules WHERE job = $1 AND number = $2 AND next_at = $3 AND doc = $4`+skip,
		d.Job, d.Number, db.Micros(*d.Next), d.doc).Scan(&d.unstarted, &finding)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock schedule %d of job %s: %w", d.Number, job.Quote(d.Job), err)
	}
	d.found = decodeFinding(finding)
	return true, nil
}

// restored is when the database was put back from an older copy, and why what was due before is held.
type restored struct {
	at  time.Time
	why string
}

func readRestored(ctx context.Context, t *db.Tx) (r restored, err error) {
	var at sql.NullInt64
	if err := t.QueryRowContext(ctx, `SELECT restored_at, restored_why FROM installation`).Scan(&at, &r.why); err != nil {
		return r, fmt.Errorf("read whether the database was restored: %w", err)
	}
	if at.Valid {
		r.at = db.FromMicros(at.Int64)
	}
	return r, nil
}

// starting is a schedule in the transaction that starts what it is due for.
type starting struct {
	*Schedules
	due
	t        *db.Tx
	restored restored
	runs     []job.Run
	done     []schedule.Slot
	inTheWay string // the run for which the last occurrence was skipped
	entries  []outbox.Entry
}

func (s *starting) all(ctx context.Context) error {
	var others []schedule.Slot // that are stored together
	for _, slot := range s.slots {
		if slot.Result != schedule.Ran && slot.Result != schedule.RanLate {
			others = append(others, slot)
			continue
		}
		if err := s.record(ctx, others); err != nil {
			return err
		}
		others = nil
		if err := s.one(ctx, slot); err != nil {
			return err
		}
	}
	if err := s.record(ctx, others); err != nil {
		return err
	}
	if err := s.judge(ctx); err != nil {
		return err
	}
	return move(ctx, s.t, s.Schedule, s.following)
}

func (s *starting) record(ctx context.Context, slots []schedule.Slot) error {
	s.done = append(s.done, slots...)
	return record(ctx, s.t, s.Schedule, slots)
}

// one makes the run of a time, or says why there is none. A time that has its occurrence already, because the clock was
// set back, is left alone.
func (s *starting) one(ctx context.Context, slot schedule.Slot) error {
	known, err := recorded(ctx, s.t, s.Schedule, slot.At)
	if err != nil || known {
		return err
	}
	o := rules.Occurrence{By: fmt.Sprintf("schedule %d", s.Number), At: slot.At.UTC()}
	o.AfterRestore(s.restored.at, s.restored.why, s.t.Now())
	return s.submit(ctx, slot, o)
}

// submit makes the run of a time, and its occurrence.
func (s *starting) submit(ctx context.Context, slot schedule.Slot, o rules.Occurrence) error {
	rule, err := s.Rule()
	if err != nil {
		return err
	}
	o.Run, o.Job, o.Schedule, o.At, o.Zone, o.Parameters = runID(s.Schedule, slot.At), s.Job, s.Number, slot.At.UTC(), rule.Zone, s.Parameters
	run, err := s.queue.SubmitOccurrence(ctx, s.t, o)
	result, why := refusal(err)
	switch {
	case err != nil && result == "":
		return err
	case err != nil:
		slot.Result, slot.Why, s.inTheWay = result, why, ""
		var overlap *rules.OverlapError
		if errors.As(err, &overlap) {
			s.inTheWay = overlap.Run
		}
		return s.record(ctx, []schedule.Slot{slot})
	}
	s.runs, s.done = append(s.runs, s.ForReader(run)), append(s.done, slot)
	return recordRun(ctx, s.t, s.Schedule, slot, o.Run)
}

// refusal returns what becomes of an occurrence of which no run can be made; "" for another error.
func refusal(err error) (schedule.Result, string) {
	var overlap *rules.OverlapError
	var values *definition.ValuesError
	var full *rules.FullError
	var conflict *rules.ConflictError
	var invalid *job.InvalidError
	var missing *query.NotFoundError
	switch {
	case errors.As(err, &overlap):
		return schedule.Skipped, overlap.Error()
	case errors.As(err, &values):
		return schedule.Refused, values.Error()
	case errors.As(err, &full):
		return schedule.Refused, full.Error()
	case errors.As(err, &conflict):
		return schedule.Refused, conflict.Error()
	case errors.As(err, &invalid):
		return schedule.Refused, invalid.Error()
	case errors.As(err, &missing):
		return schedule.Refused, missing.Error()
	}
	return "", ""
}

// ids is the namespace of the ids of runs that schedules start.
var ids = uuid.MustParse("8c1a4b52-5f0e-4b0e-9d43-6f0a1c7f2e91")

// runID returns the id of the run of an occurrence. It is always the same, so that a run that was made before the
// database was restored is not made again.
func runID(s Schedule, at time.Time) string {
	return uuid.NewSHA1(ids, fmt.Appendf(nil, "%s\x00%d\x00%d", s.Job, s.Number, at.Unix())).String()
}
