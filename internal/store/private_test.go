package store_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/journal"
)

// Whatever the modes were, and whatever the umask is, only the owner reads the data directory.
func TestDataDirectoryIsClosedToOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	open := func() *store.Store {
		t.Helper()
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		if err != nil {
			t.Fatal(err)
		}
		id, data := whole(t, journal.Attempt{}, 0, strings.Repeat("x", 100_000))
		one(t, s, id, 1, 0, data)
		return s
	}
	check := func() {
		t.Helper()
		seen := 0
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err == nil && info.Mode()&0o077 != 0 {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
			seen++
			return err
		})
		if err != nil || seen < 6 {
			t.Errorf("%d files: %v", seen, err)
		}
	}
	s := open()
	check() // with the database, its log and its shared memory
	if !strings.Contains(logged.String(), "closed to other users") {
		t.Errorf("the log says %q", logged.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{"stint.db": 0o644, "segments": 0o755, ".": 0o755, "heartbeats": 0o666} {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	s = open()
	check()
	logged.Reset()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = open(); logged.Len() > 0 {
		t.Errorf("of a closed directory the log says %q", logged.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
