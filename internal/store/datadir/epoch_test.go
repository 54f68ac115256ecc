package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEpoch(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadEpoch(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	for _, n := range []int64{0, 1, 1 << 40} {
		if err := WriteEpoch(dir, n); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadEpoch(dir); err != nil || got != n {
			t.Errorf("wrote %d, read %d, %v", n, got, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "epoch")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := WriteEpoch(filepath.Join(dir, "none"), 1); err == nil || !strings.Contains(err.Error(), "epoch") {
		t.Errorf("in no directory: %v", err)
	}
}

func TestDamagedEpoch(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "\n", "x", "-1", "1 2", "1.5", "\x00\x00", "9223372036854775807", strings.Repeat("9", 100)} {
		if err := os.WriteFile(filepath.Join(dir, "epoch"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *DamagedEpochError
		if n, err := ReadEpoch(dir); !errors.As(err, &damaged) {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	}
}
