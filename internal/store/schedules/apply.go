package schedules

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// Apply stores the schedules of a definition, in the transaction that stores the definition. One that exists already keeps
// its history, and whether it is paused; if its times changed, the next one is computed from now on.
func Apply(ctx context.Context, t *db.Tx, d definition.Definition) error {
	before, err := lockAll(ctx, t, d.Job)
	if err != nil {
		return err
	}
	var old []definition.Schedule
	highest := 0
	for _, s := range before {
		old = append(old, s.Schedule)
		highest = max(highest, s.Number)
	}
	after := withZones(d)
	gone := map[int]bool{}
	for i := range before {
		gone[i] = true
	}
	for i, pair := range definition.Pair(old, after) {
		s := Schedule{Job: d.Job, Position: i + 1, Schedule: after[i]}
		if pair < 0 {
			highest++
			s.Number = highest
			err = insert(ctx, t, s)
		} else {
			s.Number = before[pair].Number
			gone[pair] = false
			err = change(ctx, t, before[pair], s)
		}
		if err != nil {
			return err
		}
	}
	for i, s := range before {
		if gone[i] {
			if err := remove(ctx, t, s, "the schedule was deleted before it was started"); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete deletes the schedules of a job, in the transaction that deletes its definition.
func Delete(ctx context.Context, t *db.Tx, name string) error {
	all, err := lockAll(ctx, t, name)
	for _, s := range all {
		if err == nil {
			err = remove(ctx, t, s, "the definition was deleted before it was started")
		}
	}
	return err
}

// Resume records what was due while a job was paused, in the transaction that ends the pause.
func Resume(ctx context.Context, t *db.Tx, name string) error {
	all, err := lockAll(ctx, t, name)
	for _, s := range all {
		if err == nil {
			err = pass(ctx, t, s, t.Now(), true, "")
		}
	}
	return err
}

func lockAll(ctx context.Context, t *db.Tx, name string) ([]Schedule, error) {
	return scanAll(t.QueryContext(ctx, `SELECT `+columns+` WHERE s.job = $1 ORDER BY s.number`+lockOf(t), name))
}

// withZones returns the schedules of a definition, each with its zone.
func withZones(d definition.Definition) []definition.Schedule {
	var all []definition.Schedule
	for _, s := range d.Schedules {
		if s.Zone == "" {
			s.Zone = d.Zone
		}
		all = append(all, s)
	}
	return all
}

func insert(ctx context.Context, t *db.Tx, s Schedule) error {
	n, err := nextAfter(s, t.Now())
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `INSERT INTO schedules (job, number, position, doc, next_at, due_at, set_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		s.Job, s.Number, s.Position, n.doc, db.NullableMicros(n.next), db.NullableMicros(n.due), db.Micros(t.Now()))
	if err != nil {
		return fmt.Errorf("store schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	return nil
}

// change stores a changed schedule. Its old times that were due until now become occurrences.
func change(ctx context.Context, t *db.Tx, before, s Schedule) error {
	n, err := nextAfter(s, t.Now())
	if err != nil || n.doc == before.doc && s.Position == before.Position {
		return err
	}
	if before.SameTimes(s.Schedule) {
		n = n.with(before.Next, s)
	} else if err := pass(ctx, t, before, t.Now(), false, "the schedule was changed before it was started"); err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE schedules SET position = $3, doc = $4, next_at = $5, due_at = $6, set_at = $7 WHERE job = $1 AND number = $2`,
		s.Job, s.Number, s.Position, n.doc, db.NullableMicros(n.next), db.NullableMicros(n.due), db.Micros(t.Now()))
	if err != nil {
		return fmt.Errorf("change schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	return nil
}

func remove(ctx context.Context, t *db.Tx, s Schedule, why string) error {
	if err := pass(ctx, t, s, t.Now(), false, why); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM schedules WHERE job = $1 AND number = $2`, s.Job, s.Number); err != nil {
		return fmt.Errorf("delete schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	return nil
}

// stored is what the row of a schedule has.
type stored struct {
	doc       string
	next, due *time.Time
}

// nextAfter returns the row of a schedule whose next time is after another one.
func nextAfter(s Schedule, at time.Time) (n stored, err error) {
	text, err := json.Marshal(s.Schedule)
	if err != nil {
		return n, fmt.Errorf("encode a schedule of job %s: %w", job.Quote(s.Job), err)
	}
	n.doc = string(text)
	rule, err := s.Rule()
	if err != nil {
		return n, err
	}
	if next := rule.Times.Next(at, rule.Zone); !next.IsZero() {
		return n.with(&next, s), nil
	}
	return n, nil
}

// with returns the row with a next time.
func (n stored) with(next *time.Time, s Schedule) stored {
	n.next, n.due = next, nil
	if next != nil {
		due := next.Add(schedule.SpreadOf(s.Job, s.Number, time.Duration(s.Schedule.Spread)))
		n.due = &due
	}
	return n
}

// pass records every time of a schedule up to another one as an occurrence that was not started, because the job was
// paused or for another reason, and moves the schedule behind it.
func pass(ctx context.Context, t *db.Tx, s Schedule, until time.Time, paused bool, why string) error {
	if s.Next == nil || s.Next.After(until) {
		return nil
	}
	rule, err := s.Rule()
	if err != nil {
		return err
	}
	rule.Spread, rule.CatchUp = 0, false
	if paused {
		rule.Spread = s.Spread // what is not due yet is started after the pause
	}
	slots, following := rule.Due(*s.Next, until, paused || s.paused())
	for i := range slots {
		switch one := &slots[i]; {
		case one.Result == schedule.Paused:
			one.Why = s.pausedText()
		default:
			one.Result, one.Why = schedule.Missed, why
		}
	}
	if err := record(ctx, t, s, slots); err != nil {
		return err
	}
	return move(ctx, t, s, following)
}

// paused reports whether a person has paused the schedule or its job.
func (s Schedule) paused() bool { return s.Paused != nil || s.JobPaused != nil }

func (s Schedule) pausedText() string {
	if s.JobPaused == nil && s.Paused != nil {
		return "the schedule was paused"
	}
	return "the job was paused"
}

// move stores the first time of a schedule that has not come, the zero time for none, and what its last ones were.
func move(ctx context.Context, t *db.Tx, s Schedule, following time.Time) error {
	return moveAll(ctx, t, []dueSchedule{{Schedule: s, following: following}})
}

// moveAll is move for schedules.
func moveAll(ctx context.Context, t *db.Tx, all []dueSchedule) error {
	if len(all) == 0 {
		return nil
	}
	var jobs, findings []string
	var numbers, next, dueAt, unstarted, found []int64
	for _, d := range all {
		n := stored{}
		if !d.following.IsZero() {
			n = n.with(&d.following, d.Schedule)
		}
		finding, since, err := encodeFinding(d.finding)
		if err != nil {
			return err
		}
		if !since.Valid {
			since.Int64 = db.Never
		}
		jobs, numbers, next, dueAt = append(jobs, d.Job), append(numbers, int64(d.Number)), append(next, db.MicrosOrNever(n.next)), append(dueAt, db.MicrosOrNever(n.due))
		unstarted, findings, found = append(unstarted, d.unstarted), append(findings, finding.String), append(found, since.Int64)
	}
	table, args := t.Dialect.Table(3, db.Column{Texts: jobs}, db.Column{Numbers: numbers}, db.Column{Numbers: next}, db.Column{Numbers: dueAt},
		db.Column{Numbers: unstarted}, db.Column{Texts: findings}, db.Column{Numbers: found})
	return t.Queue(ctx, db.Statement{
		What: fmt.Sprintf("store when %d schedules are due", len(all)), Args: append([]any{db.Micros(t.Now()), db.Never}, args...),
		Query: `UPDATE schedules SET next_at = NULLIF(c2, $2), due_at = NULLIF(c3, $2), set_at = $1, unstarted = c4, finding = NULLIF(c5, ''), found_at = NULLIF(c6, $2)
			FROM ` + table + ` WHERE job = c0 AND number = c1`,
	})
}
