package access

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// auditDays is the time for which entries of the audit log are kept, and tokenDays that for which
	// expired tokens are kept: their names show whose requests are refused.
	auditDays = 400
	tokenDays = 90
	// unusedOwnerAfter is the age at which the owner of a run is deleted that does not exist.
	unusedOwnerAfter = 24 * time.Hour
	// expireBatch is the number of rows that one transaction deletes; agents may have to wait for it.
	expireBatch = 500
)

var (
	loginExpiry  = db.ExpiryRule{Table: "logins", Key: "hash", At: "expires_at", After: 0, Batch: expireBatch}
	accessExpiry = []db.ExpiryRule{
		{Table: "sessions", Key: "hash", At: "expires_at", After: 0, Batch: expireBatch},
		loginExpiry,
		{Table: "tokens", Key: "id", At: "expires_at", After: tokenDays * 24 * time.Hour, Batch: expireBatch},
		{Table: "audit", Key: "id", At: "at", After: auditDays * 24 * time.Hour, Batch: expireBatch},
	}
)

// SweepAccess deletes expired sessions, logins, tokens and entries of the audit log, and owners of runs
// that do not exist.
func (s *Access) SweepAccess(ctx context.Context, now time.Time) error {
	for _, e := range accessExpiry {
		if err := s.Expire(ctx, e, now); err != nil {
			return err
		}
	}
	return s.deleteUnusedOwners(ctx, now.Add(-unusedOwnerAfter))
}

// unusedOwners is the part of a statement that selects owners of runs that do not exist; argument 1 is the
// time before which they became owners.
const unusedOwners = ` FROM run_owners WHERE owned_since < $1 AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = run_owners.run_id)`

// deleteUnusedOwners deletes the owners of runs that do not exist. Nearly all owners have a run, so they
// are selected outside the transactions that agents wait for.
func (s *Access) deleteUnusedOwners(ctx context.Context, before time.Time) error {
	return s.RunSteps(ctx, func() (more bool, err error) {
		runs, err := s.ReadTexts(ctx, `SELECT run_id`+unusedOwners+` LIMIT $2`, db.Micros(before), expireBatch)
		if err != nil {
			return false, fmt.Errorf("select owners of runs that do not exist: %w", err)
		}
		if len(runs) == 0 {
			return false, nil
		}
		err = s.Write(ctx, db.None, func(t *db.Tx) error {
			statement, args := deleteOwners(t.Dialect, runs, before)
			if _, err := t.ExecContext(ctx, statement, args...); err != nil {
				return fmt.Errorf("delete the owners of runs that do not exist: %w", err)
			}
			return nil
		})
		return len(runs) == expireBatch, err
	})
}

// deleteOwners returns the statement that deletes the owners of those of the given runs that do not exist if
// they became owners before a time. It reads no other rows, because agents wait for its transaction.
func deleteOwners(d db.Dialect, runs []string, before time.Time) (statement string, args []any) {
	table, args := d.Table(2, db.Column{Texts: runs})
	return `DELETE` + unusedOwners + ` AND run_id IN (SELECT c0 FROM ` + table + `)`, append([]any{db.Micros(before)}, args...)
}
