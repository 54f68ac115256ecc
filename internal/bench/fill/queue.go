package fill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
)

const (
	// queueJobs is how many jobs share the queue evenly.
	queueJobs = 100
	// queueWriters submit at once.
	queueWriters = 8
)

// QueueJob is the name of the n-th of the jobs whose runs Queue submits. That of number 0 is never blocked.
func QueueJob(n int) string { return fmt.Sprintf("load-%d", n%queueJobs) }

// Queue puts n runs into the queue. With blocked, all but a hundredth of them wait for a place in a group, which
// has none.
func Queue(ctx context.Context, o store.Options, n int, blocked bool) (err error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := define(ctx, db, blocked); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var writers sync.WaitGroup
	for range queueWriters {
		writers.Go(func() {
			for i := int(next.Add(1)); i <= n && ctx.Err() == nil; i = int(next.Add(1)) {
				_, _, err := db.Submit(ctx, uuid.Must(uuid.NewV7()).String(), job.SubmitRequest{Job: QueueJob(i)}, "bench", false)
				if err != nil {
					cancel(err) // one error is as good as all
				}
			}
		})
	}
	writers.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("submit %d runs: %w", n, err)
	}
	if o.URL == "" {
		return nil
	}
	return db.Change(ctx, "collect statistics", "ANALYZE") // as autovacuum does within a minute
}

// define stores the definitions of the jobs.
func define(ctx context.Context, db *store.Store, blocked bool) error {
	set := definition.Set{By: "bench", At: db.Now()}
	for i := range queueJobs {
		text := fmt.Sprintf("job: %s\ncommand: [python, report.py]\nparameters: [{name: DAY, type: date, default: yesterday}]\nretries: {limit: 2}\n", QueueJob(i))
		if blocked && i > 0 {
			text += "group: full\n"
		}
		d, mistakes := definition.Parse([]byte(text), nil)
		if len(mistakes) > 0 {
			return fmt.Errorf("the definition of %s: %v", QueueJob(i), mistakes)
		}
		canonical, err := d.Canonical()
		if err != nil {
			return err
		}
		set.New = append(set.New, definition.New{Job: QueueJob(i), Version: definition.Hash(canonical), YAML: text, Canonical: canonical})
	}
	if _, err := db.ApplyDefinitions(ctx, set); err != nil {
		return err
	}
	_, err := db.SetGroup(ctx, "full", 0, "bench")
	return err
}
