package secretkey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Of many processes that start at once one makes the file, and all have its key.
func TestMakeAtOnce(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "secret.key")
	const n = 32
	ids, makers := make([]string, n), make([]bool, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			keys, made, err := Make(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i], makers[i] = keys[0].ID(), made
		})
	}
	all.Wait()
	made := 0
	for i := range n {
		if ids[i] != ids[0] {
			t.Errorf("keys %s and %s", ids[i], ids[0])
		}
		if makers[i] {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d made it", made)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAddKeepsOlderKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	first, err := Add(path) // makes it
	if err != nil || len(first) != 1 {
		t.Fatalf("%d keys, %v", len(first), err)
	}
	second, err := Add(path)
	if err != nil || len(second) != 2 || second[1].ID() != first[0].ID() || second[0].ID() == first[0].ID() {
		t.Fatalf("%d keys, %v", len(second), err)
	}
	if all, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(all), header) {
		t.Errorf("the file begins otherwise: %q, %v", all, err)
	}
	text := first[0].Encrypt([]byte("x"), "row")
	if plain, err := second.Decrypt(text, "row"); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
	if keys, made, err := Make(path); err != nil || made || len(keys) != 2 {
		t.Errorf("%d keys, made: %v, %v", len(keys), made, err)
	}
	// A file that holds something else is not written over.
	if err := os.WriteFile(path, []byte("my other secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Add(path); err == nil {
		t.Error("a key was added to a file of something else")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "my other secret\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, _, err := Make(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]func(path string) error{
		"missing":     func(string) error { return nil },
		"empty":       func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"half":        func(p string) error { return os.WriteFile(p, text[:len(text)-9], 0o600) },
		"zeros":       func(p string) error { return os.WriteFile(p, make([]byte, len(text)), 0o600) },
		"too large":   func(p string) error { return os.WriteFile(p, []byte(strings.Repeat(string(text), 1000)), 0o600) },
		"directory":   func(p string) error { return os.Mkdir(p, 0o700) },
		"named pipe":  func(p string) error { return unix.Mkfifo(p, 0o600) },
		"for a group": func(p string) error { return writeMode(p, text, 0o640) },
		"for all":     func(p string) error { return writeMode(p, text, 0o604) },
		"writable":    func(p string) error { return writeMode(p, text, 0o622) },
		"of another":  func(p string) error { return errors.Join(writeMode(p, text, 0o600), os.Chown(p, 65534, 65534)) },
	}
	for name, prepare := range kinds {
		t.Run(name, func(t *testing.T) {
			if name == "of another" && os.Getuid() != 0 {
				t.Skip("only root gives files away")
			}
			path := filepath.Join(dir, name)
			if err := prepare(path); err != nil {
				t.Fatal(err)
			}
			keys, err := Read(path)
			if err == nil || len(keys) > 0 || !strings.Contains(err.Error(), path) {
				t.Errorf("%d keys, %v", len(keys), err)
			}
			if errors.Is(err, fs.ErrNotExist) != (name == "missing") {
				t.Errorf("missing: %v", err)
			}
		})
	}
	link := filepath.Join(dir, "link") // as mounted secrets are
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	if keys, err := Read(link); err != nil || len(keys) != 1 {
		t.Errorf("through a link: %d keys, %v", len(keys), err)
	}
}

func writeMode(path string, text []byte, mode fs.FileMode) error {
	return errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, mode))
}

func TestRightsOf(t *testing.T) {
	const root, me, other = 0, 1000, 1001
	for _, c := range []struct {
		owner, mode, dirOwner, user uint32
		want                        bool
	}{
		{me, 0o600, me, me, true},
		{me, 0o400, root, me, true},
		{me, 0o640, me, me, false},
		{me, 0o604, me, me, false},
		{root, 0o640, root, me, true}, // as a mounted secret for the server's group
		{root, 0o440, root, me, true},
		{root, 0o660, root, me, false},
		{root, 0o644, root, me, false},
		{root, 0o600, root, root, true},
		{root, 0o640, root, root, false},
		{other, 0o600, root, me, false},
		{other, 0o600, root, root, false},
		{other, 0o600, other, root, true}, // root serves a directory of the other
		{other, 0o640, other, root, false},
	} {
		if err := rightsOf("f", c.owner, c.mode, c.dirOwner, c.user); (err == nil) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMakeInMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "secret.key")
	if keys, made, err := Make(path); err == nil || made || len(keys) > 0 {
		t.Errorf("%d keys, made: %v, %v", len(keys), made, err)
	}
}
