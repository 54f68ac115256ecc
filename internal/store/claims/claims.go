// Package claims keeps what a queued run needs before its start: workers, the claims that they
// have, and the permits of attempts.
//
// A transaction locks in this order: worker, runs by id, queue, claims.
package claims

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"

	"stint.dev/stint/internal/store/db"
)

// Claims keeps workers, claims and permits.
type Claims struct {
	*db.DB
	relaxed bool // what is committed may be lost: no claims are given
	key     []byte
	live    liveWorkers
	server  string // identifies this process in the rows of workers
	leases  keptLeases
	asks    *asks
	// released and overdue count the claims that ended without a start since the server began.
	released, overdue atomic.Int64
}

// New returns the claims of a database. relaxed says that a commit does not wait for the disk.
func New(d *db.DB, relaxed bool) *Claims {
	return &Claims{DB: d, relaxed: relaxed, server: rand.Text(), asks: newAsks()}
}

// keyBytes is the length of the key that signs tokens.
const keyBytes = 32

// OpenTokenKey reads the key that signs the tokens of claims and attempts. The first server makes it.
func (s *Claims) OpenTokenKey(ctx context.Context) error {
	fresh := make([]byte, keyBytes)
	_, _ = rand.Read(fresh) // it never fails
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := t.QueryRowContext(ctx, `SELECT token_key FROM installation`).Scan(&s.key); err != nil || len(s.key) > 0 {
			return err
		}
		return t.QueryRowContext(ctx, `UPDATE installation SET token_key = COALESCE(token_key, $1) RETURNING token_key`, fresh).Scan(&s.key)
	})
	if err == nil && len(s.key) < keyBytes {
		err = fmt.Errorf("it has %d bytes, and must have %d", len(s.key), keyBytes)
	}
	if err != nil {
		return fmt.Errorf("read the key of tokens of claims and attempts: %w", err)
	}
	return nil
}

// EndedClaims returns how many claims ended without a start since the server began: because their workers gave them
// back, and because no worker named them any more.
func (s *Claims) EndedClaims() (released, overdue int64) { return s.released.Load(), s.overdue.Load() }

// TokenKey returns the key that signs the tokens of claims and attempts.
func (s *Claims) TokenKey() []byte { return s.key }
