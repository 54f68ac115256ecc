package access

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
)

const tokenColumns = `id, name, scope, prefix, hash, created_at, expires_at, last_used_at, worker, labels`

// Access stores tokens, sessions, logins, the owners of runs, and the audit log.
type Access struct{ *db.DB }

// New returns the Access of a database.
func New(d *db.DB) *Access { return &Access{d} }

// CreateToken stores a token.
func (s *Access) CreateToken(ctx context.Context, k access.Token) error {
	labels, err := json.Marshal(k.Labels)
	if err != nil {
		return fmt.Errorf("encode the labels of token %s: %w", k.Name, err)
	}
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			k.ID, index.CleanText(k.Name, 200), k.Scope, k.Prefix, k.Hash, db.Micros(k.CreatedAt), db.NullableMicros(k.ExpiresAt), db.NullableMicros(k.LastUsedAt),
			k.Worker, string(labels))
		if err != nil {
			return fmt.Errorf("store token %s: %w", k.Name, err)
		}
		return nil
	})
}

// Tokens returns every token, oldest first.
func (s *Access) Tokens(ctx context.Context) ([]access.Token, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tokenColumns+` FROM tokens ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	tokens := []access.Token{}
	for rows.Next() {
		k, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("read tokens: %w", err)
		}
		tokens = append(tokens, k)
	}
	return tokens, rows.Err()
}

// TokenByHash returns the token whose secret has this SHA-256. The caller checks whether it has expired.
func (s *Access) TokenByHash(ctx context.Context, hash []byte) (access.Token, error) {
	k, err := scanToken(s.Reader.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE hash = $1`, hash))
	if errors.Is(err, sql.ErrNoRows) {
		return access.Token{}, &query.NotFoundError{What: "token"}
	}
	if err != nil {
		return access.Token{}, fmt.Errorf("read a token: %w", err)
	}
	return k, nil
}

// TouchTokens stores when tokens, by their ids, were last used. It ignores revoked ones.
func (s *Access) TouchTokens(ctx context.Context, used map[string]time.Time) error {
	var ids db.Column
	var times db.Column
	for _, id := range slices.Sorted(maps.Keys(used)) { // in one order, so that two servers cannot deadlock
		ids.Texts, times.Numbers = append(ids.Texts, id), append(times.Numbers, db.Micros(used[id]))
	}
	if len(ids.Texts) == 0 {
		return nil
	}
	from, args := s.Dialect.Table(1, ids, times)
	return s.Change(ctx, "store that tokens were used", `UPDATE tokens SET last_used_at = v.c1 FROM `+from+` WHERE tokens.id = v.c0`, args...)
}

// RevokeToken deletes a token.
func (s *Access) RevokeToken(ctx context.Context, id string) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		res, err := t.ExecContext(ctx, `DELETE FROM tokens WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("delete token %s: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, &query.NotFoundError{What: "token " + id})
		}
		if _, err := t.ExecContext(ctx, `UPDATE installation SET revoked = revoked + 1`); err != nil {
			return fmt.Errorf("count the revoked token %s: %w", id, err)
		}
		return nil
	})
}

// RevokedTokens returns the number of tokens that were revoked so far.
func (s *Access) RevokedTokens(ctx context.Context) (int64, error) {
	var n int64
	if err := s.Reader.QueryRowContext(ctx, `SELECT revoked FROM installation`).Scan(&n); err != nil {
		return 0, fmt.Errorf("read how many tokens were revoked: %w", err)
	}
	return n, nil
}

func scanToken(from db.Scanner) (access.Token, error) {
	var k access.Token
	var created int64
	var expires, used sql.NullInt64
	var labels []byte
	err := from.Scan(&k.ID, &k.Name, &k.Scope, &k.Prefix, &k.Hash, &created, &expires, &used, &k.Worker, &labels)
	if err == nil {
		err = json.Unmarshal(labels, &k.Labels)
	}
	k.CreatedAt, k.ExpiresAt, k.LastUsedAt = db.FromMicros(created), db.FromNullableMicros(expires), db.FromNullableMicros(used)
	return k, err
}
