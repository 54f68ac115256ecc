package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
)

// CreateSession stores a session.
func (s *Access) CreateSession(ctx context.Context, n access.Session) error {
	return s.Change(ctx, "store a session",
		`INSERT INTO sessions (hash, who, scope, via, token_id, created_at, expires_at, used_at, identity) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		n.Hash, index.CleanText(n.Who, 200), n.Scope, n.Via, n.Token, db.Micros(n.CreatedAt), db.Micros(n.ExpiresAt), db.Micros(n.UsedAt), n.Identity)
}

// SessionByHash returns the session whose secret has this SHA-256. The caller checks whether it has
// expired. A session ends with the token that it was created with.
func (s *Access) SessionByHash(ctx context.Context, hash []byte) (access.Session, error) {
	n := access.Session{Hash: hash}
	var created, expires, used int64
	var tokenExpires sql.NullInt64
	err := s.Reader.QueryRowContext(ctx, `
		SELECT s.who, s.scope, s.via, s.token_id, s.created_at, s.expires_at, s.used_at, s.identity, t.expires_at
		FROM sessions s LEFT JOIN tokens t ON t.id = s.token_id
		WHERE s.hash = $1 AND (s.token_id = '' OR t.id IS NOT NULL)`, hash).
		Scan(&n.Who, &n.Scope, &n.Via, &n.Token, &created, &expires, &used, &n.Identity, &tokenExpires)
	if errors.Is(err, sql.ErrNoRows) {
		return access.Session{}, &query.NotFoundError{What: "session"}
	}
	if err != nil {
		return access.Session{}, fmt.Errorf("read a session: %w", err)
	}
	if tokenExpires.Valid {
		expires = min(expires, tokenExpires.Int64)
	}
	n.CreatedAt, n.ExpiresAt, n.UsedAt = db.FromMicros(created), db.FromMicros(expires), db.FromMicros(used)
	return n, nil
}

// TouchSession records when a session was used, and when it expires.
func (s *Access) TouchSession(ctx context.Context, hash []byte, at, expires time.Time) error {
	return s.Change(ctx, "store that a session was used",
		`UPDATE sessions SET used_at = $2, expires_at = $3 WHERE hash = $1`, hash, db.Micros(at), db.Micros(expires))
}

// EndSession deletes a session. It returns no error for one that does not exist.
func (s *Access) EndSession(ctx context.Context, hash []byte) error {
	if there, err := s.has(ctx, "sessions", hash); err != nil || !there {
		return err
	}
	return s.Change(ctx, "end a session", `DELETE FROM sessions WHERE hash = $1`, hash)
}

// BeginLogin stores a login that was begun at an identity provider. It deletes some expired ones, because
// anybody may begin a login.
func (s *Access) BeginLogin(ctx context.Context, l access.Login, now time.Time) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		if _, err := t.ExecContext(ctx, loginExpiry.Statement(), db.Micros(now), expiredLoginsDeleted); err != nil {
			return fmt.Errorf("delete logins that have expired: %w", err)
		}
		_, err := t.ExecContext(ctx, `INSERT INTO logins (hash, return_to, expires_at) VALUES ($1, $2, $3)`,
			l.Hash, l.ReturnTo, db.Micros(l.ExpiresAt))
		if err != nil {
			return fmt.Errorf("begin a login: %w", err)
		}
		return nil
	})
}

// expiredLoginsDeleted is the number of expired logins that are deleted with a new one.
const expiredLoginsDeleted = 10

// has reports whether a table has a row with a hash. A request with an unknown hash may come from anybody,
// and must not use the connection that writes, for which all others wait.
func (s *Access) has(ctx context.Context, table string, hash []byte) (bool, error) {
	var n int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table+` WHERE hash = $1`, hash).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", table, err)
	}
	return n > 0, nil
}

// TakeLogin returns a login and deletes it, so that it can be used once. It returns *query.NotFoundError if
// there is none or it has expired.
func (s *Access) TakeLogin(ctx context.Context, hash []byte, now time.Time) (access.Login, error) {
	l := access.Login{Hash: hash}
	there, err := s.has(ctx, "logins", hash)
	switch {
	case err != nil:
		return l, err
	case !there:
		return l, &query.NotFoundError{What: "login"}
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		var expires int64
		err := t.QueryRowContext(ctx, `DELETE FROM logins WHERE hash = $1 RETURNING return_to, expires_at`, hash).
			Scan(&l.ReturnTo, &expires)
		l.ExpiresAt = db.FromMicros(expires)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !now.Before(l.ExpiresAt) {
			return &query.NotFoundError{What: "login"}
		}
		return err
	})
	return l, err
}
