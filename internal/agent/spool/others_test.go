package spool

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHasOthers(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	has := func(want bool, when string) {
		t.Helper()
		if got := s.HasOthers("a", 1); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	for _, step := range []struct {
		made string
		want bool
	}{{"a.1", false}, {"a.2", true}} {
		if err := os.Mkdir(filepath.Join(s.Dir(), step.made), 0o700); err != nil {
			t.Fatal(err)
		}
		has(step.want, "with "+step.made)
	}
	if err := os.RemoveAll(s.Dir()); err != nil {
		t.Fatal(err)
	}
	has(true, "of a spool that cannot be listed nothing is known, which")
}
