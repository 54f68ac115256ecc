package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/recovery"
)

func installation(t *testing.T, s *store.Store) {
	if _, err := uuid.Parse(s.Installation()); err != nil {
		t.Errorf("installation %q: %v", s.Installation(), err)
	}
}

// reopen is the id of the database in a data directory.
func reopen(t *testing.T, dir string) string {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	id := s.Installation()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return id
}

// The id of an installation stays through restarts, in a backup, and when the database is
// rebuilt beside a readable one. Two installations have two.
func TestInstallationStays(t *testing.T) {
	dir := t.TempDir()
	id := reopen(t, dir)
	if again := reopen(t, dir); again != id {
		t.Errorf("%s after a restart, %s before", again, id)
	}
	if other := reopen(t, t.TempDir()); other == id {
		t.Errorf("two installations have the id %s", id)
	}

	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := recovery.Backup(t.Context(), s, copied, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if restored := reopen(t, copied); restored != id {
		t.Errorf("%s in a backup, %s before", restored, id)
	}

	for _, whole := range []bool{true, false} {
		if !whole {
			if err := os.WriteFile(filepath.Join(dir, "stint.db"), []byte("not a database"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := recovery.Rebuild(t.Context(), store.Options{Dir: dir}, nil, func(recovery.Finding) {}); err != nil {
			t.Fatal(err)
		}
		rebuilt := reopen(t, dir)
		if _, err := uuid.Parse(rebuilt); err != nil || whole != (rebuilt == id) {
			t.Errorf("the old database whole: %v: %s after rebuilding, %s before", whole, rebuilt, id)
		}
	}
}
