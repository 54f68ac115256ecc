package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

// A database is recognised as an older copy by its epoch, which the data directory has, too.
func TestFindRestored(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string) // between two servers that have counted to 3 and to 5
		want   string                         // in the reason; empty for a database that was not restored
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"an older database": {func(t *testing.T, dir string) {
			copyFile(t, filepath.Join(dir, "old.db"), filepath.Join(dir, "stint.db"))
		}, "its epoch is 3, and the server had counted to 5"},
		"no epoch file":        {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "epoch"))) }, "no epoch file"},
		"a damaged epoch file": {func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, "epoch"), []byte("?"), 0o600)) }, "does not contain a number"},
		"an older epoch file":  {func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, "epoch"), []byte("2"), 0o600)) }, ""},
		"both are older": {func(t *testing.T, dir string) {
			copyFile(t, filepath.Join(dir, "old.db"), filepath.Join(dir, "stint.db"))
			must(t, os.WriteFile(filepath.Join(dir, "epoch"), []byte("3"), 0o600))
		}, ""}, // nothing shows it: see docs/backup.md
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			counted(t, dir, 3, noon)
			copyFile(t, filepath.Join(dir, "stint.db"), filepath.Join(dir, "old.db"))
			counted(t, dir, 2, noon.Add(time.Hour))
			c.change(t, dir)
			s := openDir(t, dir)
			defer func() { must(t, s.Close()) }()
			had, why, err := s.FindRestored(t.Context())
			must(t, err)
			if c.want == "" && why != "" || !strings.Contains(why, c.want) {
				t.Errorf("%q, want %q", why, c.want)
			}
			if strings.Contains(why, "epoch is 3") && !had.At.Equal(noon) {
				t.Errorf("the copy is of %s", had.At)
			}
			// It is counted on from the higher of both, so that it is recognised once.
			must(t, s.CountEpoch(t.Context()))
			if now, why, err := s.FindRestored(t.Context()); err != nil || why != "" || now.N <= had.N || strings.Contains(c.want, "counted to 5") && now.N != 6 {
				t.Errorf("%+v, %q, %v", now, why, err)
			}
		})
	}
}

// counted opens a data directory, counts it up n times at a time, and closes it.
func counted(t *testing.T, dir string, n int, at time.Time) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Now: func() time.Time { return at }})
	must(t, err)
	if _, why, err := s.FindRestored(t.Context()); err != nil || why != "" {
		t.Errorf("%q, %v", why, err)
	}
	for range n {
		must(t, s.CountEpoch(t.Context()))
	}
	must(t, s.Close())
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600))
}

// A PostgreSQL database is counted, so that it is known until when a restored one goes; by itself it is never recognised.
func TestEpochOfPostgreSQL(t *testing.T) {
	url := postgrestest.URL(t)
	one, two := openURL(t, url), openURL(t, url)
	one.SetClock(func() time.Time { return noon })
	must(t, two.CountEpoch(t.Context()))
	must(t, one.CountEpoch(t.Context()))
	if had, why, err := two.FindRestored(t.Context()); err != nil || why != "" || had.N != 2 || !had.At.Equal(noon) {
		t.Errorf("%+v, %q, %v", had, why, err)
	}
}
