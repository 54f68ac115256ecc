package groups

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// A place is a row of queue_places: a run that counts for the limit of its group. It is taken with the claim
// of an attempt, and freed when the attempt has ended. When an attempt is lost, its process may go on: then
// the place is held until a time, and freed by the matcher unless the attempt reports again before.

// FreePlace frees the place of a run that ended. It does nothing for a run without one.
func FreePlace(ctx context.Context, t *db.Tx, run string) error { return freePlace(ctx, t, run, "") }

// FreeHeldPlace frees the place of a run that is held for an attempt that was lost, because it has ended for
// certain.
func FreeHeldPlace(ctx context.Context, t *db.Tx, run string) error {
	return freePlace(ctx, t, run, ` AND until IS NOT NULL`)
}

// FreeClaimedPlace frees the place that came with a claim. It leaves one that is held for an attempt that was
// lost.
func FreeClaimedPlace(ctx context.Context, t *db.Tx, run string) error {
	return freePlace(ctx, t, run, ` AND until IS NULL`)
}

func freePlace(ctx context.Context, t *db.Tx, run, which string) error {
	return t.Queue(ctx, db.Statement{
		Query: `DELETE FROM queue_places WHERE run_id = $1` + which, Args: []any{run}, What: "free the place of run " + run,
		Wrote: func() error {
			t.OnCommit(t.Signals.Match.Raise)
			return nil
		},
	})
}

// TakePlace gives a run a place of a group, with its claim.
func TakePlace(ctx context.Context, t *db.Tx, group, run string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO queue_places (group_name, run_id, taken_at) VALUES ($1, $2, $3)
		ON CONFLICT (run_id) DO UPDATE SET group_name = excluded.group_name, taken_at = excluded.taken_at, until = NULL`, group, run, db.Micros(t.Now()))
	if err != nil {
		return fmt.Errorf("take a place of group %s: %w", job.Quote(group), err)
	}
	return nil
}

// Unlimited is the number of free places of a group without a limit.
const Unlimited = 1 << 40

// CountFree returns how many runs of a group may start; the transaction has the lock of the queue.
func CountFree(ctx context.Context, from db.RowQuerier, group string) (int64, error) {
	var limit, used int64
	err := from.QueryRowContext(ctx, `SELECT COALESCE((SELECT run_limit FROM queue_groups WHERE name = $1), CAST($2 AS BIGINT)),
		(SELECT COUNT(*) FROM queue_places WHERE group_name = $1)`, group, int64(Unlimited)).Scan(&limit, &used)
	if err != nil {
		return 0, fmt.Errorf("count the places of group %s: %w", job.Quote(group), err)
	}
	return max(limit-used, 0), nil
}

// HoldPlace keeps the place of a run whose attempt was lost, until a time. A place that is held already is freed
// when it would have been.
func HoldPlace(ctx context.Context, t *db.Tx, run string, until time.Time) error {
	res, err := t.ExecContext(ctx, `UPDATE queue_places SET until = $2 WHERE run_id = $1 AND until IS NULL`, run, db.Micros(until))
	var held int64
	if err == nil {
		held, err = res.RowsAffected()
	}
	if err != nil {
		return fmt.Errorf("hold the place of run %s: %w", run, err)
	}
	if held > 0 && !until.After(t.Now()) {
		t.OnCommit(t.Signals.Match.Raise)
	}
	return nil
}

// RegainPlace gives a run its place again, because the attempt that was lost reports. If others have taken all
// places of the group meanwhile, more are active than the limit says.
func RegainPlace(ctx context.Context, t *db.Tx, run string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO queue_places (group_name, run_id, taken_at) SELECT group_name, run_id, $2 FROM submissions WHERE run_id = $1 AND group_name <> ''
		ON CONFLICT (run_id) DO UPDATE SET until = NULL`, run, db.Micros(t.Now()))
	if err != nil {
		return fmt.Errorf("give run %s its place again: %w", run, err)
	}
	return nil
}

// heldPlaces selects the runs whose places are held no longer. An attempt that reports, and that a cancel is about
// to stop, keeps its place meanwhile.
const heldPlaces = `SELECT p.run_id FROM queue_places p JOIN runs r ON r.id = p.run_id WHERE p.until <= $1 AND r.expires_at <= $1 ORDER BY p.until LIMIT $2`

// releaseBatch is the most places that one transaction of ReleaseHeldPlaces frees.
const releaseBatch = 200

// ReleaseHeldPlaces frees the places of attempts that were lost and have not reported again while their places were held.
func (s *Places) ReleaseHeldPlaces(ctx context.Context) error {
	for {
		now := db.Micros(s.Now())
		ids, err := s.ReadTexts(ctx, heldPlaces, now, releaseBatch)
		if err != nil {
			return fmt.Errorf("read which places are held no longer: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		var freed int64
		err = s.Write(ctx, db.Runs(ids...), func(t *db.Tx) error { // with the heartbeats that have arrived
			table, args := t.Dialect.Table(2, db.Column{Texts: ids})
			res, err := t.ExecContext(ctx, `DELETE FROM queue_places WHERE until <= $1 AND run_id IN (SELECT c0 FROM `+table+`)
				AND (SELECT expires_at FROM runs r WHERE r.id = queue_places.run_id) <= $1`, append([]any{now}, args...)...)
			if err == nil {
				freed, err = res.RowsAffected()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("free the places of %d runs that were lost: %w", len(ids), err)
		}
		if freed == 0 || len(ids) < releaseBatch {
			return nil
		}
	}
}
