package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var meta = Meta{Run: "01890a5d-ac96-774b-bcce-b302099a8057", Attempt: 2, Job: "test", Server: "http://127.0.0.1:7846"}

func output(n int) []byte {
	return journal.AppendRecord(nil, journal.OutputRecord(time.Unix(1, 0), journal.Output{Stream: job.Stdout, Data: bytes.Repeat([]byte("x"), n)}))
}

func note() []byte {
	return journal.AppendRecord(nil, journal.Record{Type: journal.TypeNote, At: time.Unix(1, 0), Payload: []byte("{}")})
}

func open(t *testing.T) *Spool {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func begin(t *testing.T, s *Spool, l Limits) *Journal {
	t.Helper()
	j, err := s.Create(meta, l)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func write(t *testing.T, j *Journal, rec []byte) {
	t.Helper()
	if n, err := j.Write(rec); err != nil || n != len(rec) {
		t.Fatalf("wrote %d of %d bytes, error %v", n, len(rec), err)
	}
}

func TestLifeOfAJournal(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	write(t, j, journal.AppendHeader(nil))
	rec := output(1000)
	write(t, j, rec)
	entries, err := s.List()
	if err != nil || len(entries) != 1 || entries[0].Meta != meta || entries[0].Size != j.Size() {
		t.Fatalf("entries %+v, error %v", entries, err)
	}
	if _, _, err := s.Adopt(entries[0]); !errors.Is(err, ErrBusy) {
		t.Errorf("adopting what is in use: %v", err)
	}
	if _, err := s.Create(meta, Limits{}); !errors.Is(err, ErrExists) {
		t.Errorf("the same attempt again: %v", err)
	}
	j.Acknowledge(16)
	if j.Unsent() != int64(len(rec)) {
		t.Errorf("unsent %d, want %d", j.Unsent(), len(rec))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	entries, _ = s.List()
	again, recovered, err := s.Adopt(entries[0])
	if err != nil || recovered.Size != int64(16+len(rec)) || again.Acknowledged() != 16 {
		t.Fatalf("adopted %+v, acknowledged %d, error %v", recovered, again.Acknowledged(), err)
	}
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Adopt(entries[0]); !errors.Is(err, ErrGone) {
		t.Errorf("adopting what is gone: %v", err)
	}
}

func TestNobodyElseMayRead(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	defer j.Close()
	for path, want := range map[string]os.FileMode{
		s.Dir(): 0o700, j.Path(): 0o700, filepath.Join(j.Path(), journalFile): 0o600, filepath.Join(j.Path(), metaFile): 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
}

func TestAdoptCutsATornEnd(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	whole := append(journal.AppendHeader(nil), note()...)
	write(t, j, journal.AppendHeader(nil))
	write(t, j, note())
	path := filepath.Join(j.Path(), journalFile)
	_ = j.Close()
	if err := os.WriteFile(path, append(bytes.Clone(whole), output(50)[:20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, _ := s.List()
	j, rec, err := s.Adopt(entries[0])
	if err != nil || rec.Torn != 20 || j.Size() != int64(len(whole)) {
		t.Fatalf("recovered %+v, size %d, error %v", rec, j.Size(), err)
	}
	defer j.Close()
	if left, _ := os.ReadFile(path); !bytes.Equal(left, whole) {
		t.Errorf("%d bytes left on disk, want %d", len(left), len(whole))
	}
}

// A journal whose disk fails at any place reads back as what was written, and comes whole
// to the disk when that works again.
func TestDiskThatFails(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := Open(t.TempDir())
		if err != nil {
			rt.Fatal(err)
		}
		j, err := s.Create(meta, Limits{})
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(j.Path())
		sizes := rapid.SliceOfN(rapid.IntRange(0, 200_000), 1, 20).Draw(rt, "sizes")
		fails := rapid.IntRange(0, len(sizes)).Draw(rt, "fails at")
		good := j.file
		want := journal.AppendHeader(nil)
		write(t, j, want)
		for i, n := range sizes {
			if i == fails {
				j.file = closedFile(t, j) // writes to it fail from here on
			}
			write(t, j, output(n))
			want = append(want, output(n)...)
		}
		j.mu.Lock()
		j.file = good
		j.mu.Unlock()
		from := rapid.IntRange(0, len(want)-1).Draw(rt, "from")
		got, err := io.ReadAll(io.NewSectionReader(j, int64(from), 1<<40))
		if err != nil || !bytes.Equal(got, want[from:]) {
			rt.Fatalf("read %d bytes from %d, want %d, error %v", len(got), from, len(want)-from, err)
		}
		if (j.DiskError() != nil) != (fails < len(sizes)) {
			rt.Fatalf("disk error %v", j.DiskError())
		}
		if err := j.Persist(); err != nil {
			rt.Fatal(err)
		}
		onDisk, err := os.ReadFile(filepath.Join(j.Path(), journalFile))
		if err != nil || !bytes.Equal(onDisk, want) {
			rt.Fatalf("%d bytes on disk, want %d, error %v", len(onDisk), len(want), err)
		}
		_ = j.Close()
	})
}

func closedFile(t *testing.T, j *Journal) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(j.Path(), journalFile)) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestMemoryIsBoundedAndKeepsAReserve(t *testing.T) {
	j := InMemory(meta, Limits{Memory: 1 << 20, Reserve: 512 << 10}, errors.New("no disk"))
	write(t, j, journal.AppendHeader(nil))
	var err error
	for err == nil {
		_, err = j.Write(output(100_000))
	}
	if !errors.Is(err, ErrFull) || j.mem.held > 1<<20 || j.Roomy() {
		t.Fatalf("error %v with %d bytes held", err, j.mem.held)
	}
	size := j.Size()
	write(t, j, note())
	j.Acknowledge(size)
	if !j.Roomy() {
		t.Errorf("still full with all acknowledged: %d bytes held", j.mem.held)
	}
	write(t, j, output(100_000))
	if _, err := j.ReadAt(make([]byte, 10), 0); !errors.Is(err, ErrTrimmed) {
		t.Errorf("reading what was given back: %v", err)
	}
}

func TestSecondReaderKeepsMemory(t *testing.T) {
	j := InMemory(meta, Limits{}, errors.New("no disk"))
	j.ExpectSecondReader()
	for range 10 {
		write(t, j, output(chunkSize))
	}
	j.Acknowledge(j.Size())
	if _, err := j.ReadAt(make([]byte, 10), 0); err != nil {
		t.Errorf("the second reader's bytes are gone: %v", err)
	}
	j.Passed(j.Size())
	if _, err := j.ReadAt(make([]byte, 10), 0); !errors.Is(err, ErrTrimmed) {
		t.Errorf("nobody needs these bytes any more, and they are held: %v", err)
	}
}

func TestQuotaOnDiskIsForOutputOnly(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{Disk: 1000})
	defer j.Close()
	write(t, j, output(900))
	if _, err := j.Write(output(900)); !errors.Is(err, ErrFull) {
		t.Errorf("past the quota: %v", err)
	}
	for range 5 {
		write(t, j, note())
	}
}

func TestSweepRemovesWhatNeverGotItsName(t *testing.T) {
	s := open(t)
	dir, err := os.MkdirTemp(s.Dir(), newPrefix)
	if err != nil {
		t.Fatal(err)
	}
	s.Sweep(time.Now())
	if _, err := os.Stat(dir); err != nil {
		t.Fatal("a journal that is just being made was removed")
	}
	s.Sweep(time.Now().Add(2 * staleAfter))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
