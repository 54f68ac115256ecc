package stdio

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeWith is the read end of a pipe that holds data; its write end is closed if ended.
func pipeWith(t *testing.T, data string, ended bool) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return readEnd(t, r, w, data, ended)
}

// socketWith is one end of a pair of sockets, as pipeWith is of a pipe.
func socketWith(t *testing.T, data string, ended bool) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return readEnd(t, os.NewFile(uintptr(pair[0]), "read"), os.NewFile(uintptr(pair[1]), "write"), data, ended)
}

func readEnd(t *testing.T, r, w *os.File, data string, ended bool) *os.File {
	t.Helper()
	t.Cleanup(func() { r.Close() })
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if ended {
		w.Close()
	} else {
		t.Cleanup(func() { w.Close() })
	}
	return r
}

// fileAt is a file whose offset is behind its first bytes.
func fileAt(t *testing.T, data string, offset int64) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOneReader(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name string
		file *os.File
		want string
	}{
		{"no file", nil, ""},
		{"/dev/null", null, ""},
		{"a file", fileAt(t, "data", 1), ""},
		{"a pipe with data", pipeWith(t, "data", false), "a pipe"},
		{"a pipe with data that has ended", pipeWith(t, "data", true), "a pipe"},
		{"a pipe that brings nothing yet", pipeWith(t, "", false), "a pipe"},
		{"a pipe that has ended without data", pipeWith(t, "", true), ""},
		{"a socket with data", socketWith(t, "data", false), "a socket"},
		{"a socket with data that has ended", socketWith(t, "data", true), "a socket"},
		{"a socket that brings nothing yet", socketWith(t, "", false), "a socket"},
		{"a socket that has ended without data", socketWith(t, "", true), ""},
	} {
		if got := OneReader(c.file); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A pipe that ends while it is watched is empty, and what it holds is not read.
func TestOneReaderWaitsForTheEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	time.AfterFunc(time.Millisecond, func() { w.Close() })
	if !atEnd(int(r.Fd()), time.Minute) {
		t.Error("a pipe that ended without data counts as one with data")
	}
	full := pipeWith(t, "data", true)
	if OneReader(full) == "" {
		t.Error("a pipe with data counts as empty")
	}
	if data, err := io.ReadAll(full); string(data) != "data" || err != nil {
		t.Errorf("afterwards the pipe has %q, %v", data, err)
	}
}
