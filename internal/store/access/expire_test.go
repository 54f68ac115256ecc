package access

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
)

// Owners are looked for beside the transactions that agents wait for. A run that begins meanwhile keeps
// its own.
func TestOwnersOfRunsThatBeginMeanwhileStay(t *testing.T) {
	d, err := db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "stint.db"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // the test is over
	d.Now = time.Now
	s := New(d)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Writer.ExecContext(ctx, `INSERT INTO run_owners (run_id, token_id, owned_since) VALUES ('begins', 't', 0), ('never', 't', 0)`); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Writer.Conn(ctx) // the only one that writes
	if err != nil {
		t.Fatal(err)
	}
	if err := s.deleteUnusedOwners(ctx, time.Unix(0, 0)); err != nil { // where there is none, it waits for nobody
		t.Fatal(err)
	}
	waited := s.Writer.Stats().WaitCount
	ended := make(chan error, 1)
	go func() { ended <- s.deleteUnusedOwners(ctx, time.Unix(1, 0)) }()
	for s.Writer.Stats().WaitCount == waited { // until it has found both, and waits to delete them
		select {
		case err := <-ended:
			t.Fatalf("the owners were deleted while another transaction could write: %v", err)
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO attempts (run_id, attempt, size, doc) VALUES ('begins', 1, 0, '{}')`)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if left, err := s.ReadTexts(ctx, `SELECT run_id FROM run_owners`); err != nil || len(left) != 1 || left[0] != "begins" {
		t.Errorf("the owners of %q are left, %v", left, err)
	}
}
