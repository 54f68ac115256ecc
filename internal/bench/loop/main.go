// Loop is the yardstick of the queue: it takes one row after the other of a table, each in a
// transaction of its own that is durable before the next one, and does nothing else. It prints how many it took
// each second, and how many milliseconds the middle one took.
//
//	loop sqlite FILE ROWS CONNECTIONS SECONDS
//	loop pgx URL ROWS CONNECTIONS SECONDS
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "loop:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: loop sqlite|pgx DATABASE ROWS CONNECTIONS SECONDS")

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 5 {
		return errUsage
	}
	rows, rerr := strconv.Atoi(args[2])
	connections, cerr := strconv.Atoi(args[3])
	seconds, serr := strconv.ParseFloat(args[4], 64)
	if err := errors.Join(rerr, cerr, serr); err != nil {
		return err
	}
	driver, name, skip := args[0], args[1], " FOR UPDATE SKIP LOCKED"
	if driver == "sqlite" {
		// As internal/store/db opens it.
		name = "file:" + name + "?_txlock=immediate&_pragma=page_size(8192)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)"
		skip = ""
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := fill(ctx, db, rows); err != nil {
		return err
	}
	return measure(ctx, db, "UPDATE waiting SET taken = 1 WHERE id = (SELECT id FROM waiting WHERE taken = 0 ORDER BY turn LIMIT 1"+skip+")", connections, time.Duration(seconds*float64(time.Second)))
}

// fill makes the table.
func fill(ctx context.Context, db *sql.DB, rows int) error {
	for _, statement := range []string{
		`DROP TABLE IF EXISTS waiting`,
		`CREATE TABLE waiting (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL, taken INTEGER NOT NULL)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + strconv.Itoa(rows) + `) INSERT INTO waiting SELECT i, i, 0 FROM n`,
		`CREATE INDEX waiting_turn ON waiting (turn) WHERE taken = 0`,
		`ANALYZE`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// measure takes rows on all connections for a time.
func measure(ctx context.Context, db *sql.DB, take string, connections int, span time.Duration) error {
	statement, err := db.PrepareContext(ctx, take)
	if err != nil {
		return err
	}
	defer statement.Close() //nolint:errcheck // the database is closed after it
	type result struct {
		took []float64 // in ms
		err  error
	}
	results := make(chan result, connections)
	begun := time.Now()
	for range connections {
		go func() {
			var r result
			for last := begun; r.err == nil && last.Sub(begun) < span; {
				r.err = takeOne(ctx, statement)
				now := time.Now()
				r.took = append(r.took, float64(now.Sub(last).Microseconds())/1e3)
				last = now
			}
			results <- r
		}()
	}
	var all []float64
	for range connections {
		r := <-results
		if r.err != nil {
			return r.err
		}
		all = append(all, r.took...)
	}
	seconds := time.Since(begun).Seconds()
	slices.Sort(all)
	_, err = fmt.Printf("%g %g\n", float64(len(all))/seconds, all[len(all)/2])
	return err
}

var errEmpty = errors.New("no row is left to take: give it more rows")

func takeOne(ctx context.Context, take *sql.Stmt) error {
	result, err := take.ExecContext(ctx)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = errEmpty
	}
	return err
}
