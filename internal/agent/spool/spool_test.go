package spool

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var meta = Meta{Run: "01890a5d-ac96-774b-bcce-b302099a8057", Attempt: 2, Job: "test", Server: "http://127.0.0.1:7846", Host: owner.Host{Name: "here", BootID: "1"}}

func output(data []byte) []byte {
	return journal.AppendRecord(nil, journal.OutputRecord(time.Unix(1, 0), journal.Output{Stream: job.Stdout, Data: data}))
}

// begin makes a journal with its first record.
func begin(t *testing.T, s *Spool, l Limits) *Journal {
	t.Helper()
	j, err := s.Create(meta, l)
	if err != nil {
		t.Fatal(err)
	}
	identify(t, j)
	return j
}

func identify(t testing.TB, j *Journal) {
	t.Helper()
	err := j.AppendJSON(journal.TypeAttempt, time.Unix(1, 0), journal.Attempt{Run: meta.Run, Attempt: meta.Attempt, Job: meta.Job, BootID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) *Spool {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(j *Journal, n int) Placement {
	_, _, kept := j.Output(output(bytes.Repeat([]byte("x"), n)), 0, job.Stdout, false)
	return kept
}

func only(t *testing.T, s *Spool) Entry {
	t.Helper()
	entries, err := s.List()
	if err != nil || len(entries) != 1 {
		t.Fatalf("entries %+v, error %v", entries, err)
	}
	return entries[0]
}

func TestLifeOfAJournal(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	put(j, 1000)
	if e := only(t, s); e.Meta != meta || e.Size != j.Size() {
		t.Fatalf("entry %+v, the journal has %d bytes", e, j.Size())
	}
	if _, _, err := s.Adopt(t.Context(), only(t, s)); !errors.Is(err, ErrBusy) {
		t.Errorf("adopting what is in use: %v", err)
	}
	if _, err := s.Create(meta, Limits{}); !errors.Is(err, owner.ErrExists) {
		t.Errorf("the same attempt again: %v", err)
	}
	j.Acknowledge(16)
	size := j.Size()
	if j.Unsent() != size-16 {
		t.Errorf("unsent %d, want %d", j.Unsent(), size-16)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	e := only(t, s)
	again, recovered, err := s.Adopt(t.Context(), e)
	if err != nil || recovered.Size != size || again.Acknowledged() != 16 {
		t.Fatalf("adopted %+v, acknowledged %d, error %v", recovered, again.Acknowledged(), err)
	}
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Adopt(t.Context(), e); !errors.Is(err, ErrGone) {
		t.Errorf("adopting what is gone: %v", err)
	}
}

// Errors of a journal's first file name the place where the journal is, not the one where it was
// made.
func TestErrorsNameTheJournal(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	if err := j.lock.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := j.lock.WriteAt([]byte("x"), 0)
	if err == nil || !strings.Contains(err.Error(), only(t, s).Path+"/"+disk.JournalFile) {
		t.Errorf("%v", err)
	}
	_ = j.Close() // the file is closed already
}

func TestNobodyElseMayRead(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{Unsent: 1 << 20})
	defer j.Close()
	for range 20 {
		put(j, 100_000) // several files, and a tail
	}
	files, err := filepath.Glob(filepath.Join(j.Path(), "*"))
	if err != nil || len(files) < 5 {
		t.Fatalf("files %v, error %v", files, err)
	}
	for _, path := range append(files, s.Dir(), j.Path()) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v (%v)", path, info.Mode().Perm(), err)
		}
	}
}

func TestAdoptCutsATornEnd(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	path := filepath.Join(j.Path(), disk.JournalFile)
	_ = j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(bytes.Clone(whole), output([]byte("some text"))[:20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	j, rec, err := s.Adopt(t.Context(), only(t, s))
	if err != nil || rec.Torn != 20 || j.Size() != int64(len(whole)) {
		t.Fatalf("recovered %+v, error %v", rec, err)
	}
	defer j.Close()
	if left, _ := os.ReadFile(path); !bytes.Equal(left, whole) {
		t.Errorf("%d bytes left on disk, want %d", len(left), len(whole))
	}
}

func TestSweepRemovesWhatNeverGotItsName(t *testing.T) {
	s := open(t)
	dir, err := os.MkdirTemp(s.Dir(), disk.NewPrefix)
	if err != nil {
		t.Fatal(err)
	}
	s.Sweep(time.Now(), owner.Host{})
	if _, err := os.Stat(dir); err != nil {
		t.Fatal("a journal that is just being made was removed")
	}
	s.Sweep(time.Now().Add(2*staleAfter), owner.Host{})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

// An agent that dies while it removes its delivered journal leaves nothing that stays.
func TestSweepRemovesWhatWasBeingRemoved(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{})
	put(j, 1000)
	// What is there but the journal's own files cannot be removed: the removal stops there.
	block := filepath.Join(j.Path(), "notify")
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	mountSmallDisk(t, block, 64<<10)
	free := sync.OnceFunc(func() {
		there, _ := filepath.Glob(filepath.Join(s.Dir(), "*", "notify")) // the pattern is good
		unmount(t, strings.Join(there, ""))
	})
	t.Cleanup(free)
	if err := j.Remove(); err == nil {
		t.Fatal("all was removed: the test shows nothing")
	}
	if left, err := s.Names(); err != nil || len(left) > 0 {
		t.Errorf("the spool still lists %q, error %v", left, err)
	}
	free()
	s.Sweep(time.Now(), owner.Host{})
	if left := filesIn(t, s.Dir()); len(left) != 1 {
		t.Errorf("what is being removed was swept: %q are left", left)
	}
	s.Sweep(time.Now().Add(2*staleAfter), owner.Host{})
	if left := filesIn(t, s.Dir()); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	// The attempt can be made and removed again, whatever an earlier removal left.
	left := filepath.Join(s.Dir(), disk.NewPrefix+filepath.Base(j.Path()))
	if err := errors.Join(os.Mkdir(left, 0o700), os.WriteFile(filepath.Join(left, "journal"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := begin(t, s, Limits{}).Remove(); err != nil {
		t.Error(err)
	}
	if left := filesIn(t, s.Dir()); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}
