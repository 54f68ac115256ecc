package claims

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
)

// A database that was restored from a copy does not know what happened after the copy was made: what waits in it may
// have run, what is active in it may have ended, and processes may have permits that it does not have.

// HoldRestored holds every run of the queue until a person releases it, and why, because the database was restored. All
// claims end, because their agents may have got a permit. It returns how many runs wait.
func (s *Claims) HoldRestored(ctx context.Context, why string) (held int64, err error) {
	err = s.Write(ctx, db.All, func(t *db.Tx) (err error) {
		if held, err = storequeue.HoldAll(ctx, t, why); err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM claims`); err != nil {
			return fmt.Errorf("end all claims: %w", err)
		}
		if _, err := t.ExecContext(ctx, `UPDATE installation SET restored_at = $1, restored_why = $2`, db.Micros(t.Now()), why); err != nil {
			return fmt.Errorf("store that the database was restored: %w", err)
		}
		return nil
	})
	return held, err
}

// unknownRestore is why an attempt is held if no server has noticed that the database was restored.
const unknownRestore = "the database was restored, so it may have run since"

// beforeRestore selects why the database was restored if an attempt had its permit before.
const beforeRestore = `SELECT i.restored_why FROM installation i JOIN permits p ON p.at < i.restored_at OR p.claim = ''
	WHERE p.run_id = $1 AND p.attempt = $2`

// BeganBeforeRestore reports whether an attempt had its permit before the database was restored.
func (s *Claims) BeganBeforeRestore(ctx context.Context, t *db.Tx, run string, attempt int) (bool, error) {
	found, err := db.QueryTexts(ctx, t, beforeRestore, run, attempt)
	if err != nil {
		return false, fmt.Errorf("read whether attempt %d of run %s began before the database was restored: %w", attempt, run, err)
	}
	return len(found) > 0, nil
}

// heldAfterLoss returns why the attempt that follows a lost one is held: the lost one began before the database was
// restored, and may have ended well in what was lost with it. Empty if it is not held.
func heldAfterLoss(ctx context.Context, t *db.Tx, run string, attempt int) (why string, err error) {
	found, err := db.QueryTexts(ctx, t, beforeRestore, run, attempt)
	switch {
	case err != nil:
		return "", fmt.Errorf("read whether attempt %d of run %s began before the database was restored: %w", attempt, run, err)
	case len(found) == 0:
		return "", nil
	}
	return cmp.Or(found[0], unknownRestore), nil
}

// Recall gives an attempt the permit back that the database has lost: a process reports with the token of the attempt,
// which only the server signs, and only with the permit. The attempt must be newer than the one that the run shows. It
// takes the run off the queue. recalled is false if another process has the permit.
func (s *Claims) Recall(ctx context.Context, t *db.Tx, row *tables.RunRow, attempt int, incarnation string, now time.Time) (recalled bool, err error) {
	run := row.Run.ID
	has, err := readPermit(ctx, t, run, attempt)
	if err != nil || has.incarnation != "" && has.incarnation != incarnation {
		return false, err
	}
	if has.incarnation == "" {
		// Its claim is not known any more, so that no other process can get the permit with it.
		res, err := t.ExecContext(ctx, `INSERT INTO permits (run_id, attempt, incarnation, claim, worker, host, at, memory, avoided)
			VALUES ($1, $2, $3, '', '', '', $4, 0, 'null') ON CONFLICT DO NOTHING`, run, attempt, incarnation, db.Micros(now))
		if err := db.RequireRow(res, err); err != nil {
			return false, fmt.Errorf("store the permit of attempt %d of run %s again: %w", attempt, run, err)
		}
	}
	if _, err := t.ExecContext(ctx, `UPDATE permits SET active = 0 WHERE run_id = $1 AND attempt < $2`, run, attempt); err != nil {
		return false, fmt.Errorf("store the permit of attempt %d of run %s again: %w", attempt, run, err)
	}
	return true, s.AfterReturn(ctx, t, run)
}
