package erase_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/erase"
)

const marker = "a7Q2mZ9pX4"

// After random inserts, updates and deletions of rows of all sizes nothing of deleted rows is in the files, and everything
// else is as before.
func TestEraseSQLite(t *testing.T) {
	dir := t.TempDir()
	d, err := db.OpenSQLite(t.Context(), filepath.Join(dir, "stint.db"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	d.Log, d.Now = slog.Default(), time.Now
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := d.Writer.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(query, err)
		}
	}
	do(`CREATE TABLE rows (id INTEGER PRIMARY KEY, secret INTEGER NOT NULL, data BLOB NOT NULL)`)
	do(`CREATE TABLE keyed (name TEXT PRIMARY KEY, secret INTEGER NOT NULL) WITHOUT ROWID`)
	do(`CREATE INDEX rows_data ON rows (data)`)
	random := rand.New(rand.NewPCG(1, 2))
	text := func(secret int) string {
		n := []int{5, 200, 3000, 9000, 40000}[random.IntN(5)]
		if secret == 1 {
			return fmt.Sprint(random.IntN(1e6)) + strings.Repeat(marker, n/10+1)
		}
		return fmt.Sprint(random.IntN(1e6)) + strings.Repeat("k", n)
	}
	for i := range 1500 {
		secret := random.IntN(2)
		switch random.IntN(4) {
		case 0:
			do(`INSERT OR REPLACE INTO keyed (name, secret) VALUES ($1, $2)`, text(secret), secret)
		case 1:
			do(`UPDATE rows SET secret = $1, data = $2 WHERE id = (SELECT id FROM rows ORDER BY id LIMIT 1 OFFSET $3)`, secret, []byte(text(secret)), random.IntN(i+1))
		case 2:
			do(`DELETE FROM rows WHERE id IN (SELECT id FROM rows WHERE id % 7 = $1 LIMIT 3)`, random.IntN(7))
		default:
			do(`INSERT INTO rows (secret, data) VALUES ($1, $2)`, secret, []byte(text(secret)))
		}
	}
	do(`DELETE FROM rows WHERE secret = 1`)
	do(`DELETE FROM keyed WHERE secret = 1`)
	if n := filesWithMarker(t, dir); n == 0 {
		t.Fatal("the files have nothing of deleted rows before")
	}
	before := contents(t, d)
	reader, err := d.Reader.BeginTx(t.Context(), nil) // it keeps the write-ahead log for a while
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM rows`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		erased, err := erase.New(d).Erase(context.WithoutCancel(t.Context()), 1)
		if err == nil && !erased {
			err = fmt.Errorf("not erased")
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("erased although a reader needs the log: %v", err)
	case <-time.After(3 * time.Second):
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := filesWithMarker(t, dir); n != 0 {
		t.Errorf("%d files have something of deleted rows", n)
	}
	if contents(t, d) != before {
		t.Error("rows that were not deleted have changed")
	}
	var found string
	if err := d.Writer.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&found); err != nil || found != "ok" {
		t.Errorf("the database: %s, %v", found, err)
	}
}

// contents returns what the tables have, as a text.
func contents(t *testing.T, d *db.DB) string {
	t.Helper()
	var all strings.Builder
	for _, query := range []string{`SELECT id || ' ' || data FROM rows ORDER BY id`, `SELECT name FROM keyed ORDER BY name`} {
		rows, err := d.ReadTexts(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(strings.Join(rows, "\n"))
	}
	return all.String()
}

func filesWithMarker(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(marker[:8])) || bytes.Contains(data, []byte(marker[3:]+marker[:3])) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
