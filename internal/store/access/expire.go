package access

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// auditDays is how long the audit log is kept, and tokenDays how long a token that has
	// expired: its name says until then whose requests are refused.
	auditDays = 400
	tokenDays = 90
	// ownerlessAfter is the age at which the owner of a run that never came to be, or
	// was deleted, is forgotten.
	ownerlessAfter = 24 * time.Hour
	// expireBatch is how many rows one transaction deletes, for which agents may have to wait.
	expireBatch = 500
)

var (
	expiringLogins = db.ExpiryRule{Table: "logins", Key: "hash", At: "expires_at", After: 0, Batch: expireBatch}
	ExpiringAccess = []db.ExpiryRule{
		{Table: "sessions", Key: "hash", At: "expires_at", After: 0, Batch: expireBatch},
		expiringLogins,
		{Table: "tokens", Key: "id", At: "expires_at", After: tokenDays * 24 * time.Hour, Batch: expireBatch},
		{Table: "audit", Key: "id", At: "at", After: auditDays * 24 * time.Hour, Batch: expireBatch},
	}
)

// SweepAccess deletes what has expired: sessions, logins that never came back, old tokens,
// old entries of the audit log, owners of runs that are not there.
func (s *Access) SweepAccess(ctx context.Context, now time.Time) error {
	for _, e := range ExpiringAccess {
		if err := s.Expire(ctx, e, now); err != nil {
			return err
		}
	}
	return s.forgetOwners(ctx, now.Add(-ownerlessAfter))
}

// ownerless is the part of a statement that finds owners of runs that are not there; argument 1 is
// the time before which they became owners.
const ownerless = ` FROM run_owners WHERE owned_since < $1 AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = run_owners.run_id)`

// forgetOwners deletes the owners of runs that are not there. Of nearly all owners there is the
// run, so they are looked for beside the transactions that agents wait for.
func (s *Access) forgetOwners(ctx context.Context, before time.Time) error {
	return s.RunSteps(ctx, func() (more bool, err error) {
		runs, err := s.ReadTexts(ctx, `SELECT run_id`+ownerless+` LIMIT $2`, db.Micros(before), expireBatch)
		if err != nil {
			return false, fmt.Errorf("look for owners of runs that are not there: %w", err)
		}
		if len(runs) == 0 {
			return false, nil
		}
		err = s.Write(ctx, db.None, func(t *db.Tx) error {
			statement, args := DeleteOwners(t.Dialect, runs, before)
			if _, err := t.ExecContext(ctx, statement, args...); err != nil {
				return fmt.Errorf("delete the owners of runs that are not there: %w", err)
			}
			return nil
		})
		return len(runs) == expireBatch, err
	})
}

// DeleteOwners is the statement that deletes the owners of those runs that are not there, and became
// owners before a time. It looks at nothing else: agents wait for its transaction.
func DeleteOwners(d db.Dialect, runs []string, before time.Time) (statement string, args []any) {
	table, args := d.Table(2, db.Column{Texts: runs})
	return `DELETE` + ownerless + ` AND run_id IN (SELECT c0 FROM ` + table + `)`, append([]any{db.Micros(before)}, args...)
}
