package erase

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// eraseKey is the advisory lock of the server that erases.
const eraseKey = 0x5374696e7445

// erasedTables are those whose rows may have something of a job. VACUUM alone would leave the bytes of deleted rows in the
// pages that have other rows, so the tables are rewritten.
var erasedTables = []string{
	"runs", "run_labels", "run_texts", "attempts", "blocks", "events", "outbox", "waiting_agents", "permits", "ended_claims", "claims",
	"submissions", "queue_entries", "queue_ready", "queue_after", "queue_places", "occurrences", "wire_runs", "run_counts", "run_owners", "troubled", "jobs", "job_bands",
	"job_policies", "job_due", "job_due_missed_times", "job_due_days", "job_pulses", "definitions", "definition_versions", "schedules",
}

// Tables returns the tables of PostgreSQL that Erase rewrites.
func Tables() []string { return slices.Clone(erasedTables) }

const (
	// tableLockWait is how long one table may be waited for, because later requests for it wait behind.
	tableLockWait = 3 * time.Second
	// mostLogBytes is up to how much is written to the write-ahead log, to overwrite its files that are used again.
	mostLogBytes = 1 << 30
)

// erasePostgres erases from a PostgreSQL database.
func (e *Eraser) erasePostgres(ctx context.Context, request int64) (erased bool, err error) {
	conn, err := e.Writer.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("connect to erase deleted bytes: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(eraseKey)).Scan(&erased); err != nil || !erased {
		return false, err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		for _, end := range []string{`RESET lock_timeout`, fmt.Sprintf(`SELECT pg_advisory_unlock(%d)`, int64(eraseKey))} {
			if _, uerr := conn.ExecContext(ctx, end); uerr != nil {
				err = errors.Join(err, uerr)
			}
		}
	}()
	if e.request != request || e.rewritten == nil {
		e.request, e.rewritten = request, map[string]bool{}
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf(`SET lock_timeout = %d`, tableLockWait.Milliseconds())); err != nil {
		return false, err
	}
	if err := e.checkReaders(ctx, conn); err != nil {
		return false, err
	}
	for _, table := range erasedTables {
		if e.rewritten[table] {
			continue
		}
		if err := rewrite(ctx, conn, `VACUUM (FULL, ANALYZE)`, table); err != nil {
			return false, fmt.Errorf("write table %s anew without deleted rows: %w", table, err)
		}
		e.rewritten[table] = true
	}
	if err := e.eraseLog(ctx, conn); err != nil {
		if !e.warned {
			e.Log.Warn("deleted runs are erased from the tables; the write-ahead log of PostgreSQL and its statistics have their bytes until PostgreSQL overwrites them, "+
				"because the server may not do that: docs/retention.md says which rights it needs", "error", err)
			e.warned = true
		}
	}
	return true, nil
}

// rewrite rewrites a table. PostgreSQL only warns, and does nothing, if the role may not do that: then the file of the
// table is the same as before.
func rewrite(ctx context.Context, conn *sql.Conn, statement, table string) error {
	var before, after int64
	if err := conn.QueryRowContext(ctx, `SELECT pg_relation_filenode($1::regclass)`, table).Scan(&before); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, statement+` `+table); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, `SELECT pg_relation_filenode($1::regclass)`, table).Scan(&after); err != nil {
		return err
	}
	if before == after {
		return errors.New("the role of the server may not do that: make it the owner of the table")
	}
	return nil
}

// checkReaders returns an error if a transaction that began before may still read what was deleted: then the rows would be
// written again.
func (e *Eraser) checkReaders(ctx context.Context, conn *sql.Conn) error {
	var pids sql.NullString
	err := conn.QueryRowContext(ctx, `SELECT string_agg(pid::text, ', ') FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL
			AND age(backend_xmin) > age((SELECT xmin FROM installation LIMIT 1))`).Scan(&pids)
	if err != nil {
		return fmt.Errorf("look for old transactions: %w", err)
	}
	if pids.Valid {
		return fmt.Errorf("transactions of PostgreSQL that began before the deletion must end first: those of the processes %s", pids.String)
	}
	return nil
}

// eraseLog erases from the statistics, and overwrites the files of the write-ahead log that were used before.
func (e *Eraser) eraseLog(ctx context.Context, conn *sql.Conn) error {
	if err := rewrite(ctx, conn, `VACUUM (FULL)`, `pg_catalog.pg_statistic`); err != nil {
		return fmt.Errorf("write the statistics anew: %w", err)
	}
	for _, one := range []string{`SELECT pg_switch_wal()`, `CHECKPOINT`} {
		if _, err := conn.ExecContext(ctx, one); err != nil {
			return fmt.Errorf("%s: %w", one, err)
		}
	}
	// The files before the checkpoint are removed, or renamed to be used again. Those are overwritten when the log has come
	// to them.
	var last string
	err := conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(name), '') FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'`).Scan(&last)
	if err != nil {
		return fmt.Errorf("list the write-ahead log: %w", err)
	}
	zeros := strings.Repeat(" ", 1<<20)
	for written := int64(0); written < mostLogBytes; written += int64(len(zeros)) {
		var passed bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_walfile_name(pg_current_wal_insert_lsn()) > $1`, last).Scan(&passed); err != nil {
			return fmt.Errorf("read the place in the write-ahead log: %w", err)
		}
		if passed {
			_, err := conn.ExecContext(ctx, `SELECT pg_switch_wal()`)
			return err
		}
		if _, err := conn.ExecContext(ctx, `SELECT pg_logical_emit_message(false, 'stint', $1)`, zeros); err != nil {
			return fmt.Errorf("write to the write-ahead log: %w", err)
		}
	}
	return fmt.Errorf("the write-ahead log has more than %d bytes to overwrite", int64(mostLogBytes))
}
