//go:build linux || darwin

package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestRule(t *testing.T) {
	const dir, sticky, link = fs.ModeDir, fs.ModeSticky, fs.ModeSymlink
	for name, c := range map[string]struct {
		mode           fs.FileMode
		uid, gid, self uint32
		part, parent   string // the beginning of why; empty for in order
	}{
		"one's own":                {dir | 0o700, 7, 8, 7, "", ""},
		"readable by all":          {dir | 0o755, 7, 8, 7, "", ""},
		"root's own":               {dir | 0o755, 0, 0, 0, "", ""},
		"root's, for a user":       {dir | 0o755, 0, 0, 7, "belongs", ""},
		"a user's, for root":       {dir | 0o700, 7, 7, 0, "belongs", "belongs"},
		"another user's":           {dir | 0o755, 8, 8, 7, "belongs", "belongs"},
		"written by all":           {dir | 0o777, 7, 7, 7, "can be written by every", "can be written by every"},
		"root's, written by all":   {dir | 0o777, 0, 0, 7, "belongs", "can be written by every"},
		"sticky":                   {dir | sticky | 0o777, 0, 0, 7, "belongs", ""},
		"one's own sticky":         {dir | sticky | 0o777, 7, 7, 7, "can be written by every", ""},
		"another's sticky":         {dir | sticky | 0o777, 8, 8, 7, "belongs", "belongs"},
		"written by a group":       {dir | 0o775, 7, 8, 7, "can be written by a group", "can be written by a group"},
		"written by one's own":     {dir | 0o775, 7, 7, 7, "", ""},
		"written by root's group":  {dir | 0o775, 0, 0, 0, "", ""},
		"a symbolic link":          {link | 0o777, 7, 7, 7, "is a symbolic link", "is a symbolic link"},
		"a file":                   {0o600, 7, 7, 7, "is not a directory", "is not a directory"},
		"a file written by others": {0o666, 7, 7, 7, "is not a directory", "is not a directory"},
	} {
		f := facts{path: "/x", mode: c.mode, uid: c.uid, gid: c.gid, self: c.self}
		for parent, want := range map[bool]string{false: c.part, true: c.parent} {
			err := f.refuse(parent)
			var refused *RefusedError
			if (want == "") != (err == nil) || want != "" && (!errors.As(err, &refused) || !strings.HasPrefix(refused.Why, want)) {
				t.Errorf("%s, as the state directory %v: %v, want %q", name, parent, err, want)
			}
		}
	}
}

// What the file system refuses is reported with its path, once, and with what to do.
func TestWhatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 300))
	for state, want := range map[string]string{
		file:             file + " is not a directory",
		"/dev/null":      "/dev/null is not a directory",
		file + "/state":  file + "/state cannot be used: not a directory",
		long:             long + " cannot be used: file name too long",
		"/proc/self/new": "/proc/self/new cannot be made: no such file or directory",
	} {
		if runtime.GOOS != "linux" && strings.HasPrefix(state, "/proc") {
			continue // there is no such file system
		}
		_, err := Open(state, "spool")
		if want += "; set STINT_STATE to a directory that only this user can write"; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a", "state")
	for range 2 {
		dir, err := Open(state, "spool")
		if err != nil || dir != filepath.Join(state, "spool") {
			t.Fatalf("%s, %v", dir, err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v %v", info, err)
		}
	}
	refused := func(what, path string) {
		t.Helper()
		var r *RefusedError
		if _, err := Open(state, "spool"); !errors.As(err, &r) || r.Path != path {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Chmod(state, 0o777); err != nil {
		t.Fatal(err)
	}
	refused("written by all", state)
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	spool := filepath.Join(state, "spool")
	if err := os.Remove(spool); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, spool); err != nil {
		t.Fatal(err)
	}
	refused("a link to elsewhere", spool)
	if err := os.Remove(spool); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(elsewhere, "gone"), spool); err != nil {
		t.Fatal(err)
	}
	refused("a link to nowhere", spool)
	if os.Geteuid() != 0 {
		return // only root can give a directory away
	}
	if err := os.Remove(spool); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(spool, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	refused("another user's spool", spool)
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(spool, 0, 0); err != nil {
		t.Fatal(err)
	}
	refused("another user's directory", state)
	// A link to a directory of one's own is a way to name it.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, "spool"); err != nil {
		t.Errorf("a link to the state directory: %v", err)
	}
}
