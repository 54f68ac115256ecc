package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// raise stores the outbox rows that a change of a run asks for.
func (t *tx) raise(ctx context.Context, run *job.Run, events []job.RunEvent, now time.Time) error {
	if len(events) == 0 {
		return nil
	}
	entries, err := t.notHealed(ctx, run, index.Causes(run, events, now), now)
	if err != nil {
		return err
	}
	if last := events[len(events)-1]; last.Kind == "state" && last.To == string(job.Succeeded) {
		good, err := t.goodNews(ctx, run, now)
		if err != nil {
			return err
		}
		entries = append(entries, good...)
	}
	if entries, err = t.obey(ctx, run, entries); err != nil {
		return err
	}
	return t.insertOutbox(ctx, entries)
}

// notHealed takes out that a lost run was heard again where nobody was notified yet that it was
// lost, and nobody will be.
func (t *tx) notHealed(ctx context.Context, run *job.Run, entries []index.OutboxEntry, now time.Time) ([]index.OutboxEntry, error) {
	at := slices.IndexFunc(entries, func(e index.OutboxEntry) bool { return e.What == index.WhatHealed })
	if at < 0 {
		return entries, nil
	}
	withdrawn, err := t.withdraw(ctx, run.ID, run.Attempt, "the agent reported again", now)
	if err == nil && withdrawn {
		entries = slices.Delete(entries, at, at+1)
	}
	return entries, err
}

// raise does so for a group, whose runs may not be stored yet: whether a success is news
// depends on the runs before it.
func (g *group) raise(ctx context.Context, run *job.Run, events []job.RunEvent, now time.Time) error {
	if n := len(events); n > 0 && events[n-1].To == string(job.Succeeded) {
		for id := range g.dirtyRuns {
			if row := g.runs[id]; id != run.ID && row.run.Job == run.Job {
				if err := g.tx.updateRun(ctx, row); err != nil {
					return err
				}
			}
		}
	}
	return g.tx.raise(ctx, run, events, now)
}

// goodNews is what a success is worth telling: an end of bad runs, or that somebody asked
// to be told of every success.
func (t *tx) goodNews(ctx context.Context, run *job.Run, now time.Time) ([]index.OutboxEntry, error) {
	if run.Attempt > 1 {
		if _, err := t.withdraw(ctx, run.ID, run.Attempt-1, fmt.Sprintf("attempt %d succeeded", run.Attempt), now); err != nil {
			return nil, err
		}
		var n int
		err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE run_id = $1
			AND what IN ('failed', 'timed_out', 'lost') AND status <> 'dropped' LIMIT 1) AS told`, run.ID).Scan(&n)
		if err != nil {
			return nil, fmt.Errorf("what was told of run %s: %w", run.ID, err)
		}
		if n > 0 {
			return []index.OutboxEntry{index.Recovered(run, fmt.Sprintf("attempt %d had not", run.Attempt-1), now)}, nil
		}
	}
	before, err := t.endBefore(ctx, run)
	if err != nil {
		return nil, err
	}
	if before.Number > 0 && index.Bad(before.State) {
		withdrawn, err := t.withdraw(ctx, before.ID, before.Attempt, "a later run of the job succeeded", now)
		if err != nil {
			return nil, err
		}
		if !withdrawn {
			return []index.OutboxEntry{index.Recovered(run, fmt.Sprintf("run #%d had not", before.Number), now)}, nil
		}
	}
	var wanted int
	err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM routes WHERE events LIKE '%,succeeded,%' LIMIT 1) AS wanted`).Scan(&wanted)
	if err != nil {
		return nil, fmt.Errorf("who wants to hear of success: %w", err)
	}
	if wanted == 0 {
		return nil, nil
	}
	return []index.OutboxEntry{{
		Kind: index.OutboxNotify, Run: run.ID, Attempt: run.Attempt, What: index.WhatSucceeded,
		Message: run.Outcome.Message, At: now,
	}}, nil
}

// runsBefore finds the runs of a job before one of them, by an index and without sorting.
// How many are looked at is bounded: whoever has so many at once has no series of them.
const runsBefore = `SELECT id, attempt, state, number FROM runs WHERE job = $1 AND start_at <= $2
	ORDER BY start_at DESC, id DESC LIMIT 50`

// endBefore is the id, attempt, number and state of the last run of the job, before this one, that
// ended by itself; zero when there is none.
func (t *tx) endBefore(ctx context.Context, run *job.Run) (before job.Run, err error) {
	rows, err := t.QueryContext(ctx, runsBefore, run.Job, micros(run.StartAt))
	if err != nil {
		return before, fmt.Errorf("runs before run %s: %w", run.ID, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var one job.Run
		if err := rows.Scan(&one.ID, &one.Attempt, &one.State, &one.Number); err != nil {
			return before, fmt.Errorf("runs before run %s: %w", run.ID, err)
		}
		if one.ID != run.ID && (one.State == job.Succeeded || index.Bad(one.State)) {
			return one, nil
		}
	}
	return before, rows.Err()
}

// Acknowledge writes down that a person knows of a run's trouble: nobody is told of it
// again. It returns the event that the history keeps.
func (s *Store) Acknowledge(ctx context.Context, run, by, why string, now time.Time) (job.Run, []job.RunEvent, error) {
	var row runRow
	var events []job.RunEvent
	err := s.writeRuns(ctx, theseRuns(run), func(t *tx) (err error) {
		if row, err = t.lockRun(ctx, run); err != nil {
			return err
		}
		evidence := "Acknowledged by " + index.Text(by, 200)
		if why != "" {
			evidence += ": " + index.Text(why, 1000)
		}
		events = []job.RunEvent{{
			Run: run, Attempt: row.run.Attempt, At: now.UTC(), Clock: index.ServerClock, Kind: "acknowledged",
			Rule: "acknowledged", Evidence: evidence,
		}}
		return t.insertEvents(ctx, events)
	})
	if err != nil {
		return job.Run{}, nil, fmt.Errorf("acknowledge run %s: %w", run, err)
	}
	return row.run, events, nil
}

// Acknowledged reports whether somebody acknowledged a run since a time.
func (s *Store) Acknowledged(ctx context.Context, run string, since time.Time) (bool, error) {
	var n int
	err := s.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM events WHERE run_id = $1 AND kind = 'acknowledged' AND at >= $2`,
		run, micros(since)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("who acknowledged run %s: %w", run, err)
	}
	return n > 0, nil
}

// SucceededSince reports whether a run of the job that started after a time succeeded.
func (s *Store) SucceededSince(ctx context.Context, name string, after time.Time) (bool, error) {
	var n int
	err := s.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE job = $1 AND state = 'succeeded'
		AND start_at > $2 LIMIT 1) AS later`, name, micros(after)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("later runs of job %s: %w", name, err)
	}
	return n > 0, nil
}
