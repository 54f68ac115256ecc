package store

import (
	"context"
	"errors"
	"testing"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/postgrestest"
)

// What is to happen with the commit happens once it is done, and only then: not for a transaction
// that failed, and once for one that was tried again.
func TestOnCommitIsCalledAfterTheCommit(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			if engine == "PostgreSQL" {
				o = Options{URL: postgrestest.URL(t)}
			}
			s, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // only read
			var seen []int  // how many jobs a reader sees at each call
			add := func(tx *db.Tx) error {
				tx.OnCommit(func() {
					n := -1
					if err := s.Reader.QueryRowContext(context.Background(), `SELECT COUNT(*) FROM jobs`).Scan(&n); err != nil {
						t.Error(err)
					}
					seen = append(seen, n)
				})
				_, err := tx.ExecContext(t.Context(), `INSERT INTO jobs (name, next_number) VALUES ('a', 1)`)
				return err
			}
			failed := errors.New("no")
			err = s.Write(t.Context(), db.None, func(tx *db.Tx) error { return errors.Join(add(tx), failed) })
			if !errors.Is(err, failed) || len(seen) != 0 {
				t.Fatalf("a transaction that failed: %v, calls %v", err, seen)
			}
			tries := 0
			err = s.Write(t.Context(), db.Runs("a"), func(tx *db.Tx) error {
				if err := add(tx); err != nil {
					return err
				}
				if tries++; tries == 1 {
					return db.ErrRetry
				}
				return nil
			})
			if err != nil || tries != 2 || len(seen) != 1 || seen[0] != 1 {
				t.Errorf("%v after %d tries, calls %v; want one that sees 1 job", err, tries, seen)
			}
		})
	}
}
