package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

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

// starting is the transaction that starts what schedules are due for.
type starting struct {
	*Schedules
	t        *db.Tx
	restored restored
	runs     []job.Run
	done     []schedule.Slot
	entries  []outbox.Entry
}

// startResult is the result of a due time for which a run should be created. If the clock was set back, the time may have
// its occurrence already: then recorded is true, and nothing is stored.
type startResult struct {
	recorded  bool
	run       string
	slot      schedule.Slot
	blockedBy string // the run for which it was skipped
}

// all stores the occurrences and runs of due schedules, and their next times.
func (s *starting) all(ctx context.Context, plan []dueSchedule) error {
	starts, err := s.start(ctx, plan)
	if err != nil {
		return err
	}
	var runs []runOf
	for i := range plan {
		of := outcome{dueSchedule: &plan[i], single: len(plan[i].slots) == 1}
		if starts, err = s.recordAll(ctx, &of, starts); err != nil {
			return err
		}
		runs = append(runs, of.runs...)
		if err := s.judge(ctx, &of); err != nil {
			return err
		}
		s.done = append(s.done, of.recorded...)
	}
	if err := recordRuns(ctx, s.t, runs); err != nil {
		return err
	}
	return moveAll(ctx, s.t, plan)
}

// outcome has the results of the due times of one schedule.
type outcome struct {
	*dueSchedule
	recorded  []schedule.Slot
	blockedBy string  // the run for which the last one was skipped
	single    bool    // it is one time, as for most schedules: those of all schedules are stored together
	runs      []runOf // that are to be stored
}

// recordAll stores the occurrences of a schedule, except the one of outcome.runs. starts are the results of this schedule and the next
// ones; it returns those of the next ones.
func (s *starting) recordAll(ctx context.Context, of *outcome, starts []startResult) ([]startResult, error) {
	var others []schedule.Slot // that are stored together
	for _, slot := range of.slots {
		one := startResult{slot: slot}
		if isStart(slot) {
			one, starts = starts[0], starts[1:]
			of.blockedBy = one.blockedBy
		}
		if one.recorded {
			continue
		}
		of.recorded = append(of.recorded, one.slot)
		if one.run == "" {
			others = append(others, one.slot)
			continue
		}
		if err := record(ctx, s.t, of.Schedule, others); err != nil {
			return nil, err
		}
		others = nil
		run := []runOf{{of.Schedule, one.slot, one.run}}
		if of.single {
			of.runs = run
		} else if err := recordRuns(ctx, s.t, run); err != nil {
			return nil, err
		}
	}
	return starts, record(ctx, s.t, of.Schedule, others)
}

func isStart(slot schedule.Slot) bool {
	return slot.Result == schedule.Ran || slot.Result == schedule.RanLate
}

// start creates the runs of all times that should start one, and returns their results in the order of the times.
func (s *starting) start(ctx context.Context, plan []dueSchedule) (all []startResult, err error) {
	var occasions []occasion
	for _, d := range plan {
		for _, slot := range d.slots {
			if isStart(slot) {
				occasions, all = append(occasions, occasion{d.Schedule, slot.At}), append(all, startResult{slot: slot})
			}
		}
	}
	known, err := recordedOf(ctx, s.t, occasions)
	if err != nil {
		return nil, err
	}
	var submitted []rules.Occurrence
	var places []int // in all
	i := 0
	for _, d := range plan {
		for _, slot := range d.slots {
			if !isStart(slot) {
				continue
			}
			if all[i].recorded = known[occasions[i].name()]; !all[i].recorded {
				o := rules.Occurrence{By: fmt.Sprintf("schedule %d", d.Number)}
				occurrenceOf(&o, d.Schedule, d.rule, slot.At)
				o.AfterRestore(s.restored.at, s.restored.why, s.t.Now())
				submitted, places = append(submitted, o), append(places, i)
			}
			i++
		}
	}
	return all, s.submit(ctx, submitted, func(k int) *startResult { return &all[places[k]] })
}

// occurrenceOf sets the fields of an occurrence that its schedule determines.
func occurrenceOf(o *rules.Occurrence, s Schedule, rule schedule.Rule, at time.Time) {
	o.Run, o.Job, o.Schedule, o.At, o.Zone, o.Parameters = runID(s, at), s.Job, s.Number, at.UTC(), rule.Zone, s.Parameters
}

// submit creates the runs of occurrences, and stores the result of the k-th one in of(k).
func (s *starting) submit(ctx context.Context, all []rules.Occurrence, of func(int) *startResult) error {
	if len(all) == 0 {
		return nil
	}
	submitted, err := s.queue.SubmitOccurrences(ctx, s.t, all)
	if err != nil {
		return err
	}
	for k, one := range submitted {
		m := of(k)
		result, why := refusal(one.Err)
		switch {
		case one.Err != nil && result == "":
			return one.Err
		case one.Err != nil:
			m.slot.Result, m.slot.Why = result, why
			var overlap *rules.OverlapError
			if errors.As(one.Err, &overlap) {
				m.blockedBy = overlap.Run
			}
		default:
			m.run = all[k].Run
			s.runs = append(s.runs, s.ForReader(one.Run))
		}
	}
	return nil
}

// refusal returns the result of an occurrence whose run was refused with err; "" for other errors.
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
