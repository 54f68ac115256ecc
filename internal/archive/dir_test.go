package archive_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stint.dev/stint/internal/archive"
)

func openDir(t *testing.T) (*archive.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	d, err := archive.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func put(t *testing.T, d *archive.Dir, key, data string) {
	t.Helper()
	if err := d.Put(t.Context(), key, strings.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func TestDirKeepsObjects(t *testing.T) {
	d, path := openDir(t)
	put(t, d, "a/1/x", "hello")
	put(t, d, "a/2", "other")
	put(t, d, "b", "")
	put(t, d, "a/1/x", "hello again")
	if got, err := d.ReadRange(t.Context(), "a/1/x", 6, 5); err != nil || string(got) != "again" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := d.ReadRange(t.Context(), "a/1/x", 7, 5); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read past the end: %v", err)
	}
	if err := os.WriteFile(filepath.Join(path, "a", ".partial-1"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, d, "a"); !slices.Equal(got, []string{"a/1/x", "a/2"}) {
		t.Errorf("listed %q", got)
	}
	for range 2 {
		if err := d.Delete(t.Context(), "a/1/x"); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.ReadRange(t.Context(), "a/1/x", 0, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read a deleted object: %v", err)
	}
	if got := keys(t, d, ""); !slices.Equal(got, []string{"a/2", "b"}) {
		t.Errorf("listed %q", got)
	}
	if _, err := os.Stat(filepath.Join(path, "a", "1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory is left: %v", err)
	}
}

func keys(t *testing.T, d *archive.Dir, prefix string) []string {
	t.Helper()
	var out []string
	for o, err := range d.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Key)
	}
	return out
}

// Whatever goes wrong, nothing of the object is there, and no key leads out of the directory.
func TestDirRefuses(t *testing.T) {
	d, path := openDir(t)
	for _, n := range []int64{2, 4} {
		if err := d.Put(t.Context(), "a/x", strings.NewReader("abc"), n); err == nil {
			t.Errorf("3 bytes were taken as %d", n)
		}
	}
	for _, key := range []string{"", "/", "../x", "a/../../x", "a//b", "a/./b", "/a", "a/", ".hidden", "a/.x", "a\\b", "a\x00b", strings.Repeat("x", 600)} {
		if err := d.Put(t.Context(), key, strings.NewReader(""), 0); err == nil {
			t.Errorf("key %q was taken", key)
		}
		if _, err := d.ReadRange(t.Context(), key, 0, 1); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("key %q was read: %v", key, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(path, "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Put(ctx, "x", strings.NewReader(""), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("put after the end: %v", err)
	}
}
