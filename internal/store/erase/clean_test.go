package erase

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
)

// rowsOf are rows of two tables with an index each, one of them without row ids, and what each must hold.
type rowsOf struct {
	t      *testing.T
	e      *Eraser
	random *rand.Rand
	values map[string][]byte // by key
	keys   []string
	next   int
}

// value returns a value of any length up to several pages, which names its key in each 32 bytes.
func (r *rowsOf) value(key string) []byte {
	size := r.random.IntN(120)
	switch r.random.IntN(6) {
	case 0:
		size = 900 + r.random.IntN(3200) // about where rows continue on pages of their own
	case 1:
		size = r.random.IntN(40_000)
	}
	return bytes.Repeat([]byte(fmt.Sprintf("<%-30s>", key)), size/32+1)[:max(size, 20)]
}

// change inserts, replaces and deletes some rows at random.
func (r *rowsOf) change(n int) {
	r.t.Helper()
	err := r.e.Write(r.t.Context(), db.None, func(t *db.Tx) error {
		for range n {
			var err error
			switch choice := r.random.IntN(10); {
			case choice < 5 || len(r.keys) == 0:
				key := fmt.Sprintf("key %d of %d", r.next, r.random.Uint64())
				r.next++
				r.keys = append(r.keys, key)
				r.values[key] = r.value(key)
				err = exec(r, t, `INSERT INTO with_ids (k, v) VALUES ($1, $2)`, `INSERT INTO without_ids (k, v) VALUES ($1, $2)`, key, r.values[key])
			case choice < 7:
				key := r.keys[r.random.IntN(len(r.keys))]
				r.values[key] = r.value(key)
				err = exec(r, t, `UPDATE with_ids SET v = $2 WHERE k = $1`, `UPDATE without_ids SET v = $2 WHERE k = $1`, key, r.values[key])
			default:
				r.delete(t, r.random.IntN(len(r.keys)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rowsOf) delete(t *db.Tx, at int) {
	key := r.keys[at]
	r.keys[at] = r.keys[len(r.keys)-1]
	r.keys = r.keys[:len(r.keys)-1]
	delete(r.values, key)
	if err := exec(r, t, `DELETE FROM with_ids WHERE k = $1`, `DELETE FROM without_ids WHERE k = $1`, key); err != nil {
		r.t.Error(err)
	}
}

func exec(r *rowsOf, t *db.Tx, one, other string, args ...any) error {
	_, err := t.ExecContext(r.t.Context(), one, args...)
	_, also := t.ExecContext(r.t.Context(), other, args...)
	return errors.Join(err, also)
}

// check compares the tables with what they must hold, and lets SQLite check the database.
func (r *rowsOf) check() {
	r.t.Helper()
	for _, table := range []string{"with_ids", "without_ids"} {
		found := 0
		rows, err := r.e.Reader.QueryContext(r.t.Context(), `SELECT k, v FROM `+table)
		if err != nil {
			r.t.Fatal(err)
		}
		for ; rows.Next(); found++ {
			var key string
			var value []byte
			if err := rows.Scan(&key, &value); err != nil {
				r.t.Fatal(err)
			}
			if !bytes.Equal(value, r.values[key]) {
				r.t.Errorf("%s has another value for %q", table, key)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || found != len(r.values) {
			r.t.Errorf("%s has %d rows, want %d: %v", table, found, len(r.values), err)
		}
	}
	var problem string
	if err := r.e.Reader.QueryRowContext(r.t.Context(), `PRAGMA integrity_check`).Scan(&problem); err != nil || problem != "ok" {
		r.t.Errorf("the database: %s, %v", problem, err)
	}
}

// Whatever was inserted, replaced and deleted before, and while pages are cleaned: no row changes, the database is whole, and
// nothing is left of a row that was deleted before the first page was cleaned.
func TestCleanedDatabasesAreWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []int{512, 1024, 4096, 65536} {
		t.Run(fmt.Sprintf("pages of %d bytes", size), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			file := filepath.Join(t.TempDir(), "test.db")
			r := &rowsOf{t: t, e: openPages(t, file, size), random: rand.New(rand.NewPCG(seed, 0)), values: map[string][]byte{}}
			for range 4 {
				r.change(300)
			}
			before := map[string]bool{}
			for key := range r.values {
				before[key] = true
			}
			r.change(600)
			for key := range r.values {
				delete(before, key)
			}
			if len(before) < 20 {
				t.Fatalf("only %d rows were deleted", len(before))
			}
			for next, more := uint32(1), true; more; {
				err := r.e.Write(t.Context(), db.None, func(tx *db.Tx) (err error) {
					next, more, err = cleanPages(t.Context(), tx, next)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			r.check()
			if err := r.e.truncateLog(t.Context()); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for key := range before {
				if bytes.Contains(data, []byte(key)) {
					t.Errorf("the file still has %q, which was deleted", key)
				}
			}
			for next, more := uint32(1), true; more; { // beside other transactions
				err := r.e.Write(t.Context(), db.None, func(tx *db.Tx) (err error) {
					next, more, err = cleanPages(t.Context(), tx, next)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				r.change(20)
			}
			r.check()
			r.change(300)
			r.check()
		})
	}
}

// openPages opens a new database whose pages have a size.
func openPages(t *testing.T, file string, size int) *Eraser {
	t.Helper()
	open := func(pragmas string) *sql.DB {
		d, err := sql.Open("sqlite", "file:"+file+"?"+pragmas)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	writer := open(fmt.Sprintf("_pragma=page_size(%d)&_pragma=journal_mode(WAL)&_txlock=immediate", size))
	writer.SetMaxOpenConns(1)
	for _, one := range []string{
		`CREATE TABLE with_ids (id INTEGER PRIMARY KEY, k TEXT, v BLOB)`, `CREATE INDEX with_ids_k ON with_ids (k, v)`,
		`CREATE TABLE without_ids (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID`, `CREATE INDEX without_ids_v ON without_ids (v)`,
	} {
		if _, err := writer.ExecContext(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	reader := open("_pragma=query_only(1)&_pragma=busy_timeout(10000)")
	t.Cleanup(func() {
		if err := errors.Join(reader.Close(), writer.Close()); err != nil {
			t.Error(err)
		}
	})
	return New(&db.DB{Writer: writer, Reader: reader, Log: slog.New(slog.DiscardHandler), Now: time.Now})
}
