package claims

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/outbox"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// overdueTogether is how many overdue claims are read at once.
const overdueTogether = 100

// ending is the end of a claim without a start.
type ending struct {
	claim  string
	worker string // whose claim it must be; empty for anybody's
	reason string
	// withdrawn says that the server ends the claim; else the worker gives it back.
	withdrawn bool
	// overdue ends the claim only if it was not extended meanwhile.
	overdue bool
	// uncounted does not count as a claim that the worker gave back or lost.
	uncounted bool
}

// ReleaseClaim ends a claim of a worker: the run waits again at its old place, or ends, because too many claims of
// it ended without a start. It returns the run, with its events; a zero run for a claim that has ended, or is not
// one of this worker.
func (s *Claims) ReleaseClaim(ctx context.Context, worker, claim, reason string) (job.Run, []job.RunEvent, error) {
	done, err := s.end(ctx, ending{claim: claim, worker: worker, reason: index.CleanText(reason, 1000)})
	return done.run, done.events, err
}

// EndOverdueClaims ends the claims that no worker has named for longer than a claim lasts, and returns the
// changes of their runs.
func (s *Claims) EndOverdueClaims(ctx context.Context) ([]job.RunEvent, error) {
	var events []job.RunEvent
	if err := s.shortenClaims(ctx); err != nil {
		return nil, err
	}
	for {
		ids, err := s.ReadTexts(ctx, `SELECT id FROM claims WHERE until < $1 ORDER BY until LIMIT $2`, db.Micros(s.Now()), overdueTogether)
		if err != nil {
			return events, fmt.Errorf("read overdue claims: %w", err)
		}
		for _, id := range ids {
			done, err := s.end(ctx, ending{claim: id, reason: "it did not name the claim any more", withdrawn: true, overdue: true})
			if err != nil {
				return events, err
			}
			events = append(events, done.events...)
		}
		if len(ids) < overdueTogether {
			return events, nil
		}
	}
}

// shortenClaims ends claims in time that were given by a clock that was ahead.
func (s *Claims) shortenClaims(ctx context.Context) error {
	now := s.Now()
	latest := db.Micros(queue.LatestClaimEnd(now))
	ids, err := s.ReadTexts(ctx, `SELECT id FROM claims WHERE until > $1 LIMIT 1`, latest)
	if err != nil {
		return fmt.Errorf("read the claims of a clock that was ahead: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	return s.Change(ctx, "shorten the claims of a clock that was ahead", `UPDATE claims SET until = $1 WHERE until > $2`, db.Micros(now.Add(queue.ClaimTime)), latest)
}

// ExtendClaims gives every claim its whole time again, because the server was away: no worker could name
// them. Workers have their names until the longest request that they can have begun now would end: what the server
// before knew of them is lost.
func (s *Claims) ExtendClaims(ctx context.Context) error {
	err := s.Change(ctx, "shorten the leases of workers", `UPDATE workers SET lease_until = $1 WHERE lease_until > $1`, db.Micros(queue.LongestLease(s.Now())))
	if err != nil {
		return err
	}
	return s.Change(ctx, "extend all claims", `UPDATE claims SET until = $1 WHERE until < $1`, db.Micros(s.Now().Add(queue.ClaimTime)))
}

// TidyWorkers forgets workers that have not asked for a long time.
func (s *Claims) TidyWorkers(ctx context.Context, now time.Time) error {
	return s.forgetWorkers(ctx, now)
}

// endedRun is the run of a claim that end has ended; zero if the claim had ended before, or has not expired.
type endedRun struct {
	run    job.Run
	events []job.RunEvent
}

// end ends a claim.
func (s *Claims) end(ctx context.Context, e ending) (result endedRun, err error) {
	run, err := s.runOf(ctx, e.claim)
	if err != nil || run == "" {
		return endedRun{}, err
	}
	count := &s.released
	if e.overdue {
		count = &s.overdue
	}
	err = s.Write(ctx, db.Runs(run), func(t *db.Tx) error {
		result = endedRun{}
		row, err := tables.LockRun(ctx, t, run)
		var gone *query.NotFoundError
		if err != nil && !errors.As(err, &gone) {
			return err
		}
		exists := err == nil
		c, err := s.remove(ctx, t, e)
		if err != nil || c.id == "" {
			return err
		}
		t.OnCommit(func() { count.Add(1) })
		if !exists {
			return nil // the run was deleted, with its place in the queue
		}
		if err := storequeue.Return(ctx, t, run); err != nil {
			return err
		}
		if err := s.note(ctx, t, &row, c, e, &result); err != nil {
			return err
		}
		return s.count(ctx, t, &row, c, e, &result)
	})
	if err != nil {
		return endedRun{}, fmt.Errorf("end claim %s: %w", e.claim, err)
	}
	return result, nil
}

// runOf returns the run of a claim; empty if the claim has ended.
func (s *Claims) runOf(ctx context.Context, claim string) (string, error) {
	runs, err := s.ReadTexts(ctx, `SELECT run_id FROM claims WHERE id = $1`, claim)
	if err != nil || len(runs) == 0 {
		return "", err
	}
	return runs[0], nil
}

// claimRow is what is needed of a row of claims.
type claimRow struct {
	id, run, worker, work string
	attempt               int
}

// remove deletes a claim; the result is zero if it has ended, or does not end now.
func (s *Claims) remove(ctx context.Context, t *db.Tx, e ending) (c claimRow, err error) {
	before := int64(1 << 62)
	if e.overdue {
		before = db.Micros(s.Now())
	}
	err = t.QueryRowContext(ctx, `DELETE FROM claims WHERE id = $1 AND ($2 = '' OR worker = $2) AND until < $3 RETURNING id, run_id, worker, work, attempt`,
		e.claim, e.worker, before).Scan(&c.id, &c.run, &c.worker, &c.work, &c.attempt)
	if errors.Is(err, sql.ErrNoRows) {
		return claimRow{}, nil
	}
	if err != nil {
		return claimRow{}, fmt.Errorf("delete a claim: %w", err)
	}
	return c, nil
}

// note stores in the history of a run that a claim of it has ended.
func (s *Claims) note(ctx context.Context, t *db.Tx, row *tables.RunRow, c claimRow, e ending, result *endedRun) error {
	evidence := fmt.Sprintf("Given back by %s: %s.", c.worker, e.reason)
	if e.withdrawn {
		evidence = fmt.Sprintf("Withdrawn from %s: %s.", c.worker, e.reason)
	}
	state := string(row.Run.State)
	events := []job.RunEvent{{
		Run: c.run, Attempt: c.attempt, At: db.FromMicros(db.Micros(s.Now())), Clock: index.ServerClock, Kind: job.EventClaimEnded,
		From: state, To: state, Rule: job.EventClaimEnded, Evidence: evidence,
	}}
	if err := tables.InsertEvents(ctx, t, events); err != nil {
		return err
	}
	result.run, result.events = row.Run, events
	return nil
}

// count counts a claim that ended without a start, and ends a run of which too many did.
func (s *Claims) count(ctx context.Context, t *db.Tx, row *tables.RunRow, c claimRow, e ending, result *endedRun) error {
	leaving, err := isLeaving(ctx, t, c.worker)
	if err != nil || e.uncounted || leaving {
		return err
	}
	now := db.FromMicros(db.Micros(s.Now()))
	if _, err := t.ExecContext(ctx, `INSERT INTO ended_claims (id, run_id, attempt, worker, work, at, reason, lost) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		c.id, c.run, c.attempt, c.worker, c.work, db.Micros(now), e.reason, db.BoolToInt(e.overdue)); err != nil {
		return fmt.Errorf("count the end of a claim of run %s: %w", c.run, err)
	}
	var n int
	if err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM ended_claims WHERE run_id = $1 AND attempt = $2`, c.run, c.attempt).Scan(&n); err != nil {
		return fmt.Errorf("count the claims of run %s: %w", c.run, err)
	}
	if n < queue.LostClaimsLimit || row.Run.State != job.Queued && row.Run.State != job.Retrying {
		return nil
	}
	evidence := fmt.Sprintf("Attempt %d could not be started: %d claims ended without a start. The last one, of worker %s: %s.", c.attempt, n, c.worker, e.reason)
	event, err := s.giveUp(ctx, t, row, evidence, now)
	if err == nil && event != nil {
		result.run, result.events = row.Run, append(result.events, *event)
	}
	return err
}

// giveUp ends a run in the queue that cannot be started.
func (s *Claims) giveUp(ctx context.Context, t *db.Tx, row *tables.RunRow, evidence string, now time.Time) (*job.RunEvent, error) {
	next, event, err := index.Move(row.Run, job.Event{Kind: job.Ended, State: job.Failed}, now, index.ServerClock, evidence)
	if err != nil || event == nil {
		return nil, nil //nolint:nilerr // the run has ended in another way meanwhile
	}
	next.Outcome, next.EndedAt = &job.Outcome{State: job.Failed, Reason: job.CouldNotStart, Message: evidence}, &now
	row.Run = next
	if err := errors.Join(storequeue.Leave(ctx, t, next.ID), groups.FreePlace(ctx, t, next.ID)); err != nil {
		return nil, err
	}
	events := []job.RunEvent{*event}
	if err := tables.InsertEvents(ctx, t, events); err != nil {
		return nil, err
	}
	if err := outbox.EnqueueChange(ctx, t, row, events, time.Time{}, now); err != nil {
		return nil, err
	}
	return &events[0], tables.UpdateRun(ctx, t, row)
}

// isLeaving reports whether a worker has reported that it ends: what it gives back then says nothing
// about the run.
func isLeaving(ctx context.Context, t *db.Tx, worker string) (bool, error) {
	var leaving int
	err := t.QueryRowContext(ctx, `SELECT COALESCE(MAX(leaving), 0) FROM workers WHERE name = $1`, worker).Scan(&leaving)
	if err != nil {
		return false, fmt.Errorf("read worker %s: %w", job.Quote(worker), err)
	}
	return leaving == 1, nil
}
