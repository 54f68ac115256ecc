package fill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
)

// definedAtOnce is how many definitions one transaction stores.
const definedAtOnce = 500

// Schedules defines n jobs, each with a schedule of each day.
func Schedules(ctx context.Context, o store.Options, n int) error {
	return within(ctx, o, func(db *store.Store) error {
		for first := 0; first < n; first += definedAtOnce {
			set := definition.Set{By: "bench", At: db.Now()}
			for i := first; i < min(first+definedAtOnce, n); i++ {
				text := fmt.Sprintf("job: daily-%d\ncommand: [python, report.py]\nparameters: [{name: DAY, type: date, default: yesterday}]\nschedules: [{every: 24h}]\n", i)
				d, mistakes := definition.Parse([]byte(text), nil)
				if len(mistakes) > 0 {
					return fmt.Errorf("the definition of daily-%d: %v", i, mistakes)
				}
				canonical, err := d.Canonical()
				if err != nil {
					return err
				}
				set.New = append(set.New, definition.New{Job: d.Job, Version: definition.Hash(canonical), YAML: text, Canonical: canonical})
			}
			if _, err := db.ApplyDefinitions(ctx, set); err != nil {
				return err
			}
		}
		return nil
	})
}

// Expectations expects n jobs to be started each day.
func Expectations(ctx context.Context, o store.Options, n int) error {
	return within(ctx, o, func(db *store.Store) error {
		for i := range n {
			err := db.SetDue(ctx, fmt.Sprintf("daily-%d", i), job.Expectation{EverySeconds: 24 * 60 * 60, GraceSeconds: 60}, "bench", db.Now())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// AllDueAt makes all schedules and expectations due at one time.
func AllDueAt(ctx context.Context, o store.Options, at time.Time) error {
	return within(ctx, o, func(db *store.Store) error {
		return errors.Join(
			db.Change(ctx, "make all schedules due", `UPDATE schedules SET next_at = $1, due_at = $1`, at.UnixMicro()),
			db.Change(ctx, "make all expectations due", `UPDATE job_due SET next_at = $1, check_at = $1`, at.UnixMicro()),
		)
	})
}

// within opens a database without a server, and collects statistics of what was filled, as autovacuum does within a minute.
func within(ctx context.Context, o store.Options, do func(*store.Store) error) (err error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := do(db); err != nil || o.URL == "" {
		return err
	}
	return db.Change(ctx, "collect statistics", "ANALYZE definitions, definition_versions, schedules, job_due")
}
