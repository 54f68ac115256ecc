package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
)

// recording is a directory that notes the calls that a loss of power depends on.
type recording struct {
	disk.Local
	calls *[]string
}

func (d recording) Replace(name string, data []byte, durable bool) error {
	how := ""
	if durable {
		how = ", durably"
	}
	*d.calls = append(*d.calls, "replace "+name+how)
	return d.Local.Replace(name, data, durable)
}

func (d recording) Remove(name string) error {
	*d.calls = append(*d.calls, "remove "+name)
	return d.Local.Remove(name)
}

func (d recording) MakeDurable(name string) error {
	*d.calls = append(*d.calls, "make durable "+name)
	return d.Local.MakeDurable(name)
}

// What says how a journal goes on without its delivered segments is durable before these are
// deleted.
func TestDeletionWaitsForTheDisk(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{Unsent: 1 << 20})
	var calls []string
	j.writer.Disk = recording{disk.Local(j.dir), &calls}
	for range 4 {
		put(j, 100_000)
	}
	j.Acknowledge(j.Size())
	want := []string{"replace meta.json, durably", "remove " + disk.SegmentName(j.placed.Segments[0].Start-j.placed.Segments[0].Size)}
	if !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	if err := j.Remove(); err != nil {
		t.Error(err)
	}
}

// A journal is made durable when it is a second old, and a shorter job does not wait for that.
func TestJournalOfALongJobIsMadeDurable(t *testing.T) {
	s := open(t)
	synctest.Test(t, func(t *testing.T) {
		j := begin(t, s, Limits{})
		var calls []string
		j.writer.Disk = recording{disk.Local(j.dir), &calls}
		j.Start(func() {})
		put(j, 1000)
		j.await(segment.DurableAfter-1, func() bool { return false }) // time passes
		synctest.Wait()
		if len(calls) > 0 {
			t.Errorf("calls of a short job: %q", calls)
		}
		j.await(2, func() bool { return false })
		synctest.Wait()
		if want := []string{"make durable meta.json"}; !slices.Equal(calls, want) {
			t.Errorf("calls %q, want %q", calls, want)
		}
		if err := j.Remove(); err != nil {
			t.Error(err)
		}
	})
}

// A meta file that a loss of power has emptied keeps nothing from being delivered, unless it
// described the deleted segments. Then that is reported, once.
func TestEmptyMeta(t *testing.T) {
	s := open(t)
	for _, deleted := range []bool{false, true} {
		j := begin(t, s, Limits{Unsent: 1 << 20})
		for range 4 {
			put(j, 100_000)
		}
		if deleted {
			j.Acknowledge(j.Size())
		}
		size := j.Size()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(j.Path(), disk.MetaFile), 0); err != nil {
			t.Fatal(err)
		}
		before := filesIn(t, j.Path())
		e := only(t, s)
		if e.Err != nil || e.Meta.Run != meta.Run || e.Meta.Attempt != meta.Attempt {
			t.Fatalf("entry %+v", e)
		}
		again, rec, err := s.Adopt(t.Context(), e)
		if !deleted {
			if err != nil || rec.Size != size {
				t.Fatalf("recovered %+v, error %v", rec, err)
			}
			if err := again.Remove(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, segment.ErrNoBeginning) || only(t, s).Meta.Refused == "" || !slices.Equal(filesIn(t, j.Path()), before) {
			t.Errorf("error %v, meta %+v, files %q, before %q", err, only(t, s).Meta, filesIn(t, j.Path()), before)
		}
		if _, _, err := s.Adopt(t.Context(), only(t, s)); !errors.Is(err, segment.ErrNoBeginning) {
			t.Errorf("the second time: %v", err)
		}
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}

// A damaged note about the tail lets go of the tail, and of nothing else.
func TestDamagedNote(t *testing.T) {
	for _, text := range []string{"", "{"} {
		s := open(t)
		m := newModel(t, s, Limits{Unsent: 1 << 20})
		for range 20 {
			m.print(job.Stdout, 60_000)
		}
		if m.j.tail.Empty() || !m.j.tail.HasNote {
			t.Fatal("there is no tail, or no note about it: the test shows nothing")
		}
		placed := m.j.Size()
		m.stopWriter()
		if err := os.WriteFile(filepath.Join(m.j.Path(), disk.NoteFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		j, rec, err := s.Adopt(t.Context(), only(t, s))
		if err != nil || rec.Size != placed || j.UnattachedBytes() == 0 || !j.tail.Empty() {
			t.Fatalf("note %q: recovered %+v, error %v", text, rec, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j, _, err = s.Adopt(t.Context(), only(t, s)); err != nil || j.UnattachedBytes() != 0 {
			t.Fatalf("note %q, the second time: %v", text, err)
		}
		if err := j.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that has lost more than its last moments asks for what was deleted: that is an error
// of its own at every place, and never looks like the end of the journal.
func TestReadingWhatWasDeleted(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{Unsent: 1 << 20})
	for range 4 {
		put(j, 100_000)
	}
	j.Acknowledge(j.Size())
	check := func(j *Journal) {
		t.Helper()
		first := j.placed.Segments[0].Start
		buf := make([]byte, 1000)
		for _, at := range []int64{0, 16, first / 2, first - 1} {
			if n, err := j.ReadAt(buf, at); n != 0 || !errors.Is(err, ErrTrimmed) || errors.Is(err, io.EOF) {
				t.Errorf("at %d of the journal that begins at %d: %d bytes, error %v", at, first, n, err)
			}
		}
		if n, err := j.ReadAt(buf, first); n != len(buf) || err != nil {
			t.Errorf("at its beginning: %d bytes, error %v", n, err)
		}
	}
	check(j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _, err := s.Adopt(t.Context(), only(t, s))
	if err != nil {
		t.Fatal(err)
	}
	check(j)
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
}

// A reader that is in a file while that is deleted gets the same error.
func TestReadingWhatIsBeingDeleted(t *testing.T) {
	s := open(t)
	j := begin(t, s, Limits{Unsent: 1 << 20})
	for range 4 {
		put(j, 100_000)
	}
	j.mu.Lock()
	j.placed.Segments[0].File = deleting{j.placed.Segments[0].File, func() { j.Acknowledge(j.Size()) }}
	j.mu.Unlock()
	if n, err := j.ReadAt(make([]byte, 100), 20); n != 0 || !errors.Is(err, ErrTrimmed) {
		t.Errorf("%d bytes, error %v", n, err)
	}
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
}

// deleting is a file in which something happens before it is read.
type deleting struct {
	disk.File
	before func()
}

func (f deleting) ReadAt(p []byte, at int64) (int, error) {
	f.before()
	return f.File.ReadAt(p, at)
}
