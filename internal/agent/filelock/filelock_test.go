package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := errors.Join(Shared(int(first.Fd())), Shared(int(second.Fd()))); err != nil {
		t.Fatalf("two shared locks: %v", err)
	}
	if err := Exclusive(int(first.Fd())); !errors.Is(err, ErrLocked) {
		t.Errorf("an exclusive lock beside a shared one: %v", err)
	}
	second.Close()
	if err := Exclusive(int(first.Fd())); err != nil {
		t.Errorf("an exclusive lock alone: %v", err)
	}
	third := open()
	if err := Shared(int(third.Fd())); !errors.Is(err, ErrLocked) {
		t.Errorf("a shared lock beside an exclusive one: %v", err)
	}
	third.Close()
	if err := Exclusive(int(third.Fd())); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a lock of a closed file: %v", err)
	}
}
