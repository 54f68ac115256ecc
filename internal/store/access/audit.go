package access

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
)

// Audit stores an entry of the audit log.
func (s *Access) Audit(ctx context.Context, e access.AuditEntry) error {
	return s.Change(ctx, "write to the audit log",
		`INSERT INTO audit (at, who, via, address, action, target, status, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		db.Micros(e.At), index.CleanText(e.Who, 200), e.Via, index.CleanText(e.Address, 100), index.CleanText(e.Action, 200), index.CleanText(e.Target, 500), e.Status, index.CleanText(e.Detail, 2000))
}

// likeText escapes what has a meaning in patterns of LIKE.
var likeText = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// AuditLog returns the entries of the audit log that a query asks for, the newest first.
func (s *Access) AuditLog(ctx context.Context, q query.Audit) ([]access.AuditEntry, error) {
	statement, args := `SELECT id, at, who, via, address, action, target, status, detail FROM audit WHERE 1 = 1`, []any{}
	add := func(given bool, condition string, value any) {
		if given {
			args = append(args, value)
			statement += fmt.Sprintf(condition, len(args))
		}
	}
	add(q.Before > 0, ` AND id < $%d`, q.Before)
	add(q.Who != "", ` AND who = $%d`, q.Who)
	add(q.Text != "", ` AND lower(action || ' ' || target || ' ' || detail) LIKE $%d ESCAPE '!'`, "%"+likeText.Replace(strings.ToLower(q.Text))+"%")
	add(!q.Since.IsZero(), ` AND at >= $%d`, db.Micros(q.Since))
	add(!q.Until.IsZero(), ` AND at < $%d`, db.Micros(q.Until))
	rows, err := s.Reader.QueryContext(ctx, statement+` ORDER BY id DESC LIMIT `+strconv.Itoa(q.Limit), args...)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	entries := []access.AuditEntry{}
	for rows.Next() {
		var e access.AuditEntry
		var at int64
		if err := rows.Scan(&e.ID, &at, &e.Who, &e.Via, &e.Address, &e.Action, &e.Target, &e.Status, &e.Detail); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		e.At = db.FromMicros(at)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// AssignOwner makes a token the owner of a run that does not exist yet, or whose owner was revoked or has
// expired, and returns the id of the owner that the run has now. It is empty for a run that was begun
// without an owner, which gets none later. The error is *index.SubmittedError for a submitted run.
func (s *Access) AssignOwner(ctx context.Context, run, token string, now time.Time) (owner string, err error) {
	owner, valid, err := ownerOf(ctx, s.Reader, run, now)
	if err != nil || valid {
		return owner, err
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		before, valid, err := ownerOf(ctx, t, run, now)
		if owner = before; err != nil || valid {
			return err
		}
		if before == "" {
			if err := refuseSubmitted(ctx, t, run); err != nil {
				return err
			}
			if err := refuseDeleted(ctx, t, run); err != nil {
				return err
			}
			var exists int
			err := t.QueryRowContext(ctx, `SELECT 1 FROM attempts WHERE run_id = $1 LIMIT 1`, run).Scan(&exists)
			if err == nil {
				return nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("check whether run %s exists: %w", run, err)
			}
		}
		// If two tokens become the owner at the same time, the one that commits last would win:
		// both then read the same row.
		return t.QueryRowContext(ctx, `INSERT INTO run_owners (run_id, token_id, owned_since) VALUES ($1, $2, $3)
			ON CONFLICT (run_id) DO UPDATE SET
				token_id = CASE WHEN run_owners.token_id = $4 THEN excluded.token_id ELSE run_owners.token_id END,
				owned_since = excluded.owned_since
			RETURNING token_id`, run, token, db.Micros(now), before).Scan(&owner)
	})
	return owner, err
}

// refuseDeleted returns *query.DeletedRunError for a run that somebody has deleted.
func refuseDeleted(ctx context.Context, t *db.Tx, run string) error {
	gone := query.DeletedRunError{Run: run}
	var at int64
	err := t.QueryRowContext(ctx, `SELECT deleted_at, deleted_by FROM deleted_runs WHERE run_id = $1`, run).Scan(&at, &gone.By)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check whether run %s was deleted: %w", run, err)
	}
	gone.At = db.FromMicros(at)
	return &gone
}

// refuseSubmitted returns *index.SubmittedError for a submitted run, which has no owner.
func refuseSubmitted(ctx context.Context, t *db.Tx, run string) error {
	var doc []byte
	var known struct {
		Submitted json.RawMessage `json:"submitted"`
	}
	err := t.QueryRowContext(ctx, `SELECT doc FROM runs WHERE id = $1`, run).Scan(&doc)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read run %s: %w", run, err)
	case json.Unmarshal(doc, &known) == nil && len(known.Submitted) > 0:
		return &index.SubmittedError{Run: run}
	}
	return nil // also for a document that cannot be read: the append reports that
}

// OwnerInvalid reports whether the token that a run belongs to was revoked or has expired; a run
// without an owner has no such token.
func (s *Access) OwnerInvalid(ctx context.Context, run string) (bool, error) {
	owner, valid, err := ownerOf(ctx, s.Reader, run, s.Now())
	return owner != "" && !valid, err
}

// ownerOf returns the token that owns a run; empty for none. valid says that the token may still be
// used.
func ownerOf(ctx context.Context, q db.RowQuerier, run string, now time.Time) (owner string, valid bool, err error) {
	var known sql.NullString
	var expires sql.NullInt64
	err = q.QueryRowContext(ctx, `SELECT o.token_id, k.id, k.expires_at FROM run_owners o LEFT JOIN tokens k ON k.id = o.token_id
		WHERE o.run_id = $1`, run).Scan(&owner, &known, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read the owner of run %s: %w", run, err)
	}
	return owner, known.Valid && (!expires.Valid || db.Micros(now) < expires.Int64), nil
}
