package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/maintenance"
)

// Exec changes the database behind the store's back, as a damaged disk or an older version
// of the program does.
func (s *Store) Exec(ctx context.Context, query string, args ...any) error {
	_, err := s.Writer.ExecContext(ctx, query, args...)
	return err
}

// SetClock makes the store go by another clock.
func (s *Store) SetClock(now func() time.Time) { s.Now = now }

// SetKeep makes the store keep less or more.
func (s *Store) SetKeep(keep maintenance.Keep) { s.Keep, s.RunLog = keep, keep.RunLog }

// CountRunsOf returns how many runs a job has.
func (s *Store) CountRunsOf(ctx context.Context, name string) (n int64, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM runs WHERE job = $1`, name).Scan(&n)
	return n, err
}

// RefreshTroubles reads the troubled items again, as each tidying does.
func (s *Store) RefreshTroubles(ctx context.Context) error { return s.Refresh(ctx) }

// Postgres reports which database it is.
func (s *Store) Postgres() bool { return s.Dialect.Postgres }

// DeleteRun deletes a run as retention does.
func (s *Store) DeleteRun(ctx context.Context, id string) error {
	_, err := s.DeleteEndedRun(ctx, id)
	return err
}

// WriteAll is a transaction that may have changed any run.
func (s *Store) WriteAll(ctx context.Context) error {
	return s.Write(ctx, db.All, func(*db.Tx) error { return nil })
}

// HoldRun begins a transaction about a run, which goes on until release is called. Without a run it
// is about all of them.
func (s *Store) HoldRun(ctx context.Context, run string) (release func() error) {
	runs := db.Runs(run)
	if run == "" {
		runs = db.All
	}
	begun, over, ended := make(chan struct{}, 10), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Write(ctx, runs, func(*db.Tx) error {
			begun <- struct{}{} // at each try
			<-over
			return nil
		})
	}()
	<-begun
	return func() error {
		close(over)
		return <-ended
	}
}

// CountRows counts the rows of a table.
func (s *Store) CountRows(ctx context.Context, table string) (n int, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n)
	return n, err
}

// Tables lists the tables of the schema, without those that the database keeps for itself.
func (s *Store) Tables(ctx context.Context) ([]string, error) {
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'run\_texts\_%' ESCAPE '\' ORDER BY name`
	if s.Dialect.Postgres {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY table_name`
	}
	return s.ReadTexts(ctx, query)
}

// HoldWriter takes the connection that writes, until release is called.
func (s *Store) HoldWriter(ctx context.Context) (release func() error, err error) {
	conn, err := s.Writer.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return conn.Close, nil
}

// StoredRoute returns the row of a route as it is in the database.
func (s *Store) StoredRoute(ctx context.Context, name string) (doc, secret string, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT doc, secret FROM routes WHERE name = $1`, name).Scan(&doc, &secret)
	return doc, secret, err
}

// CheckSecretKey looks whether this server has the key of the database, as each tidying does.
func (s *Store) CheckSecretKey(ctx context.Context) error { return s.CheckKey(ctx) }

// PostgresFiles returns the directory of the files of the PostgreSQL database.
func (s *Store) PostgresFiles(ctx context.Context) (dir string, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()`).Scan(&dir)
	return dir, err
}

// FillQueue adds n entries to the queue like that of a run.
func (s *Store) FillQueue(ctx context.Context, like string, n int) error {
	return s.Write(ctx, db.All, func(t *db.Tx) error {
		const few = 500 // of a statement
		for from := 0; from < n; from += few {
			var values []string
			for i := from; i < min(from+few, n); i++ {
				values = append(values, fmt.Sprintf("('00000000-0000-7000-8000-%012d', %d)", i, i+1000))
			}
			for _, table := range []struct{ name, key, own, rest string }{
				{"runs", "id, number", "column1, column2", "job, attempt, state, health, leased, created_at, start_at, reported_at, lease_us, expires_at, period_us, peak_memory, search, doc"},
				{"queue_entries", "run_id", "column1", "attempt, job, definition, selector, group_name, weight, rank, gate, queued_at, held, avoid, memory"},
			} {
				id, _, _ := strings.Cut(table.key, ",")
				_, err := t.ExecContext(ctx, `INSERT INTO `+table.name+` (`+table.key+`, `+table.rest+`) SELECT `+table.own+`, `+table.rest+
					` FROM `+table.name+`, (VALUES `+strings.Join(values, ", ")+`) AS entries WHERE `+id+` = $1`, like)
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// PostgresDirectory returns the data directory of the PostgreSQL server.
func (s *Store) PostgresDirectory(ctx context.Context) (dir string, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT current_setting('data_directory')`).Scan(&dir)
	return dir, err
}

// IntegrityCheck returns what SQLite finds wrong with the database; "ok" for nothing.
func (s *Store) IntegrityCheck(ctx context.Context) (found string) {
	if err := s.Reader.QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&found); err != nil {
		return err.Error()
	}
	return found
}
