package spool

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/spool/disk"
)

// What is in a journal's directory in place of a file is an error of this journal, and
// keeps nobody waiting.
func TestEntryRefusesWhatIsNoFile(t *testing.T) {
	replace := map[string]func(path string) error{
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"device":    func(path string) error { return os.Symlink("/dev/zero", path) },
	}
	for kind, make := range replace {
		for _, file := range []string{disk.JournalFile, disk.SegmentName(100), disk.MetaFile, disk.MetaFile + disk.TmpSuffix, disk.NoteFile, disk.TailName(1)} {
			t.Run(kind+" "+file, func(t *testing.T) {
				s, err := Open(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(s.dir, "01a22132-289d-7374-9636-3d3fb12e8a86.1")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if file != disk.JournalFile {
					if err := os.WriteFile(filepath.Join(dir, disk.JournalFile), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := make(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				e, there := s.Entry(filepath.Base(dir))
				if !there || e.Err == nil {
					t.Errorf("entry: there %v, error %v; want an error that names %s", there, e.Err, file)
				}
			})
		}
	}
}

// The socket of an agent that was killed, and what people put there, keep no journal from
// being delivered.
func TestOtherThingsInAJournalsDirectory(t *testing.T) {
	state, err := os.MkdirTemp("", "s") // the address of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(state)
	s, err := Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j := begin(t, s, Limits{})
	put(j, 1000)
	size := j.Size()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(j.Path(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := unix.Mkfifo(filepath.Join(j.Path(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	e := only(t, s)
	if e.Err != nil {
		t.Fatal(e.Err)
	}
	j, rec, err := s.Adopt(t.Context(), e)
	if err != nil || rec.Size != size {
		t.Fatalf("recovered %+v, error %v", rec, err)
	}
	if err := j.Remove(); err != nil {
		t.Error(err)
	}
}
