package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// addJob is a statement that adds a job.
func addJob(n int) db.Statement {
	return db.Statement{
		Query: `INSERT INTO jobs (name, next_number) VALUES ($1, $2)`, Args: []any{fmt.Sprintf("job %d", n), n},
		What: fmt.Sprintf("add job %d", n),
	}
}

func countJobs(t *testing.T, ctx context.Context, tx *db.Tx) (n int) {
	t.Helper()
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs`).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func TestStatementsThatGoTogether(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, Options{URL: postgrestest.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	const many = 2*db.PipelineStatements + 7
	add := func(tx *db.Tx, from, to int) error {
		for n := from; n < to; n++ {
			if err := tx.Queue(ctx, addJob(n)); err != nil {
				return err
			}
		}
		return nil
	}
	err = s.Write(ctx, db.All, func(tx *db.Tx) error {
		err := add(tx, 0, many)
		if n := countJobs(t, ctx, tx); n != many {
			t.Errorf("a query sees %d of the %d jobs before it", n, many)
		}
		return errors.Join(err, add(tx, many, many+5)) // nothing is asked after these
	})
	if err != nil {
		t.Fatal(err)
	}

	// A row is read after the statements before it, and one that is not there does not end the transaction.
	err = s.Write(ctx, db.All, func(tx *db.Tx) error {
		event := job.RunEvent{Run: "none"}
		var next, none int64
		err := tx.Queue(ctx, db.Statement{Query: `UPDATE jobs SET next_number = 77 WHERE name = $1`, Args: []any{"job 3"}, What: "change job 3"})
		err = errors.Join(err, tx.Queue(ctx, db.Statement{
			Query: `UPDATE jobs SET next_number = 99 WHERE name = $1 RETURNING next_number`, Args: []any{"job 4"}, What: "change job 4", ID: &event.ID,
		}))
		trips := s.Trips.Load()
		err = errors.Join(err, tx.ReadRow(ctx, `SELECT next_number FROM jobs WHERE name = $1`, []any{"job 3"}, &next))
		if next != 77 || event.ID != 99 || s.Trips.Load() != trips+1 {
			t.Errorf("read %d and %d in %d trips, want 77 and 99 in one", next, event.ID, s.Trips.Load()-trips)
		}
		if got := tx.ReadRow(ctx, `SELECT next_number FROM jobs WHERE name = $1`, []any{"none"}, &none); !errors.Is(got, sql.ErrNoRows) {
			t.Errorf("reading a row that is not there: %v", got)
		}
		return errors.Join(err, tx.Queue(ctx, db.Statement{Query: `UPDATE jobs SET next_number = $2 WHERE name = $1`, Args: []any{"job 3", 3}, What: "change job 3 back"}))
	})
	if err != nil {
		t.Fatal(err)
	}

	// One that fails is named, whatever comes after it, and nothing is left of the rest.
	err = s.Write(ctx, db.All, func(tx *db.Tx) error {
		if err := errors.Join(add(tx, many+5, many+10), add(tx, 3, 4), add(tx, many+10, many+15)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET next_number = 0`)
		return err
	})
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "23505" || !strings.Contains(err.Error(), "add job 3") {
		t.Errorf("adding a job twice: %v", err)
	}

	// A row that another server was faster with makes the transaction begin again.
	tries := 0
	err = s.Write(ctx, db.All, func(tx *db.Tx) error {
		if tries++; tries > 1 {
			if n := countJobs(t, ctx, tx); n != many+5 {
				t.Errorf("%d jobs, want %d", n, many+5)
			}
			return nil
		}
		return tx.Queue(ctx, db.Statement{Query: `UPDATE jobs SET next_number = 1 WHERE name = $1`, Args: []any{"none"}, One: true, What: "change it"})
	})
	if err != nil || tries != 2 {
		t.Errorf("%d tries, error %v", tries, err)
	}
}
